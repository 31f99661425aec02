"""Acknowledgements that travel together: only what has ended, none blocked by a neighbour, none left at the end."""

from dataclasses import dataclass, field
from typing import Any

import aiormq.exceptions
from hypothesis import given
from hypothesis import strategies as st

from tests.harness.waiting import eventually
from workers.runtime.acknowledging import MESSAGES_MAX, Acknowledger
from workers.runtime.intake import QueueDelivery

NEVER = 3600.0


@dataclass(eq=False)
class Channel:
    """A broker's side of a channel: what it delivered and was not told of yet; as strict as RabbitMQ."""

    held: set[int] = field(default_factory=set)
    said: list[tuple[int, bool]] = field(default_factory=list)
    is_closed: bool = False

    def acknowledge(self, tag: int, multiple: bool) -> None:
        """A tag that is not held closes the channel there."""
        assert tag in self.held, f"unknown delivery tag {tag}"
        self.said.append((tag, multiple))
        self.held -= {held for held in self.held if held == tag or (multiple and held < tag)}


@dataclass(eq=False)
class Message:
    """A delivery of a channel."""

    own: Channel
    delivery_tag: int

    def __post_init__(self) -> None:
        self.own.held.add(self.delivery_tag)

    @property
    def channel(self) -> Channel:
        """As aio-pika: a closed channel is an error."""
        if self.own.is_closed:
            raise aiormq.exceptions.ChannelInvalidStateError
        return self.own

    async def ack(self, multiple: bool = False) -> None:
        """Tell the broker."""
        self.channel.acknowledge(self.delivery_tag, multiple)


def delivered(channel: Channel, count: int) -> list[QueueDelivery]:
    """The first deliveries of a channel."""
    messages: list[Any] = [Message(channel, tag) for tag in range(1, count + 1)]
    return [QueueDelivery("inventory.3", message) for message in messages]


async def test_a_row_is_acknowledged_in_one() -> None:
    """Three deliveries that ended in any order: one word to the broker, for all of them."""
    channel, acknowledging = Channel(), Acknowledger(NEVER)
    first, second, third = delivered(channel, 3)
    for delivery in (second, first, third):
        acknowledging.acknowledge(delivery)
    assert channel.said == []
    await acknowledging.flush()
    assert (channel.said, channel.held) == ([(3, True)], set())


async def test_what_has_not_ended_is_never_acknowledged() -> None:
    """A row stops before the delivery that is still being worked on; those behind it go alone."""
    channel, acknowledging = Channel(), Acknowledger(NEVER)
    deliveries = delivered(channel, 5)
    for place in (0, 1, 3, 4):
        acknowledging.acknowledge(deliveries[place])
    await acknowledging.flush()
    assert channel.held == {3}
    assert channel.said == [(2, True), (4, False), (5, False)]
    acknowledging.acknowledge(deliveries[2])
    await acknowledging.flush()
    assert channel.held == set()


@given(st.permutations(range(12)), st.lists(st.integers(0, 11), max_size=4))
async def test_any_order_and_any_moment(order: list[int], moments: list[int]) -> None:
    """However deliveries end and whenever the broker is told: exactly those that ended are off its hands."""
    channel, acknowledging = Channel(), Acknowledger(NEVER)
    deliveries, ended = delivered(channel, 12), set[int]()
    for number, place in enumerate(order):
        acknowledging.acknowledge(deliveries[place])
        ended.add(place + 1)
        assert channel.held >= set(range(1, 13)) - ended
        if number in moments:
            await acknowledging.flush()
            assert channel.held == set(range(1, 13)) - ended
    await acknowledging.flush()
    assert channel.held == set()


async def test_many_do_not_wait_for_the_time() -> None:
    """A quarter of the prefetch is told at once: a consumer never starves of its own delay."""
    channel, acknowledging = Channel(), Acknowledger(NEVER)
    for delivery in delivered(channel, MESSAGES_MAX):
        acknowledging.acknowledge(delivery)

    async def told() -> bool:
        return not channel.held

    await eventually(told)
    assert channel.said == [(MESSAGES_MAX, True)]


async def test_a_single_acknowledgement_is_sent_after_a_moment() -> None:
    """Nobody needs to flush."""
    channel, acknowledging = Channel(), Acknowledger(0.001)
    acknowledging.acknowledge(delivered(channel, 1)[0])

    async def told() -> bool:
        return channel.said == [(1, False)]

    await eventually(told)


async def test_a_closed_channel_is_forgotten() -> None:
    """What came by a lost connection cannot be acknowledged; the next channel counts from one again."""
    lost, channel, acknowledging = Channel(), Channel(), Acknowledger(NEVER)
    early, late = delivered(lost, 2)
    acknowledging.acknowledge(early)
    lost.is_closed = True
    acknowledging.acknowledge(late)
    acknowledging.acknowledge(delivered(channel, 1)[0])
    await acknowledging.flush()
    assert (lost.said, channel.said) == ([], [(1, False)])
