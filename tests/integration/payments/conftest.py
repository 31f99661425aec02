"""A command client with inventory, order, payment and relay behind it."""

from collections.abc import AsyncIterator

import pytest

from db.mysql.database import Database
from tests.harness.command_client import CommandClient, command_client
from tests.harness.scratch import Scratch
from tests.harness.workers import running_workers


@pytest.fixture(scope="package")
async def client(scratch: Scratch, database: Database) -> AsyncIterator[CommandClient]:
    """Commands in, outcomes out; BTC, ETH and SOL have no rate until a test sets one."""
    workers = ("inventory", "order", "payment", "payment-2", "relay")
    async with (
        command_client(scratch, database) as opened,
        running_workers(opened.settings, *workers),
    ):
        yield opened
