"""CreateQuote on real servers: reuse, limits in time, the total that it prices, and who may have one."""

from datetime import datetime, timedelta
from decimal import Decimal

import pytest

from contracts.problems import Code
from contracts.runtime.times import from_wire
from db.mysql.database import Database
from tests.harness.accounts import person
from tests.harness.command_client import CommandClient, result
from tests.harness.waiting import eventually
from tests.integration.payments.payment_client import (
    add,
    age,
    body,
    cancel,
    cancel_event,
    order_row,
    payment_status,
    quote,
    set_rate,
    unpaid,
)


@pytest.fixture(autouse=True)
async def rates(database: Database) -> None:
    """BTC at 64,000, ETH at 3,000."""
    await set_rate(database, "BTC", "64000")
    await set_rate(database, "ETH", "3000.12345678")


async def test_a_quote_prices_the_order_and_moves_its_end(
    client: CommandClient, database: Database
) -> None:
    """201 with Location; amount rounded up; both ends 15 minutes on; the order one version on, with its history."""
    sold = await unpaid(client)
    outcome = await client.ask(quote(sold.buyer, sold.order_id, "ETH"))
    made = body(outcome)
    assert outcome.status_code == 201
    assert outcome.location == f"/api/payments/{made['id']}"
    assert (made["status"], made["txHash"], made["asset"]) == ("PENDING", None, "ETH")
    assert (made["quoteRate"], made["rateSource"]) == ("3000.12345678", "fake")
    assert Decimal(made["amountCrypto"]) * Decimal("3000.12345678") >= Decimal("99.80")
    assert await order_row(database, sold.order_id) == ("PENDING_PAYMENT", 2)
    rows = await database.read(
        "SELECT o.expires_at, p.expires_at, h.reason FROM orders o JOIN payments p ON p.order_id = o.id "
        "JOIN order_history h ON h.order_id = o.id AND h.version = 2 WHERE o.id = %s",
        sold.order_id,
    )
    assert rows[0][0] == rows[0][1]
    assert rows[0][2] == "quoted"


async def test_a_standing_quote_is_given_again_whatever_the_rate_does(
    client: CommandClient, database: Database
) -> None:
    """200 and the very same payment, though the rate has moved; another asset gets its own."""
    sold = await unpaid(client)
    first = await client.ask(quote(sold.buyer, sold.order_id))
    await set_rate(database, "BTC", "70000")
    again = await client.ask(quote(sold.buyer, sold.order_id))
    other = await client.ask(quote(sold.buyer, sold.order_id, "ETH"))
    assert (first.status_code, again.status_code, other.status_code) == (201, 200, 201)
    assert body(again) == body(first)
    assert body(other)["id"] != body(first)["id"]


async def test_quotes_asked_for_at_once_are_one_quote(client: CommandClient) -> None:
    """Ten commands in one message: one 201, nine 200, one payment."""
    sold = await unpaid(client)
    uuids = [await client.send(quote(sold.buyer, sold.order_id)) for _ in range(10)]
    outcomes = [await client.outcome(uuid) for uuid in uuids]
    assert sorted(one.status_code for one in outcomes) == [200] * 9 + [201]
    assert len({body(one)["id"] for one in outcomes}) == 1


async def test_a_quote_that_ran_out_makes_room_for_a_new_one(
    client: CommandClient, database: Database
) -> None:
    """The old one reads EXPIRED, the new one has another id and today's rate."""
    sold = await unpaid(client)
    old = int(body(await client.ask(quote(sold.buyer, sold.order_id)))["id"])
    await age(database, "payments", old, 0)
    new = body(await client.ask(quote(sold.buyer, sold.order_id)))
    assert new["id"] != old
    assert await payment_status(database, old) == "EXPIRED"
    assert await payment_status(database, new["id"]) == "PENDING"


async def test_added_items_end_the_quote_and_the_next_prices_them(
    client: CommandClient, database: Database
) -> None:
    """The new quote covers three tickets; the old one is EXPIRED."""
    sold = await unpaid(client)
    old = body(await client.ask(quote(sold.buyer, sold.order_id)))
    result(await client.ask(add(sold.buyer, sold.event_id, sold.order_id, sold.ticket_type)))
    new = body(await client.ask(quote(sold.buyer, sold.order_id)))
    assert new["id"] != old["id"]
    assert Decimal(new["amountCrypto"]) * 2 == Decimal(old["amountCrypto"]) * 3
    assert await payment_status(database, old["id"]) == "EXPIRED"


async def test_added_items_show_on_the_quote_without_a_new_one(
    client: CommandClient, database: Database
) -> None:
    """The event alone makes it EXPIRED."""
    sold = await unpaid(client)
    old = int(body(await client.ask(quote(sold.buyer, sold.order_id)))["id"])
    result(await client.ask(add(sold.buyer, sold.event_id, sold.order_id, sold.ticket_type)))
    await _reads(database, old, "EXPIRED")


async def test_a_cancelled_order_s_quotes_end(client: CommandClient, database: Database) -> None:
    """All of them, by the event."""
    sold = await unpaid(client)
    ids = [
        int(body(await client.ask(quote(sold.buyer, sold.order_id, asset)))["id"])
        for asset in ("BTC", "ETH")
    ]
    result(await client.ask(cancel(sold.buyer, sold.order_id)))
    for payment_id in ids:
        await _reads(database, payment_id, "EXPIRED")


async def test_a_quote_past_its_time_is_swept(client: CommandClient, database: Database) -> None:
    """Nobody asked: the sweep makes it EXPIRED, the order lives on."""
    sold = await unpaid(client)
    old = int(body(await client.ask(quote(sold.buyer, sold.order_id)))["id"])
    await age(database, "payments", old, 1)
    await _reads(database, old, "EXPIRED")
    assert (await order_row(database, sold.order_id))[0] == "PENDING_PAYMENT"


async def test_the_longest_hold_bounds_every_quote(
    client: CommandClient, database: Database
) -> None:
    """29 minutes after the order was placed a quote lives one minute, and the order no longer."""
    sold = await unpaid(client)
    await database.write(
        "UPDATE orders SET created_at = created_at - INTERVAL 29 MINUTE, "
        "expires_at = created_at + INTERVAL 30 MINUTE - INTERVAL 10 SECOND WHERE id = %s",
        sold.order_id,
    )
    made = body(await client.ask(quote(sold.buyer, sold.order_id)))
    lives = from_wire(made["expiresAt"]) - from_wire(made["createdAt"])
    assert timedelta(seconds=50) < lives <= timedelta(seconds=60)
    rows = await database.read(
        "SELECT created_at, expires_at FROM orders WHERE id = %s", sold.order_id
    )
    created, expires = rows[0]
    assert isinstance(created, datetime)
    assert expires - created <= timedelta(minutes=30)


async def test_who_asks_and_what_for_is_looked_at_first(
    client: CommandClient, database: Database
) -> None:
    """Foreign and unknown orders 404, whatever the role; cancelled 409; without a rate 409, also a stale one."""
    sold = await unpaid(client)
    stranger = await person(database)
    keeper = await person(database, "ORGANIZER")
    await set_rate(database, "OLD", "5", age=601)
    await set_rate(database, "STALE", "5", age=590)
    asked = {
        "foreign": quote(stranger, sold.order_id),
        "unknown": quote(sold.buyer, 2**62),
        "role": quote(keeper, sold.order_id),
        "no rate": quote(sold.buyer, sold.order_id, "XYZ"),
        "too old": quote(sold.buyer, sold.order_id, "OLD"),
    }
    codes = {name: (await client.ask(command)).code for name, command in asked.items()}
    assert codes == {
        "foreign": Code.NOT_FOUND,
        "unknown": Code.NOT_FOUND,
        "role": Code.NOT_FOUND,
        "no rate": Code.RATE_UNAVAILABLE,
        "too old": Code.RATE_UNAVAILABLE,
    }
    assert (await client.ask(quote(sold.buyer, sold.order_id, "STALE"))).status_code == 201
    result(await client.ask(cancel(sold.buyer, sold.order_id)))
    gone = await client.ask(quote(sold.buyer, sold.order_id))
    assert gone.code == Code.ORDER_NOT_PENDING


async def test_a_cancelled_event_sells_no_quotes(client: CommandClient) -> None:
    """SALES_CLOSED, or ORDER_NOT_PENDING once the order worker has ended the order."""
    sold = await unpaid(client)
    result(await client.ask(cancel_event(sold.organizer, sold.event_id)))
    refused = await client.ask(quote(sold.buyer, sold.order_id))
    assert refused.code in (Code.SALES_CLOSED, Code.ORDER_NOT_PENDING)


async def _reads(database: Database, payment_id: int, status: str) -> None:
    async def look() -> bool:
        return await payment_status(database, payment_id) == status

    await eventually(look)
