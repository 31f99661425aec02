"""A sale over HTTP, as buyers and organizers meet it."""

from collections.abc import AsyncIterator

import pytest

from db.mysql.database import Database
from tests.harness.accounts import Person, person
from tests.harness.sales import items, sale
from tests.harness.scratch import Scratch
from tests.harness.system import System, running
from tests.harness.waiting import eventually


@pytest.fixture(scope="module")
async def system(scratch: Scratch) -> AsyncIterator[System]:
    async with running(scratch, workers=("inventory", "order", "relay")) as started:
        yield started


@pytest.fixture
async def organizer(database: Database) -> Person:
    return await person(database, "ORGANIZER")


@pytest.fixture
async def buyer(database: Database) -> Person:
    return await person(database)


async def test_a_first_sale(system: System, organizer: Person, buyer: Person) -> None:
    """Created, shown, ordered, cancelled, on sale again."""
    show = await sale(system, organizer, 10)
    api = system.api(buyer)
    placed = await api.post("/api/orders", items((show.ticket_type, 2)))
    assert placed.status == 201
    assert placed.headers["Location"] == f"/api/orders/{placed.body['id']}"
    assert placed.headers["Preference-Applied"] == "wait=10"
    assert (await api.get(placed.headers["Location"])).body == placed.body
    cancelled = await api.post(f"/api/orders/{placed.body['id']}/cancel")
    assert (cancelled.status, cancelled.body["status"]) == (200, "CANCELLED")

    async def back() -> bool:
        shown = await api.get(f"/api/ticket-types/{show.ticket_type}")
        return bool(shown.body["available"] == 10)

    await eventually(back)
