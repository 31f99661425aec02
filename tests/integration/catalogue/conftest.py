"""A desk with the workers that the catalogue moves."""

from collections.abc import AsyncIterator

import pytest

from db.mysql.database import Database
from tests.harness.command_client import Desk, desk
from tests.harness.scratch import Scratch
from tests.harness.workers import staff


@pytest.fixture(scope="module")
async def counter(world: Scratch, database: Database) -> AsyncIterator[Desk]:
    """Inventory, order, payment and relay at work."""
    workers = ("inventory", "order", "payment", "relay")
    async with desk(world, database) as opened, staff(opened.settings, *workers):
        yield opened
