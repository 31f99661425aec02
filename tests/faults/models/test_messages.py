"""Messages come fifty times, in any order, by the thousand, or to a database older than they are."""

import asyncio
import random
from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from contracts.commands import Command
from contracts.messaging.envelope import SINGLE, join_batch
from contracts.messaging.publisher import Properties, PublishUnknown
from contracts.messaging.topology import (
    AGAIN_EXCHANGE,
    EVENTS_EXCHANGE,
    returns_queue,
    shard_of,
)
from contracts.outcomes import Outcome
from db.mysql.database import Database
from tests.faults.crowd import SEED, note
from tests.faults.proof import END_SECONDS, ends, proven
from tests.harness.accounts import Person, person
from tests.harness.command_client import CommandClient, command_client, place, result
from tests.harness.scratch import Scratch, scratch_servers
from tests.harness.seeds import at_length
from tests.harness.waiting import eventually
from tests.harness.workers import running_workers
from tests.integration.payments.payment_client import (
    cancel,
    confirm,
    fresh_hash,
    order_row,
    quote,
    receipts,
    set_rate,
)

pytestmark = pytest.mark.timeout(300)

TIMES = 50
CREW = ("inventory", "order", "payment", "notify")


async def put(client: CommandClient, exchange: str, messages: Iterable[tuple[str, bytes]]) -> None:
    """Publish (routing key, envelope) pairs until each is confirmed."""

    async def surely(key: str, body: bytes) -> None:
        deadline = asyncio.get_running_loop().time() + END_SECONDS
        while True:
            try:
                return await client.publisher.publish(exchange, key, body, Properties(SINGLE))
            except PublishUnknown:
                # A busy broker took its time: once more does no harm here, nothing else is tested.
                if asyncio.get_running_loop().time() > deadline:
                    raise

    async with asyncio.TaskGroup() as group:
        for key, body in messages:
            group.create_task(surely(key, body))


async def play_relay(
    client: CommandClient, database: Database, pick: random.Random, times: int
) -> int:
    """Publish everything in the outbox so often, in any order at all, and forget it; how many events."""
    rows = await database.read("SELECT id, routing_key, body FROM outbox ORDER BY id")
    messages = [(key, body.encode()) for _, key, body in rows] * times
    pick.shuffle(messages)
    for start in range(0, len(messages), 500):
        await put(client, EVENTS_EXCHANGE, messages[start : start + 500])
    for event_id, *_ in rows:
        await database.write("DELETE FROM outbox WHERE id = %s", event_id)
    return len(rows)


async def storm(
    client: CommandClient, database: Database, pick: random.Random, commands: Sequence[Command]
) -> list[Outcome]:
    """Send each command fifty times, all shuffled over each other; their outcomes."""
    made = [(client.queue(command), *client.envelope(command)) for command in commands]
    messages = [(queue, client.codec.encode(envelope)) for queue, _, envelope in made] * TIMES
    pick.shuffle(messages)
    await put(client, AGAIN_EXCHANGE, messages)
    return await ends(database, [uuid for _, uuid, _ in made])


@pytest.mark.parametrize("seed", at_length())
async def test_everything_comes_fifty_times_in_any_order(
    client: CommandClient, database: Database, seed: int
) -> None:
    """Commands ×50 shuffled over each other, their events ×50 shuffled: each counts once, orders and money alike."""
    pick = random.Random(seed)
    organizer, buyer = await person(database, "ORGANIZER"), await person(database)
    await set_rate(database, "BTC", "50000")
    async with running_workers(client.settings, *CREW):
        event_id, (type_id,) = await client.sale(organizer, 30)
        wanted = [place(buyer, event_id, (type_id, 1)) for _ in range(10)]
        orders = [_id(one) for one in await storm(client, database, pick, wanted)]
        assert len(set(orders)) == 10
        asked = [quote(buyer, order) for order in orders[:3]]
        payments = [_id(one) for one in await storm(client, database, pick, asked)]
        # Each quote is paid by two hashes, each of the others is cancelled by two commands.
        shown = [confirm(buyer, payment, fresh_hash()) for payment in payments * 2]
        ended = [cancel(buyer, order) for order in orders[3:8] * 2]
        told = await storm(client, database, pick, [*shown, *ended])
        assert Counter(one.code for one in told[:6]) == {None: 3, "ORDER_NOT_PENDING": 3}
        assert Counter(one.code for one in told[6:]) == {None: 5, "ORDER_NOT_PENDING": 5}
        assert await play_relay(client, database, pick, TIMES) > 8
        async with running_workers(client.settings, "relay"):
            await proven(database)
    rows = await database.read("SELECT available FROM ticket_types WHERE id = %s", type_id)
    assert rows[0][0] == 30 - 5
    assert [await order_row(database, order) for order in orders[:3]] == [("CONFIRMED", 3)] * 3
    taken = await receipts(database, *payments)
    assert {one for one, _ in taken} == {command.tx_hash for command in shown}
    assert sorted(status for _, status in taken) == ["APPLIED"] * 3 + ["LATE"] * 3


async def test_the_queue_that_brings_tickets_back_is_deleted(
    client: CommandClient, database: Database
) -> None:
    """With everything that lay on it: the tickets are missed after a while, and come back without it."""
    organizer, buyer = await person(database, "ORGANIZER"), await person(database)
    async with running_workers(client.settings, "inventory"):
        event_id, (type_id,) = await client.sale(organizer, 30)
        placed = [result(await client.ask(place(buyer, event_id, (type_id, 2)))) for _ in range(5)]
    async with running_workers(client.settings, "order", "relay"):
        for order in placed:
            result(await client.ask(cancel(buyer, int(str(order["id"])))))

        async def published() -> bool:
            return await database.read("SELECT COUNT(*) FROM outbox") == [(0,)]

        await eventually(published)
    queue = returns_queue(shard_of(event_id, client.settings.shards))
    deleted = await client.publisher._link.channel.queue_delete(queue)
    assert deleted.message_count, "the events lay on it"
    impatient = client.settings.model_copy(update={"returns_overdue": 1})
    async with running_workers(impatient, *CREW, "relay"):
        await proven(database)
    assert await database.read("SELECT available FROM ticket_types WHERE id = %s", type_id) == [
        (30,)
    ]
    note("the queue that brings tickets back deleted", {"ok": 2 * len(placed)})


async def backlog(client: CommandClient, database: Database, count: int) -> None:
    """Commands by the thousand before any worker lives; then two come."""
    organizer, buyer = await person(database, "ORGANIZER"), await person(database)
    async with running_workers(client.settings, "inventory-9"):
        event_id, (type_id,) = await client.sale(organizer, count // 2)
    command = place(buyer, event_id, (type_id, 1))
    queue = client.queue(command)
    sent: list[bytes] = []
    while len(sent) < count:
        batch = [client.envelope(command) for _ in range(64)]
        sent += [uuid for uuid, _ in batch]
        body, content_type = join_batch([client.codec.encode(envelope) for _, envelope in batch])
        await client.publisher.publish(AGAIN_EXCHANGE, queue, body, Properties(content_type))
    async with running_workers(
        client.settings, "inventory-1", "inventory-2", "relay", "notify", "payment"
    ):
        waiting = list(sent)
        while waiting:
            await ends(database, waiting[:1000])
            waiting = waiting[1000:]
        await proven(database)
    rows = await database.read(
        "SELECT SUM(status_code = 201), SUM(code = 'SOLD_OUT') FROM command_outcomes "
        "WHERE type = 'eventhub.order.place.v1'"
    )
    assert [int(one) for one in rows[0]] == [count // 2, len(sent) - count // 2]


async def _on_own_places(count: int) -> None:
    async with AsyncExitStack() as stack:
        scratch = await stack.enter_async_context(scratch_servers())
        database = await Database.connect(scratch.mysql_url)
        stack.push_async_callback(database.close)
        client = await stack.enter_async_context(
            command_client(scratch, database, command_deadline=1800)
        )
        await backlog(client, database, count)


@pytest.mark.full
async def test_three_thousand_commands_wait() -> None:
    """Half of them get a ticket, the others SOLD_OUT, none is lost."""
    await _on_own_places(3_000)


@pytest.mark.full
@pytest.mark.timeout(900)
async def test_a_hundred_thousand_commands_wait() -> None:
    """The same with 100,000."""
    await _on_own_places(100_000)


async def _columns(database: Database, table: str) -> str:
    rows = await database.read(
        "SELECT column_name FROM information_schema.columns WHERE table_schema = DATABASE() "
        "AND table_name = %s AND extra NOT LIKE '%%GENERATED%%' ORDER BY ordinal_position",
        table,
    )
    return ", ".join(f"`{row[0]}`" for row in rows)


async def _copy(database: Database, tables: Sequence[str], *, back: bool) -> None:
    """A backup inside the database, or its restoration; in one session that looks at no foreign key."""
    async with database.session() as cursor:
        await cursor.execute("SET FOREIGN_KEY_CHECKS = 0")
        for table in tables:
            columns = await _columns(database, table)
            if back:
                await cursor.execute(f"DELETE FROM {table}")
                await cursor.execute(
                    f"INSERT INTO {table} ({columns}) SELECT {columns} FROM old_{table}"
                )
            else:
                await cursor.execute(f"CREATE TABLE old_{table} AS SELECT {columns} FROM {table}")
        await cursor.execute("SET FOREIGN_KEY_CHECKS = 1")


async def test_an_older_database_comes_back_under_a_newer_broker(tmp_path: Path) -> None:
    """What the queues still hold is decided on the restored one; events of what never was harm nobody."""
    async with AsyncExitStack() as stack:
        scratch: Scratch = await stack.enter_async_context(scratch_servers())
        database = await Database.connect(scratch.mysql_url)
        stack.push_async_callback(database.close)
        client = await stack.enter_async_context(command_client(scratch, database))
        organizer, buyer = await person(database, "ORGANIZER"), await person(database)
        await set_rate(database, "BTC", "50000")
        async with running_workers(client.settings, *CREW, "relay"):
            event_id, (type_id,) = await client.sale(organizer, 40)
            kept = [await _ordered(client, buyer, event_id, type_id) for _ in range(5)]
            quotes = [_id(await client.ask(quote(buyer, order))) for order in kept[1:3]]
            await proven(database)
        rows = await database.read(
            "SELECT table_name FROM information_schema.tables WHERE table_schema = DATABASE() "
            "AND table_name <> 'flyway_schema_history'"
        )
        tables = [row[0] for row in rows]
        await _copy(database, tables, back=False)
        paid = [confirm(buyer, payment, fresh_hash()) for payment in quotes]
        async with running_workers(client.settings, "inventory", "order", "payment"):
            lost = [await _ordered(client, buyer, event_id, type_id) for _ in range(5)]
            for order in (*lost[:3], kept[0]):
                await client.ask(cancel(buyer, order))
            result(await client.ask(paid[0]))
            gone = _id(await client.ask(quote(buyer, lost[3])))
            result(await client.ask(confirm(buyer, gone, fresh_hash())))
        # Their events reach the queues, nobody hears them yet; new commands wait as well.
        assert await play_relay(client, database, random.Random(SEED), 1) > 8
        waiting = [await client.send(place(buyer, event_id, (type_id, 1))) for _ in range(7)]
        # One whose first payment the backup does not know shows the same hash again, one pays only now.
        waiting += [await client.send(command) for command in paid]
        await _copy(database, tables, back=True)
        async with running_workers(client.settings, *CREW, "relay"):
            assert [one.status_code for one in await ends(database, waiting)] == [201] * 7 + [
                200
            ] * 2
            await proven(database)
        assert [await order_row(database, order) for order in kept[1:3]] == [("CONFIRMED", 3)] * 2
        hashes = sorted(command.tx_hash for command in paid)
        assert await receipts(database, *quotes, gone) == [(one, "APPLIED") for one in hashes]
        rows = await database.read("SELECT available FROM ticket_types WHERE id = %s", type_id)
        assert rows[0][0] == 40 - 5 - 7


async def _ordered(client: CommandClient, buyer: Person, event_id: int, type_id: int) -> int:
    return _id(await client.ask(place(buyer, event_id, (type_id, 1))))


def _id(made: Outcome) -> int:
    return int(str(result(made)["id"]))
