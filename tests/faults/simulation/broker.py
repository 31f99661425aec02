"""A broker in memory with our own topology: queues, confirms, acknowledgements, and what can go wrong with each.

In: what publishers send. Out: deliveries; again when their consumer died or its connection was cut.
Must stay true: what was confirmed is on every queue it is for until it is acknowledged; order is not promised.
"""

from dataclasses import dataclass, field
from typing import Any

import aiormq.exceptions

from contracts.messaging.link import BrokerAway
from contracts.messaging.publisher import Properties, PublishUnknown
from contracts.messaging.topology import DEAD_EXCHANGE, Topology, returns_queue
from tests.faults.simulation.chance import Chance
from workers.runtime.intake import QueueDelivery

IDLE_SECONDS = 0.2
PURGED = (returns_queue(0),)
"""Somebody deletes it, or what is on it: the tickets must come back all the same."""


@dataclass(slots=True, eq=False)
class Parcel:
    """A message on a queue."""

    body: bytes
    properties: Properties
    queue: str
    redelivered: bool = False
    holder: int = 0
    """The life of a process that has it, 0 while it waits."""


@dataclass(slots=True, eq=False)
class Channel:
    """What numbers the deliveries of one connection, and knows those that nobody has acknowledged yet."""

    broker: "Broker"
    connection: int
    delivered: int = 0
    held: dict[int, Parcel] = field(default_factory=dict)

    @property
    def is_closed(self) -> bool:
        """Whether the connection has gone."""
        return self.connection not in self.broker.connections

    def deliver(self, parcel: Parcel) -> int:
        """The delivery's tag."""
        self.delivered += 1
        self.held[self.delivered] = parcel
        return self.delivered

    def acknowledge(self, tag: int, *, multiple: bool) -> None:
        """As RabbitMQ: a tag that is not held is an error of the protocol."""
        assert tag in self.held, "unknown delivery tag"
        for held in [one for one in self.held if one == tag or (multiple and one < tag)]:
            parcel = self.held.pop(held)
            self.broker.queues[parcel.queue].remove(parcel)


@dataclass(slots=True, eq=False)
class Message:
    """A parcel as its consumer sees it, for as long as the consumer's connection lasts."""

    broker: "Broker"
    parcel: Parcel
    channel: Channel
    delivery_tag: int = field(init=False)
    body: bytes = field(init=False)
    redelivered: bool = field(init=False)

    def __post_init__(self) -> None:
        self.delivery_tag = self.channel.deliver(self.parcel)
        self.body, self.redelivered = self.parcel.body, self.parcel.redelivered

    content_type = property(lambda self: self.parcel.properties.content_type)
    headers = property(lambda self: self.parcel.properties.headers)
    message_id = property(lambda self: self.parcel.properties.message_id)
    correlation_id = property(lambda self: self.parcel.properties.correlation_id)
    type = property(lambda self: self.parcel.properties.type)

    async def ack(self, multiple: bool = False) -> None:
        """Acknowledge. Raises ChannelInvalidStateError after a cut; the ack itself may be lost with the connection."""
        await self.broker.chance.pause()
        if self.channel.is_closed:
            raise aiormq.exceptions.ChannelInvalidStateError("closed")
        if self.broker.chance.happens("ack"):
            self.broker.cut(self.parcel.holder)
            return
        self.channel.acknowledge(self.delivery_tag, multiple=multiple)


class Broker:
    """Queues and bindings of a topology."""

    def __init__(self, chance: Chance, topology: Topology) -> None:
        self.chance = chance
        self._bindings = topology.bindings
        self.queues: dict[str, list[Parcel]] = {queue.name: [] for queue in topology.queues}
        self.dead: list[Parcel] = []
        self.connections: set[int] = set()
        self._of: dict[int, int] = {}
        self._serial = 0

    def connect(self, process: int) -> int:
        """A consumer's new connection."""
        self._serial += 1
        self.connections.add(self._serial)
        self._of[process] = self._serial
        return self._serial

    def cut(self, process: int) -> None:
        """A process's connection ends: what it holds is delivered again, to anybody, at any place in the queue."""
        self.connections.discard(self._of.pop(process, 0))
        for queue in self.queues.values():
            for parcel in [one for one in queue if one.holder == process]:
                parcel.holder, parcel.redelivered = 0, True
                queue.remove(parcel)
                queue.insert(self.chance.random.randint(0, len(queue)), parcel)

    def route(self, exchange: str, key: str, body: bytes, properties: Properties) -> None:
        """Put a message on every queue that it is for."""
        if exchange == DEAD_EXCHANGE:
            self.dead.append(Parcel(body, properties, key))
            return
        if exchange.startswith("eventhub.retry."):
            self.queues[key].append(Parcel(body, properties, key))
            return
        for binding in self._bindings:
            if (
                binding.exchange == exchange
                and _fits(binding.key, key)
                and binding.queue in self.queues
            ):
                if binding.queue in PURGED and self.chance.happens("purge"):
                    continue
                times = 2 if self.chance.happens("twice") else 1
                for _ in range(times):
                    self.queues[binding.queue].append(Parcel(body, properties, binding.queue))

    async def publish(self, exchange: str, key: str, body: bytes, properties: Properties) -> None:
        """As contracts.messaging.publisher.Publisher.publish."""
        await self.chance.pause()
        if self.chance.happens("publish"):
            how = self.chance.random.choice(("away", "before", "after"))
            if how == "away":
                raise BrokerAway("simulated")
            if how == "after":
                self.route(exchange, key, body, properties)
            raise PublishUnknown("simulated")
        self.route(exchange, key, body, properties)
        await self.chance.pause()


class Intake:
    """What one life of a process consumes."""

    def __init__(self, broker: Broker, process: int, queues: tuple[str, ...]) -> None:
        self._broker, self._process, self._queues = broker, process, queues
        self._channel = Channel(broker, broker.connect(process))

    waiting = 0
    is_open = True

    async def take(self, limit: int = 64) -> list[QueueDelivery]:
        """What has queued up, at least one; the queues come in the order of their lanes."""
        while True:
            await self._broker.chance.pause()
            if self._broker.chance.happens("cut"):
                self._broker.cut(self._process)
            if self._channel.is_closed:
                self._channel = Channel(self._broker, self._broker.connect(self._process))
            free: list[Any] = [
                parcel
                for name in self._queues
                for parcel in self._broker.queues[name]
                if not parcel.holder
            ]
            if free:
                return [self._delivery(parcel) for parcel in free[:limit]]
            await self._broker.chance.pause(IDLE_SECONDS)

    def _delivery(self, parcel: Parcel) -> QueueDelivery:
        parcel.holder = self._process
        message: Any = Message(self._broker, parcel, self._channel)
        return QueueDelivery(parcel.queue, message)


def _fits(pattern: str, key: str) -> bool:
    """Topic matching, as far as our bindings go: `#` alone, or words of which `*` stands for one."""
    if pattern == "#":
        return True
    wanted, words = pattern.split("."), key.split(".")
    return len(wanted) == len(words) and all(
        one in ("*", word) for one, word in zip(wanted, words, strict=True)
    )
