"""A place of this folder's own: here commands are left undecided and queues are filled on purpose."""

from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest

from db.audit import audit
from db.mysql.database import Database
from tests.harness.accounts import Person, person
from tests.harness.scratch import Scratch, scratch

WORKERS = ("inventory", "order", "relay")


@pytest.fixture(scope="module")
async def place() -> AsyncIterator[Scratch]:
    """Scratch places for one module."""
    async with scratch() as places:
        yield places


@pytest.fixture(scope="module")
async def books(place: Scratch) -> AsyncIterator[Database]:
    """A pool on them; at the end the audit finds nothing wrong."""
    opened = await Database.connect(place.mysql_url, size=4)
    yield opened
    (await audit(opened)).require_ok()
    await opened.close()


@pytest.fixture
async def alone() -> AsyncIterator[Scratch]:
    """Scratch places for one test: no worker but its own takes its commands."""
    async with scratch() as places:
        yield places


@dataclass(frozen=True, slots=True)
class People:
    """Who is there in a place."""

    organizer: Person
    buyer: Person
    other: Person


@pytest.fixture
async def people(alone: Scratch) -> AsyncIterator[People]:
    """An organizer and two buyers of the test's own place; at the end its audit finds nothing wrong."""
    opened = await Database.connect(alone.mysql_url, size=2)
    yield People(await person(opened, "ORGANIZER"), await person(opened), await person(opened))
    (await audit(opened)).require_ok()
    await opened.close()


@pytest.fixture
async def organizer(books: Database) -> Person:
    return await person(books, "ORGANIZER")


@pytest.fixture
async def buyer(books: Database) -> Person:
    return await person(books)
