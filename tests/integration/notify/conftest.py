"""A gateway and notify workers on scratch servers, a receiver, and events as the relay publishes them."""

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from decimal import Decimal
from functools import partial
from itertools import count

import pytest

from contracts.events import DomainEvent, OrderConfirmed, OrderEvent, OrderPlaced, routing_key
from contracts.messaging.envelope import (
    SINGLE,
    Codec,
    Envelope,
    new_event_id,
)
from contracts.messaging.link import Link, declare
from contracts.messaging.publisher import Properties, Publisher
from contracts.messaging.topology import EVENTS_EXCHANGE, topology
from contracts.resources import OrderDetailRow, OrderRow, order_resource
from contracts.runtime.settings import Settings
from db.mysql.database import Database
from tests.harness.accounts import Person
from tests.harness.scratch import SECRET, Scratch
from tests.harness.system import System, running
from tests.harness.waiting import eventually
from tests.harness.workers import running_workers
from tests.integration.notify.receiver import Receiver, receiving
from workers.notify.__main__ import make
from workers.notify.schedule import Policy

QUICK = Policy(delays=(0.05,) * 10, jitter=0.0, pause_max=0.05, connect_seconds=2, total_seconds=20)
"""Retries in the blink of an eye; what is tested is that they happen, and in which order."""
AT = datetime(2026, 5, 1, 12, 0, 0, 5, tzinfo=UTC)
_order_ids = count(1000)


@dataclass(slots=True)
class EventPublisher:
    """Publishes events as the relay does."""

    publisher: Publisher
    codec: Codec = field(default_factory=lambda: Codec(SECRET))

    async def publish(self, envelope: Envelope, event: DomainEvent) -> Envelope:
        key = routing_key(type(event), 0)
        body = self.codec.encode(envelope)
        await self.publisher.publish(EVENTS_EXCHANGE, key, body, Properties(SINGLE))
        return envelope

    async def tell(self, event: DomainEvent, aggregate: str, sequence: int = 1) -> Envelope:
        """Publish an event of an aggregate; its envelope."""
        return await self.publish(envelope_of(event, aggregate, sequence), event)

    async def tell_order(self, event: OrderEvent) -> Envelope:
        """Publish an order's event; its aggregate and sequence are those of the order."""
        return await self.tell(event, f"order:{event.order['id']}", event.order["version"])


def envelope_of(event: DomainEvent, aggregate: str, sequence: int) -> Envelope:
    """An event's envelope as the outbox makes it."""
    return Envelope(
        id=new_event_id(),
        type=event.TYPE,
        source="/eventhub/test",
        time=AT,
        data=event.to_json(),
        subject=aggregate,
        correlationid="request-of-the-test",
        causationid="Q" * 54,
        sequence=str(sequence),
        partitionkey=aggregate,
    )


def order_row(buyer: Person, *, order_id: int | None = None, version: int = 1) -> OrderRow:
    """An order of a buyer; a new one unless told which."""
    status = "PENDING_PAYMENT" if version == 1 else "CONFIRMED"
    chosen = order_id or next(_order_ids)
    return OrderRow(chosen, buyer.id, 3, status, Decimal("49.90"), "USD", AT, version, AT, AT)


def placed(
    buyer: Person, organizer: Person | None = None, order_id: int | None = None
) -> OrderPlaced:
    """A new order's event."""
    return OrderPlaced(
        order=_resource(order_row(buyer, order_id=order_id)),
        organizer_id=(organizer or buyer).id,
    )


def confirmed(before: OrderPlaced, buyer: Person, version: int = 2) -> OrderConfirmed:
    """The same order, paid."""
    row = replace(
        order_row(buyer, order_id=before.order["id"]), version=version, status="CONFIRMED"
    )
    return OrderConfirmed(order=_resource(row), organizer_id=before.organizer_id)


def _resource(row: OrderRow) -> dict[str, object]:
    return order_resource(row, [OrderDetailRow(8, 1, Decimal("49.90"))])


@pytest.fixture(scope="package")
async def system(scratch: Scratch) -> AsyncIterator[System]:
    """A gateway that lets webhooks go to private addresses; no workers."""
    async with running(scratch, workers=(), webhook_allow_private=True) as system:
        yield system


@pytest.fixture(scope="package")
async def event_publisher(scratch: Scratch) -> AsyncIterator[EventPublisher]:
    """Where events come from."""
    settings = scratch.settings()
    wanted = topology(settings.shards, settings.queue_length)
    link = Link(
        scratch.amqp_url, "event-publisher", on_open=lambda channel: declare(channel, wanted)
    )
    await link.start(wait=20)
    yield EventPublisher(Publisher(link))
    await link.stop()


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    """A receiver of its own for each test."""
    async with receiving() as opened:
        yield opened


@contextlib.asynccontextmanager
async def notifying(settings: Settings, *names: str, policy: Policy = QUICK) -> AsyncIterator[None]:
    """Notify workers by name, with other numbers than in production."""
    async with running_workers(
        settings, *(names or ("notify",)), make=partial(make, policy=policy)
    ):
        yield


@pytest.fixture
async def notify(system: System) -> AsyncIterator[None]:
    """One notify worker."""
    async with notifying(system.settings):
        yield


@dataclass(frozen=True, slots=True)
class Hook:
    """A webhook that was made over HTTP."""

    id: int
    secret: str
    path: str


async def hook(system: System, owner: Person, receiver: Receiver, path: str, *types: str) -> Hook:
    """A webhook of `owner` at a path of the receiver, for all types unless told which."""
    answer = await system.api(owner).post(
        "/api/webhooks", {"url": receiver.url(path), "eventTypes": list(types or ("*",))}
    )
    assert answer.status == 201, answer.body
    return Hook(answer.body["id"], answer.body["secret"], path)


async def delivery_rows(database: Database, hook_: Hook) -> list[tuple[str, str, int, str | None]]:
    """(event id, status, attempts, error) of a webhook's deliveries, by id."""
    rows = await database.read(
        "SELECT event_id, status, attempts, error FROM webhook_deliveries WHERE endpoint_id = %s "
        "ORDER BY id",
        hook_.id,
    )
    return [(row[0], row[1], row[2], row[3]) for row in rows]


async def closed(
    database: Database, made: Hook, count: int = 1
) -> list[tuple[str, str, int, str | None]]:
    """The rows of a webhook's deliveries, once so many exist and none is pending."""

    async def look() -> list[tuple[str, str, int, str | None]] | None:
        rows = await delivery_rows(database, made)
        done = len(rows) >= count and all(row[1] != "PENDING" for row in rows)
        return rows if done else None

    found = await eventually(look)
    assert found is not None
    return found
