"""A draft is there for its organizer and admins alone, wherever events and their types are read, ordered or listed."""

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from db.mysql.database import Database
from tests.harness.accounts import Person, person
from tests.harness.command_client import CommandClient, place
from tests.harness.sales import Sale, items, order, sale
from tests.harness.scratch import Scratch
from tests.harness.system import System, running
from tests.harness.waiting import eventually
from tests.integration.catalogue.management import body, cancel_event, create_event, create_type


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


async def _set(system: System, show: Sale, **members: object) -> tuple[int, str | None]:
    answer = await system.api(show.organizer).patch(f"/api/events/{show.event_id}", members)
    return answer.status, answer.code


async def _found_by(system: System, who: Person | None, show: Sale) -> set[int]:
    """The statuses of everything that reads the event or its type, and of an order for it."""
    api = system.api(who)
    paths = (
        f"/api/events/{show.event_id}",
        f"/api/events/{show.event_id}.ics",
        f"/api/ticket-types/{show.ticket_type}",
    )
    statuses = {(await api.get(path)).status for path in paths}
    if who is not None and "USER" in who.roles:
        statuses.add((await api.post("/api/orders", items((show.ticket_type, 1)))).status)
    return statuses


async def test_a_draft_is_nowhere_for_others(
    system: System, database: Database, organizer: Person, buyer: Person
) -> None:
    """404 for nobody, buyers and other organizers; its own and admins see it; published it is there at once."""
    show = await sale(system, organizer, 5)
    assert await _found_by(system, buyer, show) == {200, 201}
    shown = await system.api(buyer).get("/api/orders")
    await system.api(buyer).post(f"/api/orders/{shown.body['data'][0]['id']}/cancel")

    async def hidden() -> bool:
        return await _set(system, show, status="DRAFT") == (200, None)

    await eventually(hidden)
    others = [None, buyer, await person(database, "ORGANIZER", "USER")]
    for other in others:
        assert await _found_by(system, other, show) == {404}, other
    for friend in (organizer, await person(database, "ADMIN")):
        assert await _found_by(system, friend, show) == {200}
    mine = await system.api(organizer).get("/api/events?mine=true")
    assert [one["status"] for one in mine.body["data"]] == ["DRAFT"]
    draft = await system.api(organizer).get(f"/api/events/{show.event_id}")
    assert draft.headers["Cache-Control"] == "no-store"
    unread = {"If-None-Match": draft.headers["ETag"]}
    asked = await system.api(buyer).get(f"/api/events/{show.event_id}", headers=unread)
    assert asked.status == 404, "a tag that somebody guessed is no way in"
    assert await _set(system, show, status="PUBLISHED") == (200, None)
    assert await _found_by(system, buyer, show) == {200, 201}


async def test_a_new_draft_is_filled_before_anybody_sees_it(
    system: System, organizer: Person, buyer: Person
) -> None:
    """Created as one, with types that are made, changed and removed; no list shows it."""
    api, name = system.api(organizer), "Zwielichtkonzert"
    times = {"startTime": "2030-01-01T18:00:00Z", "endTime": "2030-01-01T23:00:00Z"}
    made = await api.post("/api/events", {"name": name, "status": "DRAFT", **times})
    assert (made.status, made.body["status"]) == (201, "DRAFT")
    path = f"/api/events/{made.body['id']}"
    seat = {"name": "Seat", "price": "10", "quota": 3}
    types = [await api.post(f"{path}/ticket-types", seat) for _ in range(2)]
    kept, gone = (f"/api/ticket-types/{one.body['id']}" for one in types)
    assert (await api.patch(kept, {"quota": 4})).status == 200
    assert (await api.delete(gone)).status == 200
    assert (await system.api(buyer).get(kept)).status == 404
    assert (await system.api().get(f"/api/events?q={name}")).body["data"] == []
    assert (await api.patch(path, {"status": "PUBLISHED"})).status == 200
    found = await system.api().get(f"/api/events?q={name}&limit=99")
    assert [one["name"] for one in found.body["data"]] == [name]


async def test_an_event_whose_tickets_are_held_stays_public(
    system: System, organizer: Person, buyer: Person
) -> None:
    """EVENT_HAS_SALES, until the tickets are back."""
    show = await sale(system, organizer, 5)
    held = await order(system.api(buyer), show.ticket_type)
    assert await _set(system, show, status="DRAFT") == (409, "EVENT_HAS_SALES")
    assert await _set(system, show, name="Opera") == (200, None)
    await system.api(buyer).post(f"/api/orders/{held}/cancel")

    async def hidden() -> bool:
        return await _set(system, show, status="DRAFT") == (200, None)

    await eventually(hidden)
    kept = await system.api(buyer).get(f"/api/orders/{held}")
    assert (kept.status, kept.body["eventName"]) == (200, "Concert"), "what was ordered is told"


async def test_the_worker_knows_drafts_too(client: CommandClient, organizer: Person) -> None:
    """A gateway that has not heard of it yet lets orders through: 404 for others, no sale for anybody."""
    draft = body(await client.ask(create_event(organizer, status="DRAFT")))["id"]
    seat = body(await client.ask(create_type(organizer, draft)))["id"]
    buyer = await person(client.database)
    assert (await client.ask(place(buyer, draft, (seat, 1)))).code == "NOT_FOUND"
    own = replace(organizer, roles=("ORGANIZER", "USER"))
    assert (await client.ask(place(own, draft, (seat, 1)))).code == "SALES_CLOSED"


async def test_a_draft_that_is_cancelled_stays_hidden(
    system: System, client: CommandClient, organizer: Person
) -> None:
    """It never was public, and its end makes it no more so; its organizer sees it CANCELLED."""
    draft = body(await client.ask(create_event(organizer, status="DRAFT")))["id"]
    assert body(await client.ask(cancel_event(organizer, draft)))["status"] == "CANCELLED"
    path = f"/api/events/{draft}"
    assert (await system.api().get(path)).status == 404
    assert (await system.api(organizer).get(path)).body["status"] == "CANCELLED"
