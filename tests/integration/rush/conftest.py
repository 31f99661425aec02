"""Scratch servers of this folder's own, with real processes: their audit finds nothing that other tests left."""

from collections.abc import AsyncIterator

import pytest

from db.mysql.database import Database
from tests.harness.scratch import Scratch, scratch_servers
from tests.integration.rush.killable_processes import KillableProcesses, killable_processes


@pytest.fixture
async def own_scratch() -> AsyncIterator[Scratch]:
    """Scratch servers for one test."""
    async with scratch_servers() as scratch:
        yield scratch


@pytest.fixture
async def own_database(own_scratch: Scratch) -> AsyncIterator[Database]:
    """A pool on them."""
    opened = await Database.connect(own_scratch.mysql_url, size=2)
    yield opened
    await opened.close()


@pytest.fixture
async def processes(own_scratch: Scratch) -> AsyncIterator[KillableProcesses]:
    """All processes, ready."""
    async with killable_processes(own_scratch) as started:
        yield started
