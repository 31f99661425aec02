"""What somebody with write access to the queues can do: say again what was said, and nothing else."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta

import orjson
import pytest

from contracts.commands import Command, PlaceOrder
from contracts.messaging.envelope import SINGLE, Envelope
from contracts.messaging.publisher import Properties
from contracts.messaging.topology import AGAIN_EXCHANGE
from contracts.outcomes import Outcome
from db.mysql.database import Database
from tests.faults.proof import ends, proven
from tests.harness.accounts import Person, person
from tests.harness.command_client import Desk, place, result
from tests.harness.waiting import eventually
from tests.harness.workers import staff
from tests.integration.payments.payment_client import (
    Sold,
    cancel,
    confirm,
    fresh_hash,
    order_row,
    quote,
    receipts,
    set_rate,
    unpaid,
)

CREW = ("inventory", "order", "payment", "relay", "notify")


@pytest.fixture(scope="module", autouse=True)
async def crew(counter: Desk) -> AsyncIterator[None]:
    """Everybody works."""
    async with staff(counter.settings, *CREW):
        yield


async def put(counter: Desk, queue: str, body: bytes) -> None:
    """Straight onto a queue."""
    await counter.publisher.publish(AGAIN_EXCHANGE, queue, body, Properties(SINGLE))


async def orders_of(books: Database, buyer: Person) -> int:
    """How many orders the buyer has."""
    rows = await books.read("SELECT COUNT(*) FROM orders WHERE user_id = %s", buyer.id)
    return int(rows[0][0])


async def show(counter: Desk, books: Database) -> tuple[Person, PlaceOrder]:
    """A buyer and their order command for a ticket that is there."""
    organizer, buyer = await person(books, "ORGANIZER"), await person(books)
    event_id, (type_id,) = await counter.sale(organizer, 10)
    return buyer, place(buyer, event_id, (type_id, 1))


async def dead(books: Database, mark: str) -> str:
    """The reason why a message was put aside; it is then expected."""

    async def look() -> str:
        rows = await books.read(
            "SELECT reason FROM dead_letters WHERE status = 'DEAD' AND body LIKE %s", f"%{mark}%"
        )
        return rows[0][0] if rows else ""

    reason = await eventually(look)
    await books.write("UPDATE dead_letters SET status = 'DROPPED' WHERE body LIKE %s", f"%{mark}%")
    return reason


async def test_a_captured_command_said_again_anywhere_is_the_same_command(
    counter: Desk, books: Database
) -> None:
    """On its own queue and on every other shard's: one order, one outcome."""
    async with staff(counter.settings, *CREW):
        buyer, command = await show(counter, books)
        uuid, envelope = counter.envelope(command)
        captured = counter.codec.encode(envelope)
        for shard in range(counter.settings.shards):
            await put(counter, f"inventory.{shard}", captured)
        [first] = await ends(books, [uuid])
        for shard in range(counter.settings.shards):
            await put(counter, f"inventory.{shard}", captured)
        await counter.ask(command)
        assert await ends(books, [uuid]) == [first]
        await proven(books)
    assert await orders_of(books, buyer) == 2


async def test_a_captured_command_on_another_owner_s_queue_is_put_aside(
    counter: Desk, books: Database
) -> None:
    """Nobody there knows what to do with it: a dead letter with its reason, and FAILED for the client."""
    async with staff(counter.settings, *CREW):
        buyer, command = await show(counter, books)
        uuid, envelope = counter.envelope(command)
        await put(counter, "payment", counter.codec.encode(envelope))
        [outcome] = await ends(books, [uuid])
        assert (outcome.status_code, outcome.code) == (500, "INTERNAL")
        assert "no handler" in await dead(books, envelope.id)
        # And it stays so, should the copy on the right queue come late.
        await put(counter, counter.queue(command), counter.codec.encode(envelope))
        await counter.ask(command)
        assert await ends(books, [uuid]) == [outcome]
    assert await orders_of(books, buyer) == 1


async def test_an_old_command_said_again_after_its_outcome_was_forgotten_does_nothing(
    counter: Desk, books: Database
) -> None:
    """Kept by an eavesdropper for longer than outcomes are: it is past its deadline, which is signed."""
    async with staff(counter.settings, *CREW):
        buyer, command = await show(counter, books)
        uuid, envelope = counter.envelope(command, age=120)
        await put(counter, counter.queue(command), counter.codec.encode(envelope))
        [outcome] = await ends(books, [uuid])
        assert (outcome.status_code, outcome.code) == (503, "UNAVAILABLE")
        await proven(books)
    assert await orders_of(books, buyer) == 0


async def test_a_captured_payment_said_again_takes_no_money(counter: Desk, books: Database) -> None:
    """At once, and when the order is long confirmed: one receipt, one step of the order, the first answer."""
    sold, payment_id = await _quoted(counter, books)
    shown = fresh_hash()
    command = confirm(sold.buyer, payment_id, shown)
    first = await _said_again(counter, books, command, confirm(sold.buyer, payment_id, shown))
    assert first.status_code == 200
    assert await receipts(books, payment_id) == [(shown, "APPLIED")]
    assert await order_row(books, sold.order_id) == ("CONFIRMED", 3)
    await proven(books)


async def test_a_captured_payment_of_a_quote_to_come_pays_nothing(
    counter: Desk, books: Database
) -> None:
    """Refused when there was no such quote, it is refused from the record when there is."""
    await _quoted(counter, books)
    sold = await unpaid(counter)
    [(newest,)] = await books.read("SELECT MAX(id) FROM payments")
    early = confirm(sold.buyer, newest + 1, fresh_hash())
    uuid, envelope = counter.envelope(early)
    await put(counter, "payment", counter.codec.encode(envelope))
    [first] = await ends(books, [uuid])
    assert first.code == "NOT_FOUND"
    assert result(await counter.ask(quote(sold.buyer, sold.order_id)))["id"] == newest + 1
    await put(counter, "payment", counter.codec.encode(envelope))
    assert result(await counter.ask(confirm(sold.buyer, newest + 1, fresh_hash())))
    assert await ends(books, [uuid]) == [first]
    assert len(await receipts(books, newest + 1)) == 1


async def test_a_captured_order_for_what_was_sold_out_buys_nothing(
    counter: Desk, books: Database
) -> None:
    """Refused when all was sold, it is refused from the record when there are tickets again."""
    sold, other = await unpaid(counter), await person(books)
    greedy = place(other, sold.event_id, (sold.ticket_type, 9))
    uuid, envelope = counter.envelope(greedy)
    await put(counter, counter.queue(greedy), counter.codec.encode(envelope))
    [first] = await ends(books, [uuid])
    assert first.code == "SOLD_OUT"
    result(await counter.ask(cancel(sold.buyer, sold.order_id)))
    await proven(books)
    await put(counter, counter.queue(greedy), counter.codec.encode(envelope))
    result(await counter.ask(place(sold.buyer, sold.event_id, (sold.ticket_type, 10))))
    assert await ends(books, [uuid]) == [first]
    assert await orders_of(books, other) == 0


async def test_a_captured_cancellation_said_again_gives_nothing_back_twice(
    counter: Desk, books: Database
) -> None:
    """Before and after the tickets came back and were sold to somebody else."""
    sold = await unpaid(counter, 4)
    command = cancel(sold.buyer, sold.order_id)
    uuid, envelope = counter.envelope(command)
    captured = counter.codec.encode(envelope)
    await put(counter, "order", captured)
    [first] = await ends(books, [uuid])
    await proven(books)
    other = await person(books)
    result(await counter.ask(place(other, sold.event_id, (sold.ticket_type, 10))))
    for _ in range(3):
        await put(counter, "order", captured)
    assert (await counter.ask(cancel(sold.buyer, sold.order_id))).code == "ORDER_NOT_PENDING"
    await proven(books)
    assert await ends(books, [uuid]) == [first]
    rows = await books.read("SELECT available FROM ticket_types WHERE id = %s", sold.ticket_type)
    assert rows == [(0,)]


async def test_old_money_commands_do_nothing(counter: Desk, books: Database) -> None:
    """A payment and a cancellation from before their deadlines: both told so, no receipt, the order waits as it did."""
    sold, payment_id = await _quoted(counter, books)
    old = []
    for command in (
        confirm(sold.buyer, payment_id, fresh_hash()),
        cancel(sold.buyer, sold.order_id),
    ):
        uuid, envelope = counter.envelope(command, age=120)
        await put(counter, counter.queue(command), counter.codec.encode(envelope))
        old.append(uuid)
    assert [one.code for one in await ends(books, old)] == ["UNAVAILABLE"] * 2
    assert await receipts(books, payment_id) == []
    assert await order_row(books, sold.order_id) == ("PENDING_PAYMENT", 2)


async def _quoted(counter: Desk, books: Database) -> tuple[Sold, int]:
    """An unpaid order with a quote."""
    await set_rate(books, "BTC", "50000")
    sold = await unpaid(counter)
    return sold, int(str(result(await counter.ask(quote(sold.buyer, sold.order_id)))["id"]))


async def _said_again(counter: Desk, books: Database, command: Command, last: Command) -> Outcome:
    """Put a command on its queue three times, and three times more once it is decided; its one outcome.

    `last` goes the same way behind them: once that is decided, they were.
    """
    uuid, envelope = counter.envelope(command)
    captured = counter.codec.encode(envelope)
    for _ in range(3):
        await put(counter, counter.queue(command), captured)
    [first] = await ends(books, [uuid])
    for _ in range(3):
        await put(counter, counter.queue(command), captured)
    await counter.ask(last)
    assert await ends(books, [uuid]) == [first]
    return first


def _quantity(envelope: Envelope) -> Envelope:
    items = [{**item, "quantity": 9} for item in envelope.data["items"]]
    return replace(envelope, data={**envelope.data, "items": items})


def _admin(envelope: Envelope) -> Envelope:
    caller = {**envelope.data["principal"], "roles": ["ADMIN", "USER"]}
    return replace(envelope, data={**envelope.data, "principal": caller})


TAMPERED = {
    "more tickets": _quantity,
    "more rights": _admin,
    "another deadline": lambda one: replace(one, expirytime=one.expirytime + timedelta(days=1)),
    "another type": lambda one: replace(one, type="eventhub.order.add_items.v1"),
    "another id": lambda one: replace(one, id=one.id[:-1] + ("A" if one.id[-1] != "A" else "B")),
    "another time": lambda one: replace(one, time=one.time + timedelta(seconds=1)),
}


@pytest.mark.parametrize("what", TAMPERED)
async def test_a_captured_command_that_was_changed_is_put_aside(
    counter: Desk, books: Database, what: str
) -> None:
    """Whatever was changed, the signature does not fit any more."""
    buyer, command = await show(counter, books)
    _, envelope = counter.envelope(command)
    signature = orjson.loads(counter.codec.encode(envelope))["signature"]
    forged = orjson.loads(counter.codec.encode(TAMPERED[what](envelope)))
    await put(counter, counter.queue(command), orjson.dumps({**forged, "signature": signature}))
    assert "signature" in await dead(books, signature)
    assert await orders_of(books, buyer) == 0
