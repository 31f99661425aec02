"""A place of this folder's own: here commands are left undecided and queues are filled on purpose."""

from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest

from db.audit import audit
from db.mysql.database import Database
from tests.harness.accounts import Person, person
from tests.harness.scratch import Scratch, scratch_servers

WORKERS = ("inventory", "order", "relay")


@pytest.fixture(scope="module")
async def own_scratch() -> AsyncIterator[Scratch]:
    """Scratch servers for one module."""
    async with scratch_servers() as scratch:
        yield scratch


@pytest.fixture(scope="module")
async def own_database(own_scratch: Scratch) -> AsyncIterator[Database]:
    """A pool on them; at the end the audit finds nothing wrong."""
    opened = await Database.connect(own_scratch.mysql_url, size=4)
    yield opened
    (await audit(opened)).require_ok()
    await opened.close()


@pytest.fixture
async def test_scratch() -> AsyncIterator[Scratch]:
    """Scratch servers for one test: no worker but its own takes its commands."""
    async with scratch_servers() as scratch:
        yield scratch


@dataclass(frozen=True, slots=True)
class Accounts:
    """Who is there in a place."""

    organizer: Person
    buyer: Person
    other: Person


@pytest.fixture
async def accounts(test_scratch: Scratch) -> AsyncIterator[Accounts]:
    """An organizer and two buyers of the test's own place; at the end its audit finds nothing wrong."""
    opened = await Database.connect(test_scratch.mysql_url, size=2)
    yield Accounts(await person(opened, "ORGANIZER"), await person(opened), await person(opened))
    (await audit(opened)).require_ok()
    await opened.close()


@pytest.fixture
async def organizer(own_database: Database) -> Person:
    return await person(own_database, "ORGANIZER")


@pytest.fixture
async def buyer(own_database: Database) -> Person:
    return await person(own_database)
