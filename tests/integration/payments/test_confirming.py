"""ConfirmPayment on real servers: what a shown hash ends in, and that no money is lost or counted twice."""

import asyncio

import pytest

from contracts.outcomes import Outcome
from contracts.problems import Code
from db.mysql.database import Database
from tests.harness.accounts import person
from tests.harness.command_client import CommandClient, result
from tests.integration.payments.payment_client import (
    Sold,
    add,
    age,
    body,
    cancel,
    confirm,
    fresh_hash,
    order_row,
    payment_status,
    quote,
    receipts,
    set_rate,
    unpaid,
)


@pytest.fixture(autouse=True)
async def rates(database: Database) -> None:
    """BTC at 64,000, ETH at 3,000."""
    await set_rate(database, "BTC", "64000")
    await set_rate(database, "ETH", "3000")


async def quoted(client: CommandClient, asset: str = "BTC") -> tuple[Sold, int]:
    """An unpaid order with a quote."""
    sold = await unpaid(client)
    return sold, int(body(await client.ask(quote(sold.buyer, sold.order_id, asset)))["id"])


async def test_the_hash_pays_and_the_order_is_confirmed_with_it(
    client: CommandClient, database: Database
) -> None:
    """200 CONFIRMED with the hash in lower case; order CONFIRMED, history, one APPLIED receipt, two events."""
    sold, payment_id = await quoted(client)
    shown = fresh_hash()
    outcome = await client.ask(confirm(sold.buyer, payment_id, "0X" + shown[2:].upper()))
    assert outcome.status_code == 200
    assert (body(outcome)["status"], body(outcome)["txHash"]) == ("CONFIRMED", shown)
    assert await order_row(database, sold.order_id) == ("CONFIRMED", 3)
    assert await receipts(database, payment_id) == [(shown, "APPLIED")]
    rows = await database.read(
        "SELECT reason FROM order_history WHERE order_id = %s ORDER BY version", sold.order_id
    )
    assert [row[0] for row in rows] == ["quoted", "paid"]


async def test_the_same_hash_again_gives_the_same_answer(
    client: CommandClient, database: Database
) -> None:
    """For a paid and for a late payment, in another spelling too, with one receipt each."""
    sold, payment_id = await quoted(client)
    shown = fresh_hash()
    first = await client.ask(confirm(sold.buyer, payment_id, shown))
    again = await client.ask(confirm(sold.buyer, payment_id, "0X" + shown[2:].upper()))
    assert (again.status_code, body(again)) == (200, body(first))
    sold, payment_id = await quoted(client)
    await age(database, "payments", payment_id, 1)
    late = fresh_hash()
    answers = [await client.ask(confirm(sold.buyer, payment_id, late)) for _ in range(2)]
    assert [one.code for one in answers] == [Code.QUOTE_EXPIRED] * 2
    assert [body(one)["paymentStatus"] for one in answers] == ["LATE"] * 2
    result(await client.ask(cancel(sold.buyer, sold.order_id)))
    assert (await client.ask(confirm(sold.buyer, payment_id, late))).code == Code.QUOTE_EXPIRED
    assert await receipts(database, payment_id) == [(late, "LATE")]


async def test_a_used_hash_buys_nothing_else(client: CommandClient, database: Database) -> None:
    """TX_HASH_USED on another payment, of the same buyer or another, whether it paid or came late."""
    sold, payment_id = await quoted(client)
    other, other_payment = await quoted(client)
    shown = fresh_hash()
    await client.ask(confirm(sold.buyer, payment_id, shown))
    refused = await client.ask(confirm(other.buyer, other_payment, shown))
    assert refused.code == Code.TX_HASH_USED
    assert await receipts(database, payment_id, other_payment) == [(shown, "APPLIED")]
    assert await order_row(database, other.order_id) == ("PENDING_PAYMENT", 2)
    assert await payment_status(database, other_payment) == "PENDING"
    assert (await client.ask(confirm(other.buyer, other_payment, fresh_hash()))).status_code == 200


async def test_one_hash_for_many_payments_at_once_buys_one(
    client: CommandClient, database: Database
) -> None:
    """Six buyers show the same hash in the same moment, twice each: one is paid, the others are refused."""
    ready = await asyncio.gather(*(quoted(client) for _ in range(6)))
    shown = fresh_hash()
    commands = [confirm(sold.buyer, payment_id, shown) for sold, payment_id in ready] * 2
    uuids = await asyncio.gather(*(client.send(command) for command in commands))
    outcomes = [await client.outcome(uuid) for uuid in uuids]
    assert sorted(one.status_code for one in outcomes) == [200] * 2 + [409] * 10
    assert {one.code for one in outcomes} == {None, Code.TX_HASH_USED}
    found = await receipts(database, *(payment_id for _, payment_id in ready))
    assert found == [(shown, "APPLIED")]


async def test_money_for_an_order_that_is_gone_is_kept_for_a_refund(
    client: CommandClient, database: Database
) -> None:
    """Cancelled: ORDER_NOT_PENDING and LATE; the payment keeps the hash, PaymentLate goes out, no ticket."""
    sold, payment_id = await quoted(client)
    result(await client.ask(cancel(sold.buyer, sold.order_id)))
    shown = fresh_hash()
    outcome = await client.ask(confirm(sold.buyer, payment_id, shown))
    _late(outcome, Code.ORDER_NOT_PENDING)
    assert await payment_status(database, payment_id) == "LATE"
    assert await receipts(database, payment_id) == [(shown, "LATE")]
    assert (await order_row(database, sold.order_id))[0] == "CANCELLED"


async def test_the_clock_decides_not_the_sweep(client: CommandClient, database: Database) -> None:
    """An order or a quote past its end that nobody has swept yet: refused all the same."""
    sold, payment_id = await quoted(client)
    await age(database, "orders", sold.order_id, 0)
    _late(await client.ask(confirm(sold.buyer, payment_id, fresh_hash())), Code.ORDER_NOT_PENDING)
    sold, payment_id = await quoted(client)
    await age(database, "payments", payment_id, 0)
    _late(await client.ask(confirm(sold.buyer, payment_id, fresh_hash())), Code.QUOTE_EXPIRED)
    assert await order_row(database, sold.order_id) == ("PENDING_PAYMENT", 2)


async def test_a_quote_pays_only_for_the_total_it_priced(
    client: CommandClient, database: Database
) -> None:
    """Items added after it: QUOTE_EXPIRED, the order still waits, the next quote pays for all."""
    sold, payment_id = await quoted(client)
    result(await client.ask(add(sold.buyer, sold.event_id, sold.order_id, sold.ticket_type)))
    _late(await client.ask(confirm(sold.buyer, payment_id, fresh_hash())), Code.QUOTE_EXPIRED)
    new = body(await client.ask(quote(sold.buyer, sold.order_id)))
    assert (await client.ask(confirm(sold.buyer, new["id"], fresh_hash()))).status_code == 200
    assert (await order_row(database, sold.order_id))[0] == "CONFIRMED"


async def test_paying_twice_is_owed_back_once(client: CommandClient, database: Database) -> None:
    """A second hash on the paid quote, and one on the order's other quote: both LATE, the order stays paid once."""
    sold, payment_id = await quoted(client)
    other = int(body(await client.ask(quote(sold.buyer, sold.order_id, "ETH")))["id"])
    first, second, third = fresh_hash(), fresh_hash(), fresh_hash()
    assert (await client.ask(confirm(sold.buyer, payment_id, first))).status_code == 200
    assert await payment_status(database, other) == "EXPIRED"
    _late(await client.ask(confirm(sold.buyer, payment_id, second)), Code.ORDER_NOT_PENDING)
    _late(await client.ask(confirm(sold.buyer, other, third)), Code.ORDER_NOT_PENDING)
    assert await payment_status(database, payment_id) == "CONFIRMED"
    assert await payment_status(database, other) == "LATE"
    expected = sorted([(first, "APPLIED"), (second, "LATE"), (third, "LATE")])
    assert await receipts(database, payment_id, other) == expected


async def test_strangers_touch_nothing(client: CommandClient, database: Database) -> None:
    """404 for who does not own it, admins too, and for what is not there; no receipt."""
    sold, payment_id = await quoted(client)
    stranger, keeper = await person(database), await person(database, "ADMIN")
    shown = fresh_hash()
    assert (await client.ask(confirm(stranger, payment_id, shown))).code == Code.NOT_FOUND
    assert (await client.ask(confirm(sold.buyer, 2**62, shown))).code == Code.NOT_FOUND
    assert (await client.ask(confirm(keeper, payment_id, shown))).code == Code.NOT_FOUND
    assert await receipts(database, payment_id) == []
    assert (await client.ask(confirm(sold.buyer, payment_id, shown))).status_code == 200


async def test_a_message_of_many_confirmations_ends_each_for_itself(
    client: CommandClient, database: Database
) -> None:
    """Twenty orders paid at once, five with a hash that another shows too: 15 paid, 5 refused."""
    ready = await asyncio.gather(*(quoted(client) for _ in range(20)))
    hashes = [fresh_hash() for _ in range(15)] + [fresh_hash() for _ in range(5)]
    for n in range(5):
        hashes[15 + n] = hashes[n]
    uuids = await asyncio.gather(
        *(
            client.send(confirm(sold.buyer, payment_id, shown))
            for (sold, payment_id), shown in zip(ready, hashes, strict=True)
        )
    )
    outcomes = [await client.outcome(uuid) for uuid in uuids]
    assert sorted(str(one.code) for one in outcomes) == ["None"] * 15 + ["TX_HASH_USED"] * 5
    found = await receipts(database, *(payment_id for _, payment_id in ready))
    assert len(found) == 15
    assert {status for _, status in found} == {"APPLIED"}


def _late(outcome: Outcome, code: Code) -> None:
    assert (outcome.status_code, outcome.code) == (409, code)
    assert body(outcome)["paymentStatus"] == "LATE"
