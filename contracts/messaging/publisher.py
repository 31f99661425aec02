"""Publishing that knows how it ended, and the collector that turns many commands into one message.

In: encoded envelopes and a routing key. Out: a return means the broker has it on every queue it is for.
Must stay true: there are exactly five ends: confirmed, `Unroutable`, `PublishRefused`, `BrokerAway` (surely not sent),
`PublishUnknown` (sent, never answered); per routing key one message is in flight, so order is kept and the
message size grows with the load, without a timer.
"""

import asyncio
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field

import aio_pika
import aiormq.exceptions
from aio_pika.abc import AbstractExchange, DeliveryMode, HeadersType

from contracts.messaging.envelope import BATCH_BYTES_MAX, BATCH_COMMANDS_MAX, join_batch
from contracts.messaging.link import (
    LINK_ERRORS,
    BrokerAway,
    Link,
    library_endings,
)
from contracts.runtime.timeouts import loop_fair_timeout

CONFIRM_SECONDS = 5.0
MESSAGES_IN_FLIGHT = 2
"""Of one collector: enough to keep the broker's log busy while a confirm travels (docs/performance.md)."""


class PublishFailed(Exception):
    """Base of the ends in which the broker did not confirm."""


class Unroutable(PublishFailed):
    """No queue is bound for the routing key: the message was returned. Nothing happened."""


class PublishRefused(PublishFailed):
    """A queue is full and said no (`reject-publish`). Nothing may be assumed to have been kept."""


class PublishUnknown(PublishFailed):
    """Sent, but no answer came in time or the connection went: the broker may hold it or not."""


@dataclass(frozen=True, slots=True)
class Properties:
    """What travels beside the body. All our messages are persistent."""

    content_type: str
    message_id: str | None = None
    correlation_id: str | None = None
    type: str | None = None
    headers: HeadersType = field(default_factory=dict)


class Publisher:
    """Publishes with confirms on a connection of its own."""

    def __init__(self, link: Link, *, confirm_seconds: float = CONFIRM_SECONDS) -> None:
        self._link = link
        self._confirm_seconds = confirm_seconds
        self._exchanges: dict[str, AbstractExchange] = {}
        self._channel_id = 0

    @property
    def is_open(self) -> bool:
        """Whether the broker is connected."""
        return self._link.is_open

    async def publish(
        self, exchange: str, routing_key: str, body: bytes, properties: Properties
    ) -> None:
        """Publish one message and wait for its confirm.

        Raises Unroutable, Refused, PublishUnknown or contracts.messaging.link.BrokerAway.
        """
        target = await self._exchange(exchange)
        message = aio_pika.Message(
            body,
            content_type=properties.content_type,
            message_id=properties.message_id,
            correlation_id=properties.correlation_id,
            type=properties.type,
            headers=properties.headers,
            delivery_mode=DeliveryMode.PERSISTENT,
        )
        try:
            with library_endings():
                async with loop_fair_timeout(self._confirm_seconds):
                    await target.publish(message, routing_key, mandatory=True)
        except aiormq.exceptions.PublishError as error:
            raise Unroutable(f"{exchange}/{routing_key} reaches no queue") from error
        except aiormq.exceptions.DeliveryError as error:
            raise PublishRefused(f"{exchange}/{routing_key} was refused by a full queue") from error
        except aiormq.exceptions.ChannelInvalidStateError as error:
            raise BrokerAway(f"{exchange}/{routing_key}: channel closed") from error
        except Exception as error:
            # Whatever the library raises here, the message may have been kept, and whoever waits must hear an end.
            raise PublishUnknown(f"{exchange}/{routing_key}: {error!r}") from error
        self._link.heard()

    async def _exchange(self, name: str) -> AbstractExchange:
        channel = self._link.channel
        if id(channel) != self._channel_id:
            self._exchanges, self._channel_id = {}, id(channel)
        if name not in self._exchanges:
            try:
                self._exchanges[name] = await channel.get_exchange(name, ensure=False)
            except LINK_ERRORS as error:
                raise BrokerAway(f"{name}: {error!r}") from error
        return self._exchanges[name]


@dataclass(slots=True)
class _KeyBacklog:
    """What waits for one routing key, and whether somebody is sending for it."""

    waiting: deque[tuple[bytes, asyncio.Future[None]]] = field(default_factory=deque)
    sender: asyncio.Task[None] | None = None


class Coalescer:
    """Collects commands for a routing key while the previous message waits for its confirm.

    At most 64 commands or 256 KiB a message (design: 2.3 times the orders of one message per command). Over all
    routing keys few messages are in flight: with sales of many events each key would else send single commands,
    and a message costs as much as several commands do.
    """

    def __init__(
        self,
        publisher: Publisher,
        exchange: str,
        *,
        in_flight: int = MESSAGES_IN_FLIGHT,
        turn_seconds: float = CONFIRM_SECONDS,
    ) -> None:
        self._publisher = publisher
        self._exchange = exchange
        self._lanes: dict[str, _KeyBacklog] = {}
        self._turns = asyncio.Semaphore(in_flight)
        self._turn_seconds = turn_seconds

    async def submit(self, routing_key: str, body: bytes) -> None:
        """Publish one encoded envelope, with whatever else goes the same way. Raises as `publish` does."""
        lane = self._lanes.setdefault(routing_key, _KeyBacklog())
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        lane.waiting.append((body, future))
        if lane.sender is None:
            lane.sender = asyncio.create_task(self._send(routing_key, lane))
        await future

    async def drain(self) -> None:
        """Wait until nothing is on its way."""
        senders = [lane.sender for lane in self._lanes.values() if lane.sender is not None]
        await asyncio.gather(*senders, return_exceptions=True)

    async def _send(self, routing_key: str, lane: _KeyBacklog) -> None:
        try:
            while lane.waiting:
                try:
                    async with loop_fair_timeout(self._turn_seconds):
                        await self._turns.acquire()
                except TimeoutError:
                    _end(
                        lane.waiting,
                        BrokerAway(f"{routing_key}: no turn within {self._turn_seconds} s"),
                    )
                    lane.waiting.clear()
                    return
                try:
                    await self._send_once(routing_key, lane)
                finally:
                    self._turns.release()
        finally:
            lane.sender = None

    async def _send_once(self, routing_key: str, lane: _KeyBacklog) -> None:
        """One message of what waits by now, to its end."""
        taken = _take(lane.waiting)
        body, content_type = join_batch([body for body, _ in taken])
        _end(taken, await self._publish(routing_key, body, content_type))

    async def _publish(self, routing_key: str, body: bytes, content_type: str) -> Exception | None:
        try:
            await self._publisher.publish(
                self._exchange, routing_key, body, Properties(content_type)
            )
        except (PublishFailed, BrokerAway) as error:
            return error
        return None


def _end(commands: Iterable[tuple[bytes, asyncio.Future[None]]], error: Exception | None) -> None:
    for _, future in commands:
        if future.done():
            continue
        if error is None:
            future.set_result(None)
        else:
            future.set_exception(error)


def _take(
    waiting: deque[tuple[bytes, asyncio.Future[None]]],
) -> list[tuple[bytes, asyncio.Future[None]]]:
    taken = [waiting.popleft()]
    size = len(taken[0][0])
    while waiting and len(taken) < BATCH_COMMANDS_MAX:
        size += len(waiting[0][0]) + 1
        if size > BATCH_BYTES_MAX:
            break
        taken.append(waiting.popleft())
    return taken
