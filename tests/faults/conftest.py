"""Fixtures for faults: scratch servers of a module's own, processes of its own, the audit at the end.

Must stay true: the audit of a place is the last word on every test that used it.
"""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from db.mysql.database import Database
from tests.faults.proof import proven
from tests.harness.command_client import CommandClient, command_client
from tests.harness.processes import Processes, running_processes
from tests.harness.scratch import Scratch, scratch_servers


@pytest.fixture(scope="module")
async def scratch() -> AsyncIterator[Scratch]:
    """Scratch servers of this module's own: another module's chaos is none of its business."""
    async with scratch_servers() as made:
        yield made


@pytest.fixture(scope="module")
async def database(scratch: Scratch) -> AsyncIterator[Database]:
    """A pool on the module's database, which the audit finds in order after the last test."""
    database = await Database.connect(scratch.mysql_url)
    try:
        yield database
        await proven(database, quiet=False)
    finally:
        await database.close()


@pytest.fixture(scope="module")
async def client(scratch: Scratch, database: Database) -> AsyncIterator[CommandClient]:
    """A command client that sends commands to the module's broker."""
    async with command_client(scratch, database) as opened:
        yield opened


@pytest.fixture
async def processes(scratch: Scratch, tmp_path: Path) -> AsyncIterator[Processes]:
    """Real processes on the module's scratch servers."""
    async with running_processes(scratch, tmp_path) as made:
        yield made
