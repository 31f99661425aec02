"""EventHub with a gateway and a quote worker, and accounts that report, accept and look."""

from collections.abc import AsyncIterator

import pytest

from db.mysql.database import Database
from tests.harness.accounts import Person, person
from tests.harness.scratch import Scratch
from tests.harness.system import System, running


@pytest.fixture(scope="module")
async def system(scratch: Scratch, database: Database) -> AsyncIterator[System]:
    """A gateway, the quote worker with FakePrice, and the relay."""
    async with running(scratch, workers=("quote", "relay")) as started:
        yield started


@pytest.fixture
async def provider(database: Database) -> Person:
    """An account with the role PROVIDER and no name on the broker."""
    return await person(database, "PROVIDER")


@pytest.fixture
async def admin(database: Database) -> Person:
    return await person(database, "ADMIN")
