"""A whole EventHub with rates to pay by, on the session's scratch servers."""

from collections.abc import AsyncIterator

import pytest

from db.mysql.database import Database
from tests.harness.accounts import Person, person
from tests.harness.scratch import Scratch
from tests.harness.system import System, running
from tests.harness.waiting import eventually
from tests.integration.tickets.door import Concert, Gate, concert, gate


@pytest.fixture(scope="package")
async def hub(scratch: Scratch, database: Database) -> AsyncIterator[System]:
    """A gateway and every worker."""
    async with running(scratch) as system:

        async def polled() -> bool:
            return await database.read("SELECT 1 FROM rates WHERE asset = 'BTC' LIMIT 1") != []

        await eventually(polled)
        yield system


@pytest.fixture
async def organizer(database: Database) -> Person:
    """Somebody with events."""
    return await person(database, "ORGANIZER")


@pytest.fixture
async def buyer(database: Database) -> Person:
    """Somebody with money."""
    return await person(database)


@pytest.fixture
async def show(hub: System, organizer: Person, buyer: Person) -> Concert:
    """An event with three tickets."""
    return await concert(hub, organizer, buyer, 3)


@pytest.fixture
async def north(hub: System, organizer: Person, show: Concert) -> Gate:
    """A gate."""
    return await gate(hub, organizer, show.sale.event_id, "North")


@pytest.fixture
async def south(hub: System, organizer: Person, show: Concert) -> Gate:
    """Another."""
    return await gate(hub, organizer, show.sale.event_id, "South")
