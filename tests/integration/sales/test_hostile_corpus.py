"""A corpus of hostile messages on every queue that is consumed: each is kept with its reason, all work goes on."""

import asyncio
import contextlib
import re
import secrets
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime
from typing import Any

import aio_pika
import pytest
from aio_pika.abc import HeadersType
from pamqp import encode
from prometheus_client import REGISTRY

from contracts.commands import COMMANDS, AcceptRate
from contracts.events import (
    BROADCAST_EVENTS,
    EVENTS,
    DomainEvent,
    EventCancelled,
    OrderCancelled,
    OrderExpired,
    OrderItemsAdded,
    StockChanged,
)
from contracts.messaging.envelope import (
    SINGLE,
    Codec,
    Envelope,
    join_batch,
)
from contracts.messaging.publisher import Properties, Unroutable
from contracts.messaging.topology import (
    AGAIN_EXCHANGE,
    BROADCAST_EXCHANGE,
    DEAD_EXCHANGE,
    DEAD_QUEUE,
    NOTIFY_QUEUE,
    RATES_QUEUE,
    shard_of,
    topology,
)
from contracts.models import Wire
from db.messages.dead_letters import DeadLetter
from db.mysql.database import Database
from gateway.availability.broadcast import AvailabilityListener
from tests.harness.accounts import Person, person
from tests.harness.command_client import FINGERPRINT, CommandClient, command_client, place, result
from tests.harness.scratch import SECRET, Scratch
from tests.harness.waiting import eventually
from tests.harness.workers import running_workers
from tests.integration.payments.payment_client import (
    body,
    cancel,
    cancel_event,
    order_row,
    payment_status,
    quote,
    set_rate,
)
from tests.integration.sales.corpus import BARE, signed
from workers import KINDS
from workers.relay.dead_letters import STRANGER_BODY_KEPT_MAX
from workers.runtime.processing import QUEUE_HEADER

SHARDS = 4
CONSUMED = [
    queue.name for queue in topology(SHARDS, 1).queues if not queue.name.startswith("retry.")
]
"""Nobody consumes a step of the ladder: what lies there comes back to its queue by itself."""
TALKING = [name for name in CONSUMED if name not in (RATES_QUEUE, DEAD_QUEUE)]
"""Those on which envelopes of ours are opened."""
HEARD: Mapping[str, tuple[type[DomainEvent], ...]] = {
    "inventory": (OrderCancelled, OrderExpired),
    "order": (EventCancelled,),
    "payment": (OrderItemsAdded, OrderCancelled, OrderExpired),
    "notify": tuple(EVENTS.values()),
}


@pytest.fixture(scope="module")
async def client(scratch: Scratch, database: Database) -> AsyncIterator[CommandClient]:
    """A command client with every worker behind it."""
    async with (
        command_client(scratch, database) as opened,
        running_workers(opened.settings, *KINDS),
    ):
        yield opened


@pytest.fixture(scope="module")
async def shows(client: CommandClient, database: Database) -> list[tuple[int, int]]:
    """(event, ticket type) of one event in each shard."""
    organizer = await person(database, "ORGANIZER")
    found: dict[int, tuple[int, int]] = {}
    while len(found) < SHARDS:
        event_id, (type_id,) = await client.sale(organizer, 10)
        found[shard_of(event_id, SHARDS)] = (event_id, type_id)
    return list(found.values())


async def put(client: CommandClient, queue: str, message: bytes, properties: Properties) -> None:
    """Straight onto a queue, as somebody with a broker password could."""
    exchange = DEAD_EXCHANGE if queue == DEAD_QUEUE else AGAIN_EXCHANGE
    await client.publisher.publish(exchange, queue, message, properties)


async def test_no_bytes_stop_a_queue(
    client: CommandClient, database: Database, shows: list[tuple[int, int]]
) -> None:
    """The whole corpus on every queue: a dead letter each (or in quarantine, for rates), then work as ever."""
    expected, reports = {}, {}
    async with asyncio.TaskGroup() as group:
        for queue in CONSUMED:
            for name, hostile in BARE.items():
                mark = f"{secrets.token_hex(4)} {name}"
                headers = dict(hostile.headers) | {QUEUE_HEADER: queue}
                properties = Properties(hostile.content_type, mark, headers=headers)
                group.create_task(put(client, queue, hostile.body, properties))
                if queue == RATES_QUEUE:
                    kept = hostile.body[:STRANGER_BODY_KEPT_MAX]
                    reports[mark] = DeadLetter(queue, "", kept).digest
                    continue
                kept = hostile.body if queue == DEAD_QUEUE else hostile.kept
                reason = "without a reason" if queue == DEAD_QUEUE else hostile.reason
                expected[DeadLetter(queue, "", kept).digest] = reason
    assert len(expected) == len(BARE) * (len(CONSUMED) - 1), "two of the corpus are the same"
    await _reports_kept(database, reports)
    await _kept(database, expected)
    await _all_work_goes_on(client, database, shows)


async def test_no_signed_data_stops_a_queue(
    client: CommandClient, database: Database, shows: list[tuple[int, int]]
) -> None:
    """A batch of ours on every queue, nothing of whose data is what it should be: a dead letter each."""
    expected = {}
    for queue in TALKING:
        bodies = list(signed(client.codec, _spoken(queue), queue))
        message, content_type = join_batch(bodies)
        await put(client, queue, message, Properties(content_type))
        for one in bodies:
            expected[DeadLetter(queue, "", one).digest] = "data is not valid"
    await _kept(database, expected)
    await _all_work_goes_on(client, database, shows)


async def test_no_properties_stop_a_queue(
    client: CommandClient,
    database: Database,
    shows: list[tuple[int, int]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A time beyond the calendar, a type that is no UTF-8: no connection ends, each is a dead letter."""

    def short_string(value: str) -> bytes:
        return b"\x02\xc3\x28" if value == "strange" else encode.short_string(value)

    monkeypatch.setitem(encode.METHODS, "shortstr", short_string)
    monkeypatch.setitem(encode.METHODS, "timestamp", lambda _: (2**62).to_bytes(8, "big"))
    expected, channel = {}, client.publisher._link.channel
    for queue in CONSUMED:
        headers: HeadersType = {QUEUE_HEADER: queue}
        now = datetime.now(UTC)
        sent = aio_pika.Message(b"strange", headers=headers, content_type="strange", timestamp=now)
        name = DEAD_EXCHANGE if queue == DEAD_QUEUE else AGAIN_EXCHANGE
        await (await channel.get_exchange(name, ensure=False)).publish(sent, queue)
        expected[DeadLetter(queue, "", sent.body).digest] = "content type|without a reason"
    await _kept(database, expected)
    await _all_work_goes_on(client, database, shows)


async def test_no_message_stops_a_gateway_s_broadcasts(
    client: CommandClient, scratch: Scratch
) -> None:
    """All of that on a cache's own queue: it hears the next event."""
    heard: list[tuple[int, ...]] = []
    door: Any = type("Door", (), {"heard": lambda _, *news: heard.append(news)})()
    news = AvailabilityListener(scratch.amqp_url, "hostile", Codec(SECRET), door)
    await news.start()

    async def told() -> bool:
        await _announce_stock(client)
        return bool(heard)

    try:
        await eventually(told, every=0.1)
        await _onto_news(client, news.queue)
        heard.clear()
        await eventually(told, every=0.1)
    finally:
        await news.stop()
    assert set(heard) == {(1, 5, 4)}


async def _announce_stock(client: CommandClient) -> None:
    event = StockChanged(ticket_type_id=1, event_id=1, version=5, quota=10, available=4)
    now = datetime.now(UTC)
    envelope = Envelope(secrets.token_hex(8), event.TYPE, "/test", now, event.to_json())
    # Nobody listens before the queue is there.
    with contextlib.suppress(Unroutable):
        await client.publisher.publish(
            BROADCAST_EXCHANGE, event.TOPIC, client.codec.encode(envelope), Properties(SINGLE)
        )


async def _onto_news(client: CommandClient, queue: str) -> None:
    """The default exchange: nothing else leads to a gateway's queue alone."""
    bodies = [(one.body, one.content_type) for one in BARE.values()]
    listened = [(one.TYPE, one) for one in BROADCAST_EVENTS]
    bodies += [(one, SINGLE) for one in signed(client.codec, listened, "news")]
    for message, content_type in bodies:
        sent = aio_pika.Message(message, content_type=content_type)
        await client.publisher._link.channel.default_exchange.publish(sent, queue)


def _spoken(queue: str) -> list[tuple[str, type[Wire]]]:
    """The messages that the queue's worker deals with."""
    owner = queue.partition(".")[0]
    commands = [one for one in COMMANDS.values() if owner == one.OWNER]
    events = HEARD.get(owner, ())
    return [*((one.TYPE, one) for one in commands), *((one.TYPE, one) for one in events)]


async def _kept(database: Database, expected: Mapping[bytes, str]) -> None:
    """Each is a dead letter with its reason; they are then expected, and the audit does not mind them."""
    found: dict[bytes, str] = {}

    async def look() -> bool:
        rows = await database.read("SELECT digest, reason FROM dead_letters WHERE status = 'DEAD'")
        found.update(rows)
        missing = set(expected) - set(found)
        assert not missing, f"{len(missing)} of {len(expected)} are not kept"
        return True

    await eventually(look, within=30, every=0.1)
    wrong = {
        (reason, found[digest])
        for digest, reason in expected.items()
        if not re.search(reason, found[digest])
    }
    assert not wrong, wrong
    await database.write("UPDATE dead_letters SET status = 'DROPPED' WHERE status = 'DEAD'")


async def _reports_kept(database: Database, reports: Mapping[str, bytes]) -> None:
    """What a provider could not have meant is a dead letter, the rest is in quarantine as forged."""

    async def look() -> bool:
        dead = await database.read(
            "SELECT digest FROM dead_letters "
            "WHERE status = 'DEAD' AND reason LIKE 'unreadable report%%'"
        )
        forged = await database.read(
            "SELECT message_id FROM rate_quarantine WHERE reason = 'FORGED'"
        )
        ended = {row[0] for row in (*dead, *forged)}
        missing = {mark for mark, digest in reports.items() if ended.isdisjoint((mark, digest))}
        assert not missing, missing
        return True

    await eventually(look, within=30, every=0.1)


async def _all_work_goes_on(
    client: CommandClient, database: Database, shows: list[tuple[int, int]]
) -> None:
    """A good message on every queue has its effect: orders, quotes, ends, tickets that come back, news."""
    organizer, buyer = await person(database, "ORGANIZER"), await person(database)
    await set_rate(database, "BTC", "50000")
    written = _acknowledged(NOTIFY_QUEUE)
    placed = await asyncio.gather(*(client.ask(place(buyer, *show(one))) for one in shows))
    orders = [int(str(result(one)["id"])) for one in placed]
    quoted = await asyncio.gather(*(client.ask(quote(buyer, order)) for order in orders))
    await asyncio.gather(*(client.ask(cancel(buyer, order)) for order in orders))
    await _is_called_off(client, database, organizer, buyer)
    accepted = AcceptRate(
        principal=(await person(database, "ADMIN")).principal,
        fingerprint=FINGERPRINT,
        quarantine_id=2**60,
    )
    assert (await client.ask(accepted)).code == "NOT_FOUND"
    types = ",".join(str(type_id) for _, type_id in shows)

    async def look() -> bool:
        rows = await database.read(
            f"SELECT DISTINCT available FROM ticket_types WHERE id IN ({types})"
        )
        ends = {await payment_status(database, body(one)["id"]) for one in quoted}
        assert (rows, ends) == ([(10,)], {"EXPIRED"})
        return _acknowledged(NOTIFY_QUEUE) > written

    await eventually(look)


def show(one: tuple[int, int]) -> tuple[int, tuple[int, int]]:
    """One ticket of it."""
    event_id, type_id = one
    return event_id, (type_id, 1)


async def _is_called_off(
    client: CommandClient, database: Database, organizer: Person, buyer: Person
) -> None:
    """Inventory ends an event, order hears of it and ends its orders."""
    event_id, (type_id,) = await client.sale(organizer, 10)
    order = result(await client.ask(place(buyer, event_id, (type_id, 1))))
    result(await client.ask(cancel_event(organizer, event_id)))

    async def look() -> bool:
        return (await order_row(database, int(str(order["id"]))))[0] == "CANCELLED"

    await eventually(look)


def _acknowledged(queue: str) -> float:
    """How many messages of a queue were dealt with in this process."""
    labels = {"queue": queue, "end": "ack"}
    return REGISTRY.get_sample_value("eventhub_messages_total", labels) or 0.0
