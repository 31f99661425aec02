"""The collector of commands: what goes together, how much is in flight, how each command ends."""

import asyncio
from typing import Any

import pytest

from contracts.messaging.link import BrokerAway
from contracts.messaging.publisher import (
    Coalescer,
    Properties,
    Publisher,
    PublishUnknown,
    Unroutable,
)


class Broker:
    """Confirms when told to; remembers what came."""

    def __init__(self) -> None:
        self.messages: list[tuple[str, int]] = []
        self.confirms: list[asyncio.Future[None]] = []

    async def publish(self, _: str, routing_key: str, body: bytes, __: Any) -> None:
        """Wait for `confirm`."""
        self.messages.append((routing_key, body.count(b"id")))
        self.confirms.append(asyncio.get_running_loop().create_future())
        await self.confirms[-1]

    async def confirm(self, position: int, error: Exception | None = None) -> None:
        """Let one message end, and everybody react."""
        if error is None:
            self.confirms[position].set_result(None)
        else:
            self.confirms[position].set_exception(error)
        await settled()


async def settled() -> None:
    """Let every task that can run do so."""
    for _ in range(20):
        await asyncio.sleep(0)


def submit(collector: Coalescer, *keys: str) -> "list[asyncio.Task[None]]":
    """A command for each key."""
    return [asyncio.create_task(collector.submit(key, b'{"id":1}')) for key in keys]


async def test_few_messages_are_in_flight_and_the_others_grow() -> None:
    """With two allowed, commands for a third and fourth key collect until one is confirmed, first come first."""
    broker = Broker()
    collector = Coalescer(broker, "x", in_flight=2)  # type: ignore[arg-type]  # as much of a Publisher as is used
    tasks = submit(collector, "a", "b", "c", "d")
    await settled()
    tasks += submit(collector, "c", "d", "c")
    await settled()
    assert broker.messages == [("a", 1), ("b", 1)]
    await broker.confirm(1)
    assert broker.messages[2:] == [("c", 3)]
    await broker.confirm(0)
    assert broker.messages[3:] == [("d", 2)]
    await broker.confirm(2)
    await broker.confirm(3)
    await asyncio.gather(*tasks)


async def test_an_error_is_of_its_message_alone() -> None:
    """The turn is given on, and the next message of the key may succeed."""
    broker = Broker()
    collector = Coalescer(broker, "x", in_flight=1)  # type: ignore[arg-type]  # as much of a Publisher as is used
    first, second = submit(collector, "a", "b")
    await settled()
    await broker.confirm(0, Unroutable("no queue"))
    await broker.confirm(1)
    with pytest.raises(Unroutable):
        await first
    await second


async def test_who_gets_no_turn_was_surely_not_sent() -> None:
    """While the broker says nothing to those before, the others are told that nothing was done."""
    broker = Broker()
    collector = Coalescer(broker, "x", in_flight=1, turn_seconds=0.01)  # type: ignore[arg-type]  # as much of a Publisher as is used
    first, second = submit(collector, "a", "b")
    with pytest.raises(BrokerAway):
        await second
    assert broker.messages == [("a", 1)]
    await broker.confirm(0)
    await first


class Library:
    """A link, its channel and exchange in one: raises what it is told to, on the way or before it."""

    def __init__(self, *, opening: Exception | None = None, sending: Exception | None = None):
        self._opening, self._sending = opening, sending

    @property
    def channel(self) -> "Library":
        return self

    async def get_exchange(self, *_: object, **__: object) -> "Library":
        if self._opening:
            raise self._opening
        return self

    async def publish(self, *_: object, **__: object) -> None:
        if self._sending:
            raise self._sending


@pytest.mark.parametrize(
    ("library", "end"),
    [
        (Library(sending=Exception("the reader ended between two frames")), PublishUnknown),
        (Library(sending=KeyError("a bug of the library")), PublishUnknown),
        (Library(opening=RuntimeError("no channel any more")), BrokerAway),
    ],
)
async def test_whatever_the_library_raises_is_one_of_the_five_ends(
    library: Library, end: type[Exception]
) -> None:
    """On the way: unknown. Before anything was sent: away. Who waits in the collector hears it."""
    publisher = Publisher(library)  # type: ignore[arg-type]  # as much of a Link as is used
    with pytest.raises(end):
        await publisher.publish("x", "a", b"{}", Properties("application/json"))
    with pytest.raises(end):
        await Coalescer(publisher, "x").submit("a", b'{"id":1}')
