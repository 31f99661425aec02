"""A desk with nothing but the relay behind it."""

from collections.abc import AsyncIterator

import pytest

from db.mysql.database import Database
from tests.harness.command_client import Desk, desk
from tests.harness.scratch import Scratch
from tests.harness.workers import staff


@pytest.fixture(scope="module")
async def counter(world: Scratch, database: Database) -> AsyncIterator[Desk]:
    """Messages go to `dead` by its exchange, and from there into the table."""
    async with desk(world, database) as opened, staff(opened.settings, "relay"):
        yield opened
