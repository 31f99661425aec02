"""A whole purchase over HTTP, what its buyer may get wrong on the way, and the events that tell of it."""

import asyncio
from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any

import orjson
import pytest

from contracts.messaging.topology import topology
from db.mysql.database import Database
from tests.harness.accounts import Person, person
from tests.harness.recorded_messages import Tap, tapping
from tests.harness.sales import Sale, items, order, sale
from tests.harness.scratch import Scratch, scratch_servers
from tests.harness.system import Api, System, running
from tests.harness.waiting import eventually
from tests.integration.payments.payment_client import fresh_hash, set_rate

QUOTE, CONFIRM = "/api/public/payment/create-quote", "/api/public/payment/confirm-payment"


@pytest.fixture(scope="module")
async def place() -> AsyncIterator[Scratch]:
    """A place of their own: its one payment worker is stopped here, and no other must stand in."""
    async with scratch_servers() as scratch:
        yield scratch


@pytest.fixture(scope="module")
async def database(place: Scratch) -> AsyncIterator[Database]:
    """A pool on its database."""
    opened = await Database.connect(place.mysql_url)
    yield opened
    await opened.close()


@pytest.fixture(scope="module")
async def system(place: Scratch) -> AsyncIterator[System]:
    """A gateway and the workers of a purchase."""
    async with running(place, workers=("inventory", "order", "payment", "relay")) as started:
        yield started


@pytest.fixture(scope="module")
async def show(system: System, database: Database) -> Sale:
    """An event with 500 tickets at 49.90 USD."""
    await set_rate(database, "WEB", "64000")
    return await sale(system, await person(database, "ORGANIZER"), 500)


@pytest.fixture
async def buyer(database: Database) -> Person:
    """Somebody with the role USER."""
    return await person(database)


async def quoted(api: Api, show: Sale) -> tuple[int, dict[str, Any]]:
    """(order id, payment) of a new quoted order."""
    order_id = await order(api, show.ticket_type)
    answer = await api.post(QUOTE, {"orderId": order_id, "asset": "WEB"})
    assert answer.status == 201, answer.body
    return order_id, answer.body


async def test_a_purchase_from_order_to_confirmed(
    system: System, show: Sale, buyer: Person
) -> None:
    """201, 201, 200; the order reads CONFIRMED in the same instant; the payment shows what was paid."""
    api = system.api(buyer)
    order_id, payment = await quoted(api, show)
    assert (await api.get(f"/api/payments/{payment['id']}")).body == payment
    again = await api.post(QUOTE, {"orderId": order_id, "asset": "WEB"})
    assert (again.status, again.body) == (200, payment)
    answer = await api.post(f"{CONFIRM}/{payment['id']}", {"txHash": fresh_hash()})
    assert answer.status == 200, answer.body
    assert answer.body["status"] == "CONFIRMED"
    assert (await api.get(f"/api/orders/{order_id}")).body["status"] == "CONFIRMED"
    assert Decimal(answer.body["amountCrypto"]) == Decimal("49.90") / 64000


async def test_a_quote_ends_in_the_instant_its_total_does(
    system: System, show: Sale, buyer: Person
) -> None:
    """Items are added, the order is cancelled: the quote reads EXPIRED at once, with its worker stopped, too."""
    api = system.api(buyer)
    order_id, payment = await quoted(api, show)
    cancelled_id, other = await quoted(api, show)
    await system.stop("payment")
    try:
        added = items((show.ticket_type, 1)) | {"orderId": order_id}
        assert (await api.post("/api/orders", added)).status == 201
        assert (await api.post(f"/api/orders/{cancelled_id}/cancel")).status == 200
        for ended in (payment, other):
            shown = (await api.get(f"/api/payments/{ended['id']}")).body
            assert shown == ended | {"status": "EXPIRED"}
    finally:
        system.start("payment")


@pytest.mark.parametrize(
    "tx_hash",
    [
        "",
        "0x",
        "ab" * 32,
        "0x" + "ab" * 31,
        "0x" + "ab" * 33,
        "0x" + "gg" * 32,
        " 0x" + "ab" * 32,
        "0x" + "ab" * 32 + "\n",
        "0x" + "٣" * 64,
        None,
        1,
        ["0x" + "ab" * 32],
    ],
)
async def test_what_is_no_hash_is_invalid_and_leaves_no_receipt(
    system: System, show: Sale, buyer: Person, database: Database, tx_hash: object
) -> None:
    """400 with a pointer; the quote still stands."""
    api = system.api(buyer)
    _, payment = await quoted(api, show)
    answer = await api.post(f"{CONFIRM}/{payment['id']}", {"txHash": tx_hash})
    assert (answer.status, answer.code) == (400, "INVALID")
    assert answer.body["errors"][0]["pointer"].startswith("/txHash")
    rows = await database.read(
        "SELECT COUNT(*) FROM payment_receipts WHERE payment_id = %s", payment["id"]
    )
    assert rows[0][0] == 0
    assert (await api.get(f"/api/payments/{payment['id']}")).body["status"] == "PENDING"


@pytest.mark.parametrize("asset", ["", "btc", "B", "B" * 17, "BT C", None, 7])
async def test_what_is_no_asset_is_invalid(
    system: System, show: Sale, buyer: Person, asset: object
) -> None:
    """400 before anything is asked of a worker."""
    api = system.api(buyer)
    order_id = await order(api, show.ticket_type)
    answer = await api.post(QUOTE, {"orderId": order_id, "asset": asset})
    assert (answer.status, answer.code) == (400, "INVALID")


async def test_other_people_s_orders_and_payments_do_not_exist(
    system: System, show: Sale, buyer: Person, database: Database
) -> None:
    """404 for a stranger; an admin may look and not pay."""
    order_id, payment = await quoted(system.api(buyer), show)
    stranger, admin = await person(database), await person(database, "ADMIN")
    shown = {"txHash": fresh_hash()}
    for path, body in (
        (QUOTE, {"orderId": order_id, "asset": "WEB"}),
        (f"{CONFIRM}/{payment['id']}", shown),
    ):
        assert (await system.api(stranger).post(path, body)).status == 404
        assert (await system.api(admin).post(path, body)).status == 404
        assert (await system.api().post(path, body)).status == 401
    assert (await system.api(stranger).get(f"/api/payments/{payment['id']}")).status == 404
    assert (await system.api(admin).get(f"/api/payments/{payment['id']}")).status == 200


async def test_a_missing_rate_binds_no_key(
    system: System, show: Sale, buyer: Person, database: Database
) -> None:
    """RATE_UNAVAILABLE under a key; once there is a rate the same key gets its quote, and then always that one."""
    api = system.api(buyer)
    order_id = await order(api, show.ticket_type)
    body = {"orderId": order_id, "asset": "LATER"}
    await set_rate(database, "LATER", "5", age=601)
    refused = await api.post(QUOTE, body, key=f"quote-{order_id}")
    assert (refused.status, refused.code) == (409, "RATE_UNAVAILABLE")
    await set_rate(database, "LATER", "5")
    made = await api.post(QUOTE, body, key=f"quote-{order_id}")
    assert made.status == 201
    again = await api.post(QUOTE, body, key=f"quote-{order_id}")
    assert (again.status, again.body) == (201, made.body)
    assert again.headers["Idempotent-Replayed"] == "true"


async def test_each_step_is_published_once_in_order(
    system: System, place: Scratch, show: Sale, buyer: Person
) -> None:
    """Quoted, paid, confirmed, tickets issued, then late money with its hash: one order, in order."""
    api = system.api(buyer)
    wanted = topology(system.settings.shards, system.settings.queue_length)
    async with tapping(place.amqp_url, wanted) as tap:
        order_id, payment = await quoted(api, show)
        path, good, late = f"{CONFIRM}/{payment['id']}", fresh_hash(), fresh_hash()
        paid = await api.post(path, {"txHash": good})
        assert paid.status == 200
        assert [one["txHash"] for one in paid.body["receipts"]] == [good]
        refused = await asyncio.gather(*(api.post(path, {"txHash": late}) for _ in range(3)))
        assert [one.body["paymentStatus"] for one in refused] == ["LATE"] * 3

        async def told() -> list[dict[str, Any]]:
            events = [one for one in _events(tap) if one["subject"] == f"order:{order_id}"]
            return events if len(events) >= 6 else []

        events = await eventually(told)
    assert [one["type"].split(".", 1)[1] for one in events] == [
        "order.placed.v1",
        "payment.quoted.v1",
        "payment.confirmed.v1",
        "order.confirmed.v1",
        "ticket.issued.v1",
        "payment.late.v1",
    ]
    assert [int(one["sequence"]) for one in events] == [1, 2, 3, 3, 3, 3]
    assert events[3]["data"]["order"]["details"][0]["quantity"] == 1
    assert events[5]["data"]["receipt"] == events[5]["data"]["txHash"] == late
    assert events[5]["data"]["payment"]["txHash"] == good
    now = (await api.get(f"/api/payments/{payment['id']}")).body
    assert events[5]["data"]["payment"]["receipts"] == now["receipts"]
    assert [(one["txHash"], one["status"]) for one in now["receipts"]] == [
        (good, "APPLIED"),
        (late, "LATE"),
    ]
    assert {one["refundId"] for one in now["receipts"]} == {None}
    assert events[5]["data"]["payment"]["status"] == "CONFIRMED"
    assert {one["data"].get("userId", buyer.id) for one in events} == {buyer.id}


def _events(tap: Tap) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for one in tap.passed:
        if one.exchange == "eventhub.events":
            parsed = orjson.loads(one.body)
            found += parsed if isinstance(parsed, list) else [parsed]
    return found
