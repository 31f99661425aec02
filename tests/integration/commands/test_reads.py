"""Orders, events and ticket types as they are read: whose they are, how they page, how old they may be."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from db.mysql.database import Database
from tests.harness.accounts import Person, person
from tests.harness.sales import Sale, items, order, sale
from tests.harness.scratch import Scratch
from tests.harness.system import Answer, Api, System, running
from tests.harness.waiting import eventually
from tests.integration.commands.conftest import WORKERS


@pytest.fixture(scope="module")
async def system(own_scratch: Scratch) -> AsyncIterator[System]:
    async with running(own_scratch, workers=WORKERS) as started:
        yield started


@pytest.fixture
async def show(system: System, organizer: Person) -> Sale:
    return await sale(system, organizer, 20, 20)


async def _pages(api: Api, path: str, limit: int) -> AsyncIterator[Answer]:
    """Every page of a list, one after the other."""
    cursor = ""
    while True:
        sign = "&" if "?" in path else "?"
        answer = await api.get(f"{path}{sign}limit={limit}{cursor}")
        assert answer.status == 200, answer.body
        yield answer
        if not answer.body["hasMore"]:
            assert answer.body["nextCursor"] is None
            return
        cursor = f"&cursor={answer.body['nextCursor']}"


async def test_an_order_is_shown_to_whom_it_concerns(
    system: System, own_database: Database, buyer: Person, organizer: Person, show: Sale
) -> None:
    """Its owner, an admin, the event's organizer; to all others it does not exist."""
    order_id = await order(system.api(buyer), show.ticket_type)
    path = f"/api/orders/{order_id}"
    for friend in (buyer, organizer, await person(own_database, "ADMIN")):
        answer = await system.api(friend).get(path)
        assert (answer.status, answer.body["id"]) == (200, order_id)
    for roles in (("USER",), ("ORGANIZER",), ("PROVIDER",)):
        stranger = await person(own_database, *roles)
        assert (await system.api(stranger).get(path)).code == "NOT_FOUND"
    assert (await system.api().get(path)).code == "UNAUTHENTICATED"


@pytest.mark.parametrize("path", ["/api/orders/999999999", "/api/events/999999999"])
async def test_what_does_not_exist_is_not_found(system: System, buyer: Person, path: str) -> None:
    """404 as a problem document."""
    answer = await system.api(buyer).get(path)
    assert (answer.status, answer.code) == (404, "NOT_FOUND")


async def test_orders_page_stably_while_more_are_placed(
    system: System, buyer: Person, show: Sale
) -> None:
    """The newest first; what is placed meanwhile neither shifts nor repeats anything."""
    api = system.api(buyer)
    placed = [await order(api, show.ticket_type) for _ in range(5)]
    seen: list[int] = []
    async for answer in _pages(api, "/api/orders", 2):
        seen += [one["id"] for one in answer.body["data"]]
        await order(api, show.ticket_types[1])
    assert seen == placed[::-1]


async def test_orders_are_filtered_by_status(system: System, buyer: Person, show: Sale) -> None:
    """One word of the contract, anything else is 400."""
    api = system.api(buyer)
    kept, gone = [await order(api, show.ticket_type) for _ in range(2)]
    await api.post(f"/api/orders/{gone}/cancel")
    for status, ids in (("PENDING_PAYMENT", [kept]), ("CANCELLED", [gone]), ("EXPIRED", [])):
        listed = await api.get(f"/api/orders?status={status}")
        assert [one["id"] for one in listed.body["data"]] == ids
    for bad in ("status=paid", "limit=0", "limit=101", "limit=x", "cursor=!", "cursor=WzFd.x"):
        assert (await api.get(f"/api/orders?{bad}")).code == "INVALID"


async def test_details_are_summed_per_type_and_price(
    system: System, buyer: Person, show: Sale
) -> None:
    """Two commands of one type are one line; the answer of the command and the read agree."""
    api, (first, second) = system.api(buyer), show.ticket_types
    order_id = await order(api, first, 2)
    added = await api.post("/api/orders", {**items((first, 1), (second, 1)), "orderId": order_id})
    assert added.status == 201, added.body
    assert [(one["ticketTypeId"], one["quantity"]) for one in added.body["details"]] == [
        (first, 3),
        (second, 1),
    ]
    assert added.body["totalCost"] == "199.60"
    assert (await api.get(f"/api/orders/{order_id}")).body == added.body


async def test_an_order_is_refused_early_for_what_is_surely_wrong(
    system: System, own_database: Database, buyer: Person, organizer: Person, show: Sale
) -> None:
    """404 for unknown types and foreign orders, 400 for several events and a type twice: without a command."""
    api, foreign = system.api(buyer), await sale(system, organizer, 5)
    theirs = await order(system.api(await person(own_database)), show.ticket_type)
    cases: list[tuple[dict[str, Any], int]] = [
        (items((999999999, 1)), 404),
        (items((show.ticket_type, 1), (999999999, 1)), 404),
        (items((show.ticket_type, 1), (foreign.ticket_type, 1)), 400),
        (items((show.ticket_type, 1), (show.ticket_type, 1)), 400),
        ({**items((show.ticket_type, 1)), "orderId": theirs}, 404),
        ({**items((show.ticket_type, 1)), "orderId": 999999999}, 404),
        ({"items": []}, 400),
    ]
    for body, status in cases:
        answer = await api.post("/api/orders", body)
        assert answer.status == status, (body, answer.body)
        assert "X-Command-Id" not in answer.headers
    mine = await order(api, show.ticket_type)
    other_event = await api.post(
        "/api/orders", {**items((foreign.ticket_type, 1)), "orderId": mine}
    )
    assert (other_event.status, other_event.code) == (400, "INVALID")
    cancel = await api.post(f"/api/orders/{theirs}/cancel")
    assert (cancel.status, "X-Command-Id" in cancel.headers) == (404, False)


async def test_an_event_is_fresh_and_its_etag_tells_when_it_changed(
    system: System, buyer: Person, organizer: Person
) -> None:
    """304 until a sale changes its stock; a type's tag changes with it."""
    show = await sale(system, organizer, 5)
    api = system.api(buyer)
    paths = (f"/api/events/{show.event_id}", f"/api/ticket-types/{show.ticket_type}")
    tags = {}
    for path in paths:
        shown = await api.get(path)
        tags[path] = {"If-None-Match": shown.headers["ETag"]}
        assert (await api.get(path, headers=tags[path])).status == 304
    await order(api, show.ticket_type)
    for path in paths:

        async def changed(path: str = path) -> Answer | None:
            answer = await api.get(path, headers=tags[path])
            return answer if answer.status == 200 else None

        answer = await eventually(changed)
        assert answer is not None
        assert answer.headers["ETag"] != tags[path]["If-None-Match"]
        assert answer.headers["Cache-Control"] == "public, max-age=1"


async def test_a_change_is_shown_at_once_by_the_gateway_that_told_of_it(
    system: System, organizer: Person
) -> None:
    """Read your own write; If-Match with the tag that the answer carried goes on from it."""
    show = await sale(system, organizer, 5)
    api, path = system.api(organizer), f"/api/events/{show.event_id}"
    before = await api.get(path)
    assert before.body["ticketTypes"][0]["id"] == show.ticket_type
    changed = await api.patch(
        path, {"name": "Other", "venue": None}, headers={"If-Match": before.headers["ETag"]}
    )
    assert (changed.status, changed.body["name"]) == (200, "Other")
    after = await api.get(path)
    assert after.body == changed.body
    assert after.headers["ETag"] == changed.headers["ETag"]
    stale = await api.patch(path, {"name": "Third"}, headers={"If-Match": before.headers["ETag"]})
    assert (stale.status, stale.code) == (409, "VERSION_CONFLICT")
    broken = await api.patch(path, {"name": "Third"}, headers={"If-Match": "v1"})
    assert (broken.status, broken.code) == (400, "INVALID")
    assert "X-Command-Id" not in broken.headers


async def test_events_are_managed_by_their_organizer(
    system: System, own_database: Database, buyer: Person, show: Sale
) -> None:
    """A foreign event is 404 for organizers, 403 for other roles, and open to admins."""
    other, admin = await person(own_database, "ORGANIZER"), await person(own_database, "ADMIN")
    event, ticket_type = f"/api/events/{show.event_id}", f"/api/ticket-types/{show.ticket_type}"
    new_type = {"name": "x", "price": "1", "quota": 1}
    calls: list[tuple[str, str, object]] = [
        ("PATCH", event, {"name": "x"}),
        ("DELETE", event, None),
        ("POST", event + "/ticket-types", new_type),
        ("PATCH", ticket_type, {"name": "x"}),
        ("DELETE", ticket_type, None),
        ("GET", event + "/orders", None),
        ("GET", event + "/sales", None),
    ]
    for method, path, body in calls:
        assert (await system.api(other).call(method, path, body)).code == "NOT_FOUND", path
        assert (await system.api(buyer).call(method, path, body)).code == "FORBIDDEN", path
    assert (await system.api(admin).get(event + "/sales")).status == 200
    assert (await system.api(admin).patch(ticket_type, {"name": "x"})).status == 200


async def test_an_organizer_sees_orders_and_sales(
    system: System, buyer: Person, organizer: Person, show: Sale
) -> None:
    """Who ordered what, and what became of the tickets of each type."""
    api = system.api(organizer)
    first = await order(system.api(buyer), show.ticket_types[0], 3)
    second = await order(system.api(buyer), show.ticket_types[1], 2)
    listed = await api.get(f"/api/events/{show.event_id}/orders")
    assert [one["id"] for one in listed.body["data"]] == [second, first]
    sales = (await api.get(f"/api/events/{show.event_id}/sales")).body
    assert sales == {
        "ticketTypes": [
            {
                "id": type_id,
                "quota": 20,
                "available": 20 - held,
                "held": held,
                "sold": 0,
                "revenue": "0.00",
            }
            for type_id, held in zip(show.ticket_types, (3, 2), strict=True)
        ]
    }


async def test_own_events_are_listed_in_every_status(
    system: System, own_database: Database, buyer: Person
) -> None:
    """mine=true: the newest first, cancelled ones too; for organizers alone."""
    owner = await person(own_database, "ORGANIZER")
    api = system.api(owner)
    ids = [(await sale(system, owner, 1)).event_id for _ in range(3)]
    await api.delete(f"/api/events/{ids[1]}")
    seen = [
        (one["id"], one["status"])
        async for answer in _pages(api, "/api/events?mine=true", 2)
        for one in answer.body["data"]
    ]
    assert seen == [(ids[2], "PUBLISHED"), (ids[1], "CANCELLED"), (ids[0], "PUBLISHED")]
    assert (await system.api(buyer).get("/api/events?mine=true")).code == "FORBIDDEN"
    assert (await system.api().get("/api/events?mine=true")).code == "UNAUTHENTICATED"


async def _event(api: Api, name: str, start: str, **more: str) -> int:
    body = {"name": name, "startTime": start, "endTime": "2040-01-01T00:00:00Z", **more}
    answer = await api.post("/api/events", body)
    assert answer.status == 201, answer.body
    created: int = answer.body["id"]
    return created


async def test_published_events_are_found_by_words_and_times(
    system: System, organizer: Person
) -> None:
    """Words in name or venue, in any case; events that run between two times."""
    api, anyone = system.api(organizer), system.api()
    one = await _event(api, "Jazz 100%_| Night", "2031-01-01T20:00:00+02:00")
    two = await _event(api, "Other", "2031-02-01T20:00:00Z", venue="the JAZZ cellar")
    three = await _event(api, "Third", "2031-03-01T20:00:00Z", description="no\njazz at all")
    gone = await _event(api, "Jazz that is off", "2031-01-15T20:00:00Z")
    await api.delete(f"/api/events/{gone}")
    searches = {
        "q=jazz": [one, two],
        "q=100%25_|": [one],
        "q=1009": [],
        "q=jazz&from=2031-01-01T18:00:00Z&to=2031-02-01T20:00:00Z": [one, two],
        "q=jazz&from=2040-01-01T00:00:00Z": [],
        "q=third&from=2031-01-01T18:00:01Z": [three],
        "q=jazz&to=2031-01-31T00:00:00%2B02:00": [one],
    }
    for search, ids in searches.items():
        found = await anyone.get(f"/api/events?{search}")
        assert [event["id"] for event in found.body["data"]] == ids, search
    for bad in ("from=yesterday", "to=2031-01-01", "q=" + "x" * 101, "cursor=WzFd", "mine=1"):
        assert (await anyone.get(f"/api/events?{bad}")).code == "INVALID", bad


async def test_published_events_page_stably_while_more_are_created(
    system: System, organizer: Person
) -> None:
    """By start time and id: events created meanwhile before the cursor shift nothing."""
    api = system.api(organizer)
    ids = [await _event(api, "Paged", "2032-05-01T20:00:00Z") for _ in range(5)]
    seen: list[int] = []
    async for answer in _pages(system.api(), "/api/events?q=paged", 2):
        seen += [event["id"] for event in answer.body["data"]]
        await _event(api, "Paged", "2032-04-01T20:00:00Z")
    assert seen == ids
