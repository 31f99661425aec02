"""A desk with inventory, order, payment and relay behind it."""

from collections.abc import AsyncIterator

import pytest

from db.mysql.database import Database
from tests.harness.command_client import Desk, desk
from tests.harness.scratch import Scratch
from tests.harness.workers import staff


@pytest.fixture(scope="package")
async def till(world: Scratch, database: Database) -> AsyncIterator[Desk]:
    """Commands in, outcomes out; BTC, ETH and SOL have no rate until a test sets one."""
    workers = ("inventory", "order", "payment", "payment-2", "relay")
    async with desk(world, database) as opened, staff(opened.settings, *workers):
        yield opened
