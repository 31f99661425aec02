"""A world of this folder's own, with real processes in it: their audit must find nothing that other tests left."""

from collections.abc import AsyncIterator

import pytest

from db.mysql.database import Database
from tests.harness.scratch import Scratch, scratch
from tests.integration.rush.killable_processes import Fleet, fleet


@pytest.fixture
async def own_world() -> AsyncIterator[Scratch]:
    """Scratch places for one test."""
    async with scratch() as places:
        yield places


@pytest.fixture
async def own_database(own_world: Scratch) -> AsyncIterator[Database]:
    """A pool on them."""
    opened = await Database.connect(own_world.mysql_url, size=2)
    yield opened
    await opened.close()


@pytest.fixture
async def ships(own_world: Scratch) -> AsyncIterator[Fleet]:
    """All processes, ready."""
    async with fleet(own_world) as started:
        yield started
