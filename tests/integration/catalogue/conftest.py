"""A command client with the workers that the catalogue moves."""

from collections.abc import AsyncIterator

import pytest

from db.mysql.database import Database
from tests.harness.command_client import CommandClient, command_client
from tests.harness.scratch import Scratch, scratch_servers
from tests.harness.workers import running_workers


@pytest.fixture(scope="module")
async def client(scratch: Scratch, database: Database) -> AsyncIterator[CommandClient]:
    """Inventory, order, payment and relay at work."""
    workers = ("inventory", "order", "payment", "relay")
    async with (
        command_client(scratch, database) as opened,
        running_workers(opened.settings, *workers),
    ):
        yield opened


@pytest.fixture
async def own_scratch() -> AsyncIterator[Scratch]:
    """Servers that no other test's workers listen on."""
    async with scratch_servers() as opened:
        yield opened


@pytest.fixture
async def own_database(own_scratch: Scratch) -> AsyncIterator[Database]:
    """Their database."""
    opened = await Database.connect(own_scratch.mysql_url, size=4)
    yield opened
    await opened.close()
