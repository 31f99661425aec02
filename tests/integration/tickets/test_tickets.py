"""The ticket itself: issued with the payment, read by those whom it concerns, transferred, renamed."""

import re
from typing import Any

import jwt
import pytest

from db.mysql.database import Database
from tests.harness.accounts import Person, person
from tests.harness.sales import order, sale
from tests.harness.system import System
from tests.integration.tickets.door import buy, concert, gate, pay, scan, tickets


async def test_one_ticket_for_each_place_once_the_order_is_paid(
    hub: System, organizer: Person, buyer: Person
) -> None:
    """None before, exactly the places after; held by the buyer."""
    sold = await sale(hub, organizer, 10, 10)
    api = hub.api(buyer)
    made = await api.post(
        "/api/orders",
        {
            "items": [
                {"ticketTypeId": sold.ticket_types[0], "quantity": 2},
                {"ticketTypeId": sold.ticket_types[1], "quantity": 1},
            ]
        },
    )
    order_id = made.body["id"]
    assert await tickets(hub, buyer, order_id) == []
    await pay(api, order_id)
    issued = await tickets(hub, buyer, order_id)
    places = sorted((one["ticketTypeId"], one["number"]) for one in issued)
    assert places == [
        (sold.ticket_types[0], 1),
        (sold.ticket_types[0], 2),
        (sold.ticket_types[1], 1),
    ]
    for one in issued:
        assert (one["status"], one["version"], one["holderId"]) == ("VALID", 1, buyer.id)
        assert (one["holderName"], one["usedAt"], one["orderId"]) == (None, None, order_id)
    held = await api.get("/api/tickets")
    assert [one["id"] for one in held.body["data"]] == sorted(
        (one["id"] for one in issued), reverse=True
    )


async def test_items_added_later_get_their_tickets_too(
    hub: System, organizer: Person, buyer: Person
) -> None:
    """An order's lines of two commands: each place once."""
    sold = await sale(hub, organizer, 10)
    api = hub.api(buyer)
    order_id = await order(api, sold.ticket_type, 2)
    added = {"items": [{"ticketTypeId": sold.ticket_type, "quantity": 3}], "orderId": order_id}
    assert (await api.post("/api/orders", added)).status == 201
    await pay(api, order_id)
    assert len(await tickets(hub, buyer, order_id)) == 5


async def test_the_code_verifies_with_the_public_keys_alone(
    hub: System, organizer: Person, buyer: Person
) -> None:
    """PyJWT, the published key set, and nothing of ours."""
    shown = await concert(hub, organizer, buyer)
    [ticket] = shown.tickets
    published = await hub.api().get("/.well-known/eventhub-tickets.json")
    assert published.status == 200
    assert published.headers["Cache-Control"] == "public, max-age=3600"
    assert published.headers["Content-Type"] == "application/jwk-set+json"
    header = jwt.get_unverified_header(ticket["code"])
    assert (header["alg"], header["typ"]) == ("EdDSA", "ticket+jwt")
    key = jwt.PyJWKSet.from_dict(published.body)[header["kid"]]
    claims = jwt.decode(ticket["code"], key, algorithms=["EdDSA"])
    assert claims == {
        "tid": ticket["id"],
        "eid": shown.sale.event_id,
        "tty": shown.sale.ticket_type,
        "ver": 1,
    }
    assert all("d" not in one for one in published.body["keys"])


async def test_who_sees_a_ticket_and_who_its_code(
    hub: System, database: Database, organizer: Person, buyer: Person
) -> None:
    """Holder and admins: with the code; buyer and organizer: without; others: nothing."""
    shown = await concert(hub, organizer, buyer, 2)
    first, second = shown.tickets
    friend, admin = await person(database), await person(database, "ADMIN")
    stranger, rival = await person(database), await person(database, "ORGANIZER")
    given = await hub.api(buyer).post(
        f"/api/tickets/{first['id']}/transfer", {"email": friend.email}
    )
    assert given.status == 200, given.body
    assert "code" not in given.body

    async def seen(who: Person, ticket: dict[str, Any]) -> bool | None:
        answer = await hub.api(who).get(f"/api/tickets/{ticket['id']}")
        return answer.body["code"] is not None if answer.status == 200 else None

    assert [await seen(who, first) for who in (friend, buyer, organizer, admin)] == [
        True,
        False,
        False,
        True,
    ]
    assert [await seen(who, first) for who in (stranger, rival)] == [None, None]
    assert [await seen(friend, second), await seen(buyer, second)] == [None, True]
    assert [one["id"] for one in await tickets(hub, friend, shown.order_id)] == [first["id"]]
    everything = await tickets(hub, buyer, shown.order_id)
    assert [one["code"] is not None for one in everything] == [False, True]
    for who in (stranger, rival):
        assert (await hub.api(who).get(f"/api/orders/{shown.order_id}/tickets")).status == 404


async def test_the_picture_is_the_holders(
    hub: System, database: Database, organizer: Person, buyer: Person
) -> None:
    """An SVG, for nobody else."""
    [ticket] = (await concert(hub, organizer, buyer)).tickets
    picture = await hub.api(buyer).get(f"/api/tickets/{ticket['id']}/qr.svg")
    assert picture.status == 200
    assert picture.headers["Content-Type"] == "image/svg+xml"
    assert re.match(r"<svg [^>]*xmlns=\"http://www.w3.org/2000/svg\"", picture.body)
    for who in (organizer, await person(database, "ADMIN"), await person(database)):
        assert (await hub.api(who).get(f"/api/tickets/{ticket['id']}/qr.svg")).status == 404


async def test_a_transfer_voids_the_code_of_before_at_once(
    hub: System, database: Database, organizer: Person, buyer: Person
) -> None:
    """The old holder's picture opens nothing any more; the new one's does."""
    shown = await concert(hub, organizer, buyer)
    [ticket] = shown.tickets
    friend = await person(database)
    door = await gate(hub, organizer, shown.sale.event_id)
    path = f"/api/tickets/{ticket['id']}"
    named = await hub.api(buyer).patch(path, {"holderName": "Ada"})
    assert (named.status, named.body["holderName"], named.body["version"]) == (200, "Ada", 1)
    given = await hub.api(buyer).post(path + "/transfer", {"email": friend.email.upper()})
    assert (given.status, given.body["holderId"], given.body["version"]) == (200, friend.id, 2)
    assert given.body["holderName"] is None, "the name was the old holder's"
    fresh = (await hub.api(friend).get(path)).body["code"]
    assert await door.rulings(scan(ticket["code"]), scan(fresh)) == ["VOID", "ADMITTED"]
    again = await hub.api(buyer).post(path + "/transfer", {"email": buyer.email})
    assert again.status == 404, "it is not the buyer's any more"
    used = await hub.api(friend).post(path + "/transfer", {"email": buyer.email})
    assert (used.status, used.code) == (409, "TICKET_USED")
    renamed = await hub.api(friend).patch(path, {"holderName": "Grace"})
    assert (renamed.status, renamed.code) == (409, "TICKET_USED")


async def test_a_ticket_goes_to_active_accounts_only(
    hub: System, database: Database, organizer: Person, buyer: Person
) -> None:
    """Nobody of that address, or a disabled account: 404, and nothing moved."""
    [ticket] = (await concert(hub, organizer, buyer)).tickets
    gone, admin = await person(database), await person(database, "ADMIN")
    await hub.api(admin).patch(f"/api/admin/users/{gone.id}", {"status": "DISABLED"})
    path = f"/api/tickets/{ticket['id']}"
    for email in (gone.email, "nobody@example.test"):
        answer = await hub.api(buyer).post(path + "/transfer", {"email": email})
        assert (answer.status, answer.code) == (404, "NOT_FOUND")
    assert (await hub.api(buyer).get(path)).body["version"] == 1


@pytest.mark.parametrize("name", ["", " ", "\u200b", "\u3164", "a\u202eb", "x" * 101, 5, ["Ada"]])
async def test_a_name_shows_something(
    hub: System, organizer: Person, buyer: Person, name: object
) -> None:
    """Blank, invisible, turning, too long, no text: 400."""
    [ticket] = (await concert(hub, organizer, buyer)).tickets
    answer = await hub.api(buyer).patch(f"/api/tickets/{ticket['id']}", {"holderName": name})
    assert (answer.status, answer.code) == (400, "INVALID")


async def test_a_void_ticket_has_no_code(
    hub: System, database: Database, organizer: Person, buyer: Person
) -> None:
    """What a refund leaves: no code, no picture, no transfer."""
    shown = await concert(hub, organizer, buyer)
    [ticket] = shown.tickets
    path = f"/api/tickets/{ticket['id']}"
    async with database.transaction() as transaction:
        await transaction.execute(
            "UPDATE tickets SET status = 'VOID', updated_at = UTC_TIMESTAMP(6) WHERE id = %s",
            ticket["id"],
        )
    try:
        assert (await hub.api(buyer).get(path)).body["code"] is None
        picture = await hub.api(buyer).get(path + "/qr.svg")
        assert (picture.status, picture.code) == (409, "TICKET_VOID")
        given = await hub.api(buyer).post(path + "/transfer", {"email": organizer.email})
        assert (given.status, given.code) == (409, "TICKET_VOID")
    finally:
        await database.write("UPDATE tickets SET status = 'VALID' WHERE id = %s", ticket["id"])


async def test_an_order_of_many_places(hub: System, organizer: Person, buyer: Person) -> None:
    """A hundred tickets come with one payment, page by page."""
    sold = await sale(hub, organizer, 100, maxPerOrder=100)
    order_id = await buy(hub, buyer, sold.ticket_type, 100)
    seen: list[int] = []
    cursor = ""
    while True:
        answer = await hub.api(buyer).get(f"/api/orders/{order_id}/tickets?limit=30{cursor}")
        seen += [one["number"] for one in answer.body["data"]]
        if not answer.body["hasMore"]:
            break
        cursor = f"&cursor={answer.body['nextCursor']}"
    assert seen == list(range(1, 101))
