"""Fixtures for faults: places of a module's own, processes of its own, the audit at the end.

Must stay true: the audit of a place is the last word on every test that used it.
"""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from db.mysql.database import Database
from tests.faults.proof import proven
from tests.harness.command_client import Desk, desk
from tests.harness.processes import Processes, processes
from tests.harness.scratch import Scratch, scratch


@pytest.fixture(scope="module")
async def places() -> AsyncIterator[Scratch]:
    """Scratch servers of this module's own: another module's chaos is none of its business."""
    async with scratch() as made:
        yield made


@pytest.fixture(scope="module")
async def books(places: Scratch) -> AsyncIterator[Database]:
    """A pool on the module's database, which the audit finds in order after the last test."""
    database = await Database.connect(places.mysql_url)
    try:
        yield database
        await proven(database, quiet=False)
    finally:
        await database.close()


@pytest.fixture(scope="module")
async def counter(places: Scratch, books: Database) -> AsyncIterator[Desk]:
    """A desk that sends commands to the module's broker."""
    async with desk(places, books) as opened:
        yield opened


@pytest.fixture
async def city(places: Scratch, tmp_path: Path) -> AsyncIterator[Processes]:
    """Real processes on the module's places."""
    async with processes(places, tmp_path) as made:
        yield made
