"""A whole EventHub on scratch servers of its own: what these tests send, disable and delete is nobody else's."""

from collections.abc import AsyncIterator

import pytest

from db.mysql.database import Database
from tests.harness.accounts import Person, person
from tests.harness.scratch import Scratch, scratch_servers
from tests.harness.system import System, running
from tests.harness.waiting import eventually


@pytest.fixture(scope="session")
async def own_scratch() -> AsyncIterator[Scratch]:
    """Scratch servers beside the session's."""
    async with scratch_servers() as scratch:
        yield scratch


@pytest.fixture(scope="session")
async def own_database(own_scratch: Scratch) -> AsyncIterator[Database]:
    """A pool on their database."""
    opened = await Database.connect(own_scratch.mysql_url)
    yield opened
    await opened.close()


@pytest.fixture(scope="session")
async def system(own_scratch: Scratch, own_database: Database) -> AsyncIterator[System]:
    """A gateway and every worker, which have heard of rates to pay by."""
    async with running(own_scratch, webhook_allow_private=True) as system:

        async def polled() -> bool:
            return await own_database.read("SELECT 1 FROM rates WHERE asset = 'BTC' LIMIT 1") != []

        await eventually(polled)
        yield system


@pytest.fixture(scope="session")
async def admin(own_database: Database) -> Person:
    """An admin who is nothing else."""
    return await person(own_database, "ADMIN")
