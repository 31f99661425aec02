"""Fixtures for tests on real servers: one scratch place per session.

Must stay true: workers that run on the session's place are a fixture of a module or package, never of the
session: two sets of the same workers would share its shards.
"""

from collections.abc import AsyncIterator

import pytest

from db.mysql import Database
from tests.harness.scratch import Scratch, scratch


@pytest.fixture(scope="session")
async def world() -> AsyncIterator[Scratch]:
    """Scratch database, virtual host and Redis database of this session, migrated."""
    async with scratch() as places:
        yield places


@pytest.fixture(scope="session")
async def database(world: Scratch) -> AsyncIterator[Database]:
    """A pool on the session's database."""
    opened = await Database.connect(world.mysql_url)
    yield opened
    await opened.close()
