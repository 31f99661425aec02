"""What somebody with write access to the queues can do: say again what was said, and nothing else."""

from collections.abc import AsyncIterator, Callable
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
from tests.harness.command_client import CommandClient, place, result
from tests.harness.waiting import eventually
from tests.harness.workers import running_workers
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
async def crew(client: CommandClient) -> AsyncIterator[None]:
    """Everybody works."""
    async with running_workers(client.settings, *CREW):
        yield


async def put(client: CommandClient, queue: str, body: bytes) -> None:
    """Straight onto a queue."""
    await client.publisher.publish(AGAIN_EXCHANGE, queue, body, Properties(SINGLE))


async def orders_of(database: Database, buyer: Person) -> int:
    """How many orders the buyer has."""
    rows = await database.read("SELECT COUNT(*) FROM orders WHERE user_id = %s", buyer.id)
    return int(rows[0][0])


async def show(client: CommandClient, database: Database) -> tuple[Person, PlaceOrder]:
    """A buyer and their order command for a ticket that is there."""
    organizer, buyer = await person(database, "ORGANIZER"), await person(database)
    event_id, (type_id,) = await client.sale(organizer, 10)
    return buyer, place(buyer, event_id, (type_id, 1))


async def dead(database: Database, mark: str) -> str:
    """The reason why a message was put aside; it is then expected."""

    async def look() -> str:
        rows = await database.read(
            "SELECT reason FROM dead_letters WHERE status = 'DEAD' AND body LIKE %s", f"%{mark}%"
        )
        return rows[0][0] if rows else ""

    reason = await eventually(look)
    await database.write(
        "UPDATE dead_letters SET status = 'DROPPED' WHERE body LIKE %s", f"%{mark}%"
    )
    return reason


async def test_a_captured_command_said_again_anywhere_is_the_same_command(
    client: CommandClient, database: Database
) -> None:
    """On its own queue and on every other shard's: one order, one outcome."""
    async with running_workers(client.settings, *CREW):
        buyer, command = await show(client, database)
        uuid, envelope = client.envelope(command)
        captured = client.codec.encode(envelope)
        for shard in range(client.settings.shards):
            await put(client, f"inventory.{shard}", captured)
        [first] = await ends(database, [uuid])
        for shard in range(client.settings.shards):
            await put(client, f"inventory.{shard}", captured)
        await client.ask(command)
        assert await ends(database, [uuid]) == [first]
        await proven(database)
    assert await orders_of(database, buyer) == 2


async def test_a_captured_command_on_another_owner_s_queue_is_put_aside(
    client: CommandClient, database: Database
) -> None:
    """Nobody there knows what to do with it: a dead letter with its reason, and FAILED for the client."""
    async with running_workers(client.settings, *CREW):
        buyer, command = await show(client, database)
        uuid, envelope = client.envelope(command)
        await put(client, "payment", client.codec.encode(envelope))
        [outcome] = await ends(database, [uuid])
        assert (outcome.status_code, outcome.code) == (500, "INTERNAL")
        assert "no handler" in await dead(database, envelope.id)
        # And it stays so, should the copy on the right queue come late.
        await put(client, client.queue(command), client.codec.encode(envelope))
        await client.ask(command)
        assert await ends(database, [uuid]) == [outcome]
    assert await orders_of(database, buyer) == 1


async def test_an_old_command_said_again_after_its_outcome_was_forgotten_does_nothing(
    client: CommandClient, database: Database
) -> None:
    """Kept by an eavesdropper for longer than outcomes are: it is past its deadline, which is signed."""
    async with running_workers(client.settings, *CREW):
        buyer, command = await show(client, database)
        uuid, envelope = client.envelope(command, age=120)
        await put(client, client.queue(command), client.codec.encode(envelope))
        [outcome] = await ends(database, [uuid])
        assert (outcome.status_code, outcome.code) == (503, "UNAVAILABLE")
        await proven(database)
    assert await orders_of(database, buyer) == 0


async def test_a_captured_payment_said_again_takes_no_money(
    client: CommandClient, database: Database
) -> None:
    """At once, and when the order is long confirmed: one receipt, one step of the order, the first answer."""
    sold, payment_id = await _quoted(client, database)
    shown = fresh_hash()
    command = confirm(sold.buyer, payment_id, shown)
    first = await _said_again(client, database, command, confirm(sold.buyer, payment_id, shown))
    assert first.status_code == 200
    assert await receipts(database, payment_id) == [(shown, "APPLIED")]
    assert await order_row(database, sold.order_id) == ("CONFIRMED", 3)
    await proven(database)


async def test_a_captured_payment_of_a_quote_to_come_pays_nothing(
    client: CommandClient, database: Database
) -> None:
    """Refused when there was no such quote, it is refused from the record when there is."""
    await _quoted(client, database)
    sold = await unpaid(client)
    [(newest,)] = await database.read("SELECT MAX(id) FROM payments")
    early = confirm(sold.buyer, newest + 1, fresh_hash())
    uuid, envelope = client.envelope(early)
    await put(client, "payment", client.codec.encode(envelope))
    [first] = await ends(database, [uuid])
    assert first.code == "NOT_FOUND"
    assert result(await client.ask(quote(sold.buyer, sold.order_id)))["id"] == newest + 1
    await put(client, "payment", client.codec.encode(envelope))
    assert result(await client.ask(confirm(sold.buyer, newest + 1, fresh_hash())))
    assert await ends(database, [uuid]) == [first]
    assert len(await receipts(database, newest + 1)) == 1


async def test_a_captured_order_for_what_was_sold_out_buys_nothing(
    client: CommandClient, database: Database
) -> None:
    """Refused when all was sold, it is refused from the record when there are tickets again."""
    sold, other = await unpaid(client), await person(database)
    greedy = place(other, sold.event_id, (sold.ticket_type, 9))
    uuid, envelope = client.envelope(greedy)
    await put(client, client.queue(greedy), client.codec.encode(envelope))
    [first] = await ends(database, [uuid])
    assert first.code == "SOLD_OUT"
    result(await client.ask(cancel(sold.buyer, sold.order_id)))
    await proven(database)
    await put(client, client.queue(greedy), client.codec.encode(envelope))
    result(await client.ask(place(sold.buyer, sold.event_id, (sold.ticket_type, 10))))
    assert await ends(database, [uuid]) == [first]
    assert await orders_of(database, other) == 0


async def test_a_captured_cancellation_said_again_gives_nothing_back_twice(
    client: CommandClient, database: Database
) -> None:
    """Before and after the tickets came back and were sold to somebody else."""
    sold = await unpaid(client, 4)
    command = cancel(sold.buyer, sold.order_id)
    uuid, envelope = client.envelope(command)
    captured = client.codec.encode(envelope)
    await put(client, "order", captured)
    [first] = await ends(database, [uuid])
    await proven(database)
    other = await person(database)
    result(await client.ask(place(other, sold.event_id, (sold.ticket_type, 10))))
    for _ in range(3):
        await put(client, "order", captured)
    assert (await client.ask(cancel(sold.buyer, sold.order_id))).code == "ORDER_NOT_PENDING"
    await proven(database)
    assert await ends(database, [uuid]) == [first]
    rows = await database.read("SELECT available FROM ticket_types WHERE id = %s", sold.ticket_type)
    assert rows == [(0,)]


async def test_old_money_commands_do_nothing(client: CommandClient, database: Database) -> None:
    """A payment and a cancellation from before their deadlines: both told so, no receipt, the order waits as it did."""
    sold, payment_id = await _quoted(client, database)
    old = []
    for command in (
        confirm(sold.buyer, payment_id, fresh_hash()),
        cancel(sold.buyer, sold.order_id),
    ):
        uuid, envelope = client.envelope(command, age=120)
        await put(client, client.queue(command), client.codec.encode(envelope))
        old.append(uuid)
    assert [one.code for one in await ends(database, old)] == ["UNAVAILABLE"] * 2
    assert await receipts(database, payment_id) == []
    assert await order_row(database, sold.order_id) == ("PENDING_PAYMENT", 2)


async def _quoted(client: CommandClient, database: Database) -> tuple[Sold, int]:
    """An unpaid order with a quote."""
    await set_rate(database, "BTC", "50000")
    sold = await unpaid(client)
    return sold, int(str(result(await client.ask(quote(sold.buyer, sold.order_id)))["id"]))


async def _said_again(
    client: CommandClient, database: Database, command: Command, last: Command
) -> Outcome:
    """Put a command on its queue three times, and three times more once it is decided; its one outcome.

    `last` goes the same way behind them: once that is decided, they were.
    """
    uuid, envelope = client.envelope(command)
    captured = client.codec.encode(envelope)
    for _ in range(3):
        await put(client, client.queue(command), captured)
    [first] = await ends(database, [uuid])
    for _ in range(3):
        await put(client, client.queue(command), captured)
    await client.ask(last)
    assert await ends(database, [uuid]) == [first]
    return first


def _quantity(envelope: Envelope) -> Envelope:
    items = [{**item, "quantity": 9} for item in envelope.data["items"]]
    return replace(envelope, data={**envelope.data, "items": items})


def _admin(envelope: Envelope) -> Envelope:
    caller = {**envelope.data["principal"], "roles": ["ADMIN", "USER"]}
    return replace(envelope, data={**envelope.data, "principal": caller})


TAMPERED: dict[str, Callable[[Envelope], Envelope]] = {
    "more tickets": _quantity,
    "more rights": _admin,
    "another deadline": lambda one: replace(one, expirytime=one.time + timedelta(days=1)),
    "another type": lambda one: replace(one, type="eventhub.order.add_items.v1"),
    "another id": lambda one: replace(one, id=one.id[:-1] + ("A" if one.id[-1] != "A" else "B")),
    "another time": lambda one: replace(one, time=one.time + timedelta(seconds=1)),
}


@pytest.mark.parametrize("what", TAMPERED)
async def test_a_captured_command_that_was_changed_is_put_aside(
    client: CommandClient, database: Database, what: str
) -> None:
    """Whatever was changed, the signature does not fit any more."""
    buyer, command = await show(client, database)
    _, envelope = client.envelope(command)
    signature = orjson.loads(client.codec.encode(envelope))["signature"]
    forged = orjson.loads(client.codec.encode(TAMPERED[what](envelope)))
    await put(client, client.queue(command), orjson.dumps({**forged, "signature": signature}))
    assert "signature" in await dead(database, signature)
    assert await orders_of(database, buyer) == 0
