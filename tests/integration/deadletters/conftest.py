"""A command client with nothing but the relay behind it."""

from collections.abc import AsyncIterator

import pytest

from db.mysql.database import Database
from tests.harness.command_client import CommandClient, command_client
from tests.harness.scratch import Scratch
from tests.harness.workers import running_workers


@pytest.fixture(scope="module")
async def client(scratch: Scratch, database: Database) -> AsyncIterator[CommandClient]:
    """Messages go to `dead` by its exchange, and from there into the table."""
    async with (
        command_client(scratch, database) as opened,
        running_workers(opened.settings, "relay"),
    ):
        yield opened
