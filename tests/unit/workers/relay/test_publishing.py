"""What the relay publishes: grouped, bounded, in order, and nothing after the first that is not confirmed."""

import asyncio
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.messaging.envelope import BATCH_BYTES_MAX
from contracts.messaging.link import BrokerAway
from contracts.messaging.publisher import (
    Properties,
    PublishRefused,
    PublishUnknown,
    Unroutable,
)
from db.messages.outbox import PendingEvent
from tests.harness.waiting import eventually
from workers.relay.publishing import MESSAGE_EVENTS_MAX, messages, publish, waves


def row(
    number: int, key: str = "order.placed", aggregate: str | None = None, size: int = 10
) -> PendingEvent:
    return PendingEvent(number, 0, aggregate or f"order:{number}", key, b"x" * size)


@dataclass
class Broker:
    """A publisher that remembers, and fails at the n-th message."""

    fails_at: int = 10**6
    error: Exception = field(default_factory=lambda: PublishUnknown("no answer"))
    sent: list[tuple[str, int]] = field(default_factory=list)

    async def publish(self, exchange: str, key: str, body: bytes, properties: Properties) -> None:
        if len(self.sent) == self.fails_at:
            raise self.error
        self.sent.append((key, body.count(b"x") // 10))


async def test_one_poll_is_one_message_per_routing_key() -> None:
    """Forty orders placed and ten stock steps: two messages."""
    rows = [row(n) for n in range(40)] + [
        row(100 + n, "ticket_type.stock_changed") for n in range(10)
    ]
    broker = Broker()
    assert await publish(broker, rows) == rows  # type: ignore[arg-type]  # a fake of the same shape
    assert broker.sent == [("order.placed", 40), ("ticket_type.stock_changed", 10)]


async def test_an_orders_events_keep_their_order() -> None:
    """Cancelled(1), placed(2), cancelled(2): order 2 is placed before it is cancelled."""
    rows = [
        row(1, "order.cancelled.0", "order:1"),
        row(2, "order.placed", "order:2"),
        row(3, "order.cancelled.0", "order:2"),
    ]
    broker = Broker()
    await publish(broker, rows)  # type: ignore[arg-type]  # a fake of the same shape
    assert [key for key, _ in broker.sent] == [
        "order.cancelled.0",
        "order.placed",
        "order.cancelled.0",
    ]


@pytest.mark.parametrize(
    "error", [PublishUnknown("?"), PublishRefused("full"), Unroutable("nobody"), BrokerAway("gone")]
)
async def test_nothing_overtakes_an_unconfirmed_message(error: Exception) -> None:
    """The second of three messages is not confirmed: only the first may be forgotten, the third is not sent."""
    rows = [row(n, key, "order:1") for n, key in enumerate(("a", "b", "c"))]
    broker = Broker(fails_at=1, error=error)
    confirmed = await publish(broker, rows)  # type: ignore[arg-type]  # a fake of the same shape
    assert confirmed == rows[:1]
    assert [key for key, _ in broker.sent] == ["a"]


@dataclass
class Waiting(Broker):
    """A publisher whose confirms come when the test says so; `lost` keys get none."""

    lost: str = ""
    confirm: asyncio.Event = field(default_factory=asyncio.Event)

    async def publish(self, exchange: str, key: str, body: bytes, properties: Properties) -> None:
        await super().publish(exchange, key, body, properties)
        await self.confirm.wait()
        if key == self.lost:
            raise self.error


async def test_strangers_wait_for_their_confirms_together() -> None:
    """Orders and stock share no aggregate: both are under way at once; the second step of the stock is not."""
    rows = [row(1), row(2, "stock", "type:7"), row(3, "stock.again", "type:7")]
    broker = Waiting()
    task = asyncio.create_task(publish(broker, rows))  # type: ignore[arg-type]  # a fake of the same shape

    async def under_way() -> bool:
        return len(broker.sent) == 2

    await eventually(under_way)
    broker.confirm.set()
    assert await task == rows
    assert [key for key, _ in broker.sent] == ["order.placed", "stock", "stock.again"]


@pytest.mark.parametrize("lost", ["order.placed", "stock"])
async def test_what_was_confirmed_beside_a_lost_one_is_done(lost: str) -> None:
    """Of two strangers one is confirmed: it may be forgotten, the other stays, and nothing later is sent."""
    rows = [row(1), row(2, "stock", "type:7"), row(3, "stock.again", "type:7")]
    broker = Waiting(lost=lost)
    broker.confirm.set()
    confirmed = await publish(broker, rows)  # type: ignore[arg-type]  # a fake of the same shape
    assert confirmed == [one for one in rows[:2] if one.routing_key != lost]
    assert [key for key, _ in broker.sent] == ["order.placed", "stock"]


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 5)), max_size=40))
def test_waves_lose_nothing_and_keep_aggregates_apart(wanted: list[tuple[int, int]]) -> None:
    """Whatever waits: every message once, in order, and no aggregate twice under way."""
    cut = [
        [row(n, f"key.{key}", f"order:{aggregate}")] for n, (key, aggregate) in enumerate(wanted)
    ]
    found = waves(cut)
    assert [message for wave in found for message in wave] == cut
    for wave in found:
        under_way = [one.aggregate for message in wave for one in message]
        assert len(under_way) == len(set(under_way))


def test_messages_are_bounded_in_count_and_size() -> None:
    """128 events or 256 KiB; a single larger event still travels, alone."""
    assert [len(m) for m in messages([row(n) for n in range(300)])] == [
        MESSAGE_EVENTS_MAX,
        MESSAGE_EVENTS_MAX,
        44,
    ]
    big = [row(n, size=BATCH_BYTES_MAX // 2) for n in range(3)]
    assert [len(m) for m in messages(big)] == [1, 1, 1]
    assert [len(m) for m in messages([row(1, size=BATCH_BYTES_MAX * 2), row(2)])] == [1, 1]
