"""What an event and its types may be called, cost and last, over HTTP; what was said before the rules stays."""

from collections.abc import AsyncIterator

import pytest

from db.mysql.database import Database
from tests.harness.accounts import Person, person
from tests.harness.sales import items, sale
from tests.harness.scratch import Scratch
from tests.harness.system import Answer, System, running

TIMES = {"startTime": "2030-01-01T18:00:00Z", "endTime": "2030-01-01T23:00:00Z"}


@pytest.fixture(scope="module")
async def system(scratch: Scratch) -> AsyncIterator[System]:
    async with running(scratch, workers=("inventory", "order", "relay")) as started:
        yield started


@pytest.fixture
async def organizer(database: Database) -> Person:
    return await person(database, "ORGANIZER")


def _pointers(answer: Answer) -> list[str]:
    assert (answer.status, answer.code) == (400, "INVALID"), answer.body
    return [one["pointer"] for one in answer.body["errors"]]


async def test_a_price_fits_its_currency(system: System, organizer: Person) -> None:
    """Refused without a command: a currency that is not taken, parts of a yen. Money still shows two decimals."""
    show = await sale(system, organizer, 1, currency="JPY", price="100")
    path = f"/api/events/{show.event_id}/ticket-types"
    api, seat = system.api(organizer), {"name": "Seat", "price": "100.50", "quota": 1}
    parts = await api.post(path, seat | {"currency": "JPY"})
    assert _pointers(parts) == ["/price"]
    assert "X-Command-Id" not in parts.headers
    assert _pointers(await api.post(path, seat | {"currency": "ZZZ"})) == ["/currency"]
    shown = await api.get(f"/api/ticket-types/{show.ticket_type}")
    assert shown.body["price"] == "100.00"
    dearer = await api.patch(f"/api/ticket-types/{show.ticket_type}", {"price": "100.50"})
    assert _pointers(dearer) == ["/price"]
    same = await api.patch(f"/api/ticket-types/{show.ticket_type}", {"price": "100.00"})
    assert (same.status, same.body["version"]) == (200, 1)


async def test_types_in_currencies_of_before_keep_selling(
    system: System, database: Database, organizer: Person
) -> None:
    """They are ordered and changed; only a new type in that currency is refused."""
    show = await sale(system, organizer, 5)
    path = f"/api/ticket-types/{show.ticket_type}"
    await database.write("UPDATE ticket_types SET currency = 'ZZZ' WHERE id = %s", show.ticket_type)
    buyer = system.api(await person(database))
    bought = await buyer.post("/api/orders", items((show.ticket_type, 1)))
    assert (bought.status, bought.body["currency"]) == (201, "ZZZ")
    api = system.api(organizer)
    whole = {"name": "Box", "price": "50", "currency": "ZZZ", "quota": 6}
    assert (await api.patch(path, whole)).status == 200
    more = await api.post(f"/api/events/{show.event_id}/ticket-types", whole)
    assert _pointers(more) == ["/currency"]


async def test_tickets_are_on_sale_before_the_end(system: System, organizer: Person) -> None:
    """salesStart before it, salesEnd by it; and the end does not come before them."""
    api = system.api(organizer)
    show = await sale(system, organizer, 5, salesEnd="2030-01-01T23:00:00Z")
    path = f"/api/events/{show.event_id}"
    seat = {"name": "Seat", "price": "1", "quota": 1}
    for member, value in (
        ("salesStart", "2030-01-01T23:00:00Z"),
        ("salesEnd", "2030-01-01T23:00:00.000001Z"),
    ):
        assert _pointers(await api.post(f"{path}/ticket-types", seat | {member: value})) == [
            f"/{member}"
        ]
    assert _pointers(await api.patch(path, {"endTime": "2030-01-01T22:00:00Z"})) == ["/endTime"]


async def test_an_event_with_sales_stays_ahead(
    system: System, database: Database, organizer: Person
) -> None:
    """Nobody moves what was bought into the past."""
    show = await sale(system, organizer, 5)
    buyer = system.api(await person(database))
    assert (await buyer.post("/api/orders", items((show.ticket_type, 1)))).status == 201
    api, path = system.api(organizer), f"/api/events/{show.event_id}"
    assert _pointers(await api.patch(path, {"startTime": "2020-01-01T00:00:00Z"})) == ["/startTime"]
    assert (await api.patch(path, {"startTime": "2029-12-31T00:00:00Z"})).status == 200


async def test_a_name_has_one_spelling_and_something_to_see(
    system: System, organizer: Person
) -> None:
    """NFC on the way in; neither invisible names nor such as turn the page around them."""
    api = system.api(organizer)
    made = await api.post("/api/events", {"name": "Cafe\u0301", "venue": "Bu\u0308hne", **TIMES})
    assert (made.body["name"], made.body["venue"]) == ("Café", "Bühne")
    twin = await api.patch(f"/api/events/{made.body['id']}", {"name": "Café"})
    assert twin.body["version"] == 1, "twins are the same name"
    for name in ("\u200b\u00ad", "\u2800", "\u3164", "Gala\u202e", "\u2067Gala"):
        assert _pointers(await api.post("/api/events", {"name": name, **TIMES})) == ["/name"]
        seat = {"name": name, "price": "1", "quota": 1}
        answer = await api.post(f"/api/events/{made.body['id']}/ticket-types", seat)
        assert _pointers(answer) == ["/name"]


async def test_an_event_tells_its_zone_and_until_when_tickets_go_back(
    system: System, organizer: Person
) -> None:
    """Stored and shown as said; null brings the defaults back."""
    api = system.api(organizer)
    more = {"timezone": "Asia/Taipei", "refundUntil": "2029-12-25T08:00:00+08:00"}
    made = await api.post("/api/events", {"name": "Gala", **TIMES, **more})
    assert made.body["timezone"] == "Asia/Taipei"
    assert made.body["refundUntil"] == "2029-12-25T00:00:00.000000Z"
    assert made.body["salesPaused"] is False
    path = f"/api/events/{made.body['id']}"
    plain = await api.patch(path, {"timezone": None, "refundUntil": None})
    assert (plain.body["timezone"], plain.body["refundUntil"]) == ("UTC", None)
    assert _pointers(await api.patch(path, {"timezone": "Mars/Olympus"})) == ["/timezone"]


async def test_an_event_comes_as_a_calendar_file(system: System, organizer: Person) -> None:
    """For everybody, with a tag of its own; other methods and ids are refused as elsewhere."""
    api = system.api(organizer)
    zone = {"timezone": "Asia/Taipei"}
    made = await api.post("/api/events", {"name": "Gala", **TIMES, **zone})
    path = f"/api/events/{made.body['id']}.ics"
    found = await system.api().get(path)
    assert found.status == 200
    assert found.headers["Content-Type"] == "text/calendar; charset=utf-8"
    assert "DTSTART;TZID=Asia/Taipei:20300102T020000" in found.body
    again = await system.api().get(path, headers={"If-None-Match": found.headers["ETag"]})
    assert again.status == 304
    await api.patch(f"/api/events/{made.body['id']}", {"name": "Opera"})
    renamed = await system.api().get(path, headers={"If-None-Match": found.headers["ETag"]})
    assert "SUMMARY:Opera" in renamed.body
    assert (await system.api().get("/api/events/999999999.ics")).code == "NOT_FOUND"
    assert (await system.api().get("/api/events/gala.ics")).code == "INVALID"
    assert (await api.patch(path, {"name": "x"})).status == 405
