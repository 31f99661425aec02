"""A whole EventHub on places of its own: what these tests send, disable and delete is nobody else's."""

from collections.abc import AsyncIterator

import pytest

from db.mysql.database import Database
from tests.harness.accounts import Person, person
from tests.harness.scratch import Scratch, scratch
from tests.harness.system import System, running
from tests.harness.waiting import eventually


@pytest.fixture(scope="session")
async def house() -> AsyncIterator[Scratch]:
    """Scratch places beside the session's."""
    async with scratch() as places:
        yield places


@pytest.fixture(scope="session")
async def records(house: Scratch) -> AsyncIterator[Database]:
    """A pool on their database."""
    opened = await Database.connect(house.mysql_url)
    yield opened
    await opened.close()


@pytest.fixture(scope="session")
async def hub(house: Scratch, records: Database) -> AsyncIterator[System]:
    """A gateway and every worker, which have heard of rates to pay by."""
    async with running(house, webhook_allow_private=True) as system:

        async def polled() -> bool:
            return await records.read("SELECT 1 FROM rates WHERE asset = 'BTC' LIMIT 1") != []

        await eventually(polled)
        yield system


@pytest.fixture(scope="session")
async def admin(records: Database) -> Person:
    """An admin who is nothing else."""
    return await person(records, "ADMIN")
