"""Messages in: what this process consumes, in lanes, on a connection of its own.

In: subscriptions to queues. Out: `take()` gives what has queued up, the lower lane first.
Must stay true: a message leaves here unacknowledged and is acknowledged by whoever took it, once;
when the connection is lost, what was not yet taken is forgotten (the broker delivers it again);
work never runs in aio-pika's callbacks (they are cancelled when a channel closes).
"""

import asyncio
from collections import deque
from dataclasses import dataclass

import structlog
from aio_pika.abc import AbstractChannel, AbstractIncomingMessage, AbstractQueue

from contracts.messaging.link import (
    LINK_ERRORS,
    BrokerAway,
    Link,
    OnOpen,
    library_endings,
)

log = structlog.get_logger(__name__)

FIRST_LANE, COMMANDS_LANE = 0, 1
PREFETCH = 32
"""Messages (each up to 64 commands) that one consumer may hold."""

CYCLE_MESSAGES = 64
CYCLE_BYTES = 128 * 1024


@dataclass(frozen=True, slots=True, eq=False)
class QueueDelivery:
    """A message as it came, and the queue it came from."""

    queue: str
    message: AbstractIncomingMessage


class Intake:
    """The queues a process consumes and what has arrived from them."""

    def __init__(
        self, url: str, name: str, *, prefetch: int = PREFETCH, prepare: OnOpen | None = None
    ) -> None:
        """`prepare` runs on each new channel before anything is consumed: it declares what may be missing."""
        self._prepare = prepare
        self._link = Link(
            url, f"{name} consume", on_open=self._opened, on_lost=self._lost, probe=True
        )
        self._prefetch = prefetch
        self._lanes: tuple[deque[QueueDelivery], deque[QueueDelivery]] = (deque(), deque())
        self._arrived, self._emptied = asyncio.Event(), asyncio.Event()
        self._emptied.set()
        self._wanted: dict[str, int] = {}
        self._consumers: dict[str, tuple[AbstractQueue, str]] = {}

    @property
    def is_open(self) -> bool:
        """Whether the broker is connected."""
        return self._link.is_open

    @property
    def waiting(self) -> int:
        """Messages that arrived and were not taken yet."""
        return sum(map(len, self._lanes))

    async def start(self, wait: float | None = None) -> None:
        """Connect; see `Link.start`."""
        await self._link.start(wait=wait)

    async def stop(self) -> None:
        """Close the connection: what was not acknowledged is delivered again, to somebody."""
        await self._link.stop()

    def let_go(self) -> None:
        """Close the present connection: what we hold unacknowledged goes to whoever consumes now."""
        self._link.reset()

    async def subscribe(self, queue: str, lane: int = COMMANDS_LANE) -> None:
        """Consume a queue from now on, over reconnections too."""
        self._wanted[queue] = lane
        if self._link.is_open and queue not in self._consumers:
            try:
                with library_endings():
                    await self._consume(self._link.channel, queue, lane)
            except (BrokerAway, *LINK_ERRORS) as error:
                # The link comes back and consumes all that is wanted.
                log.warning("subscription waits for the broker", queue=queue, error=repr(error))

    async def unsubscribe(self, queue: str) -> None:
        """Stop consuming a queue. What arrived from it can still be taken."""
        self._wanted.pop(queue, None)
        consumer = self._consumers.pop(queue, None)
        if consumer is None:
            return
        try:
            with library_endings():
                async with asyncio.timeout(3):
                    await consumer[0].cancel(consumer[1])
        except LINK_ERRORS as error:
            log.warning("consumer not cancelled", queue=queue, error=repr(error))

    async def unsubscribe_all(self) -> None:
        """Stop consuming everything."""
        for queue in list(self._wanted):
            await self.unsubscribe(queue)

    async def take(self) -> list[QueueDelivery]:
        """What one cycle deals with, at least one message: waits for it. Returns and the catalogue before orders.

        Bounded in bytes as well (some 150 orders): between two cycles returns get their turn.
        """
        while not self.waiting:
            self._arrived.clear()
            await self._arrived.wait()
        taken: list[QueueDelivery] = []
        size = 0
        for lane in self._lanes:
            while lane and len(taken) < CYCLE_MESSAGES and size < CYCLE_BYTES:
                taken.append(lane.popleft())
                size += len(taken[-1].message.body)
        if not self.waiting:
            self._emptied.set()
        return taken

    async def emptied(self) -> None:
        """Return once nothing that arrived waits to be taken."""
        await self._emptied.wait()

    async def _opened(self, channel: AbstractChannel) -> None:
        if self._prepare is not None:
            await self._prepare(channel)
        await channel.set_qos(prefetch_count=self._prefetch)
        for queue, lane in list(self._wanted.items()):
            await self._consume(channel, queue, lane)

    async def _consume(self, channel: AbstractChannel, queue: str, lane: int) -> None:
        target = await channel.get_queue(queue, ensure=False)
        waiting = self._lanes[lane]

        async def arrived(message: AbstractIncomingMessage) -> None:
            self._link.heard()
            waiting.append(QueueDelivery(queue, message))
            self._emptied.clear()
            self._arrived.set()

        tag = await target.consume(arrived)
        self._consumers[queue] = (target, tag)

    def _lost(self) -> None:
        self._consumers.clear()
        for lane in self._lanes:
            lane.clear()
        self._emptied.set()
