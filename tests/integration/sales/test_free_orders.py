"""Free tickets: an order that costs nothing is CONFIRMED at once, and nothing is paid."""

from collections.abc import AsyncIterator

import pytest

from db.mysql.database import Database
from tests.harness.accounts import Person, person
from tests.harness.sales import items, order, sale
from tests.harness.scratch import Scratch
from tests.harness.system import System, running
from tests.harness.waiting import eventually
from tests.integration.payments.payment_client import fresh_hash, set_rate


@pytest.fixture(scope="module")
async def system(scratch: Scratch, database: Database) -> AsyncIterator[System]:
    async with running(scratch, workers=("inventory", "order", "payment", "relay")) as started:
        yield started


@pytest.fixture
async def buyer(system: System, database: Database) -> Person:
    return await person(database)


@pytest.fixture
async def organizer(system: System, database: Database) -> Person:
    return await person(database, "ORGANIZER")


async def test_a_free_order_is_confirmed_at_once(
    system: System, buyer: Person, organizer: Person, database: Database
) -> None:
    """It takes its tickets for good, and there is nothing to quote or cancel."""
    free = await sale(system, organizer, 5, price="0.00")
    api = system.api(buyer)
    placed = await api.post("/api/orders", items((free.ticket_type, 2)))
    assert (placed.status, placed.body["status"], placed.body["totalCost"]) == (
        201,
        "CONFIRMED",
        "0.00",
    )
    order_id = placed.body["id"]
    assert (await api.get(f"/api/orders/{order_id}")).body == placed.body
    quote = await api.post(
        "/api/public/payment/create-quote", {"orderId": order_id, "asset": "BTC"}
    )
    assert quote.code == "ORDER_NOT_PENDING"
    assert (await api.post(f"/api/orders/{order_id}/cancel")).code == "ORDER_NOT_PENDING"
    issued = (await api.get(f"/api/orders/{order_id}/tickets")).body["data"]
    assert [(one["number"], one["status"]) for one in issued] == [(1, "VALID"), (2, "VALID")]
    assert len({one["code"] for one in issued}) == 2
    sales = (await system.api(organizer).get(f"/api/events/{free.event_id}/sales")).body
    one = sales["ticketTypes"][0]
    assert (one["available"], one["held"], one["sold"], one["revenue"]) == (3, 0, 2, "0.00")


async def test_free_tickets_are_never_oversold(
    system: System, buyer: Person, organizer: Person
) -> None:
    """The last one is the last one."""
    free = await sale(system, organizer, 1, price="0")
    api = system.api(buyer)
    assert (await api.post("/api/orders", items((free.ticket_type, 1)))).status == 201
    assert (await api.post("/api/orders", items((free.ticket_type, 1)))).code == "SOLD_OUT"


async def test_a_free_ticket_beside_a_paid_one_waits_for_the_payment(
    system: System, buyer: Person, organizer: Person
) -> None:
    """The order costs something, so it is paid as any other."""
    both = await sale(system, organizer, 5, 5)
    patched = await system.api(organizer).patch(
        f"/api/ticket-types/{both.ticket_types[1]}", {"price": "0.00"}
    )
    assert (patched.status, patched.body["price"]) == (200, "0.00")
    placed = await system.api(buyer).post(
        "/api/orders", items((both.ticket_types[0], 1), (both.ticket_types[1], 1))
    )
    assert (placed.body["status"], placed.body["totalCost"]) == ("PENDING_PAYMENT", "49.90")


async def test_a_free_addition_ends_the_quotes_of_before(
    system: System, buyer: Person, organizer: Person, database: Database
) -> None:
    """The total is the same and the items are not: the old quote pays for nothing, a new one for all."""
    await set_rate(database, "BTC", "50000")
    both = await sale(system, organizer, 5, 5)
    free_type = both.ticket_types[1]
    await system.api(organizer).patch(f"/api/ticket-types/{free_type}", {"price": "0.00"})
    api = system.api(buyer)
    order_id = await order(api, both.ticket_types[0])
    asked = {"orderId": order_id, "asset": "BTC"}
    old = (await api.post("/api/public/payment/create-quote", asked)).body["id"]
    added = await api.post("/api/orders", items((free_type, 1)) | {"orderId": order_id})
    assert (added.status, added.body["totalCost"]) == (201, "49.90")

    async def ended() -> bool:
        return bool((await api.get(f"/api/payments/{old}")).body["status"] == "EXPIRED")

    await eventually(ended, within=20)
    late = await api.post(f"/api/public/payment/confirm-payment/{old}", {"txHash": fresh_hash()})
    assert (late.code, late.body["paymentStatus"]) == ("QUOTE_EXPIRED", "LATE")
    new = (await api.post("/api/public/payment/create-quote", asked)).body["id"]
    paid = await api.post(f"/api/public/payment/confirm-payment/{new}", {"txHash": fresh_hash()})
    assert (paid.status, paid.body["status"]) == (200, "CONFIRMED")


@pytest.mark.parametrize("price", ["-0.01", "0.001", "", "free"])
async def test_a_price_that_is_none_is_refused(
    system: System, organizer: Person, price: str
) -> None:
    """Nothing below zero, nothing finer than cents."""
    event = await sale(system, organizer)
    body = {"name": "Seat", "price": price, "quota": 5}
    answer = await system.api(organizer).post(f"/api/events/{event.event_id}/ticket-types", body)
    assert answer.code == "INVALID"
