"""The broadcast: what gateways like to know soon, sent to all of them without asking whether anybody heard.

In: events that the relay has published. Out: the same bodies on `eventhub.news`, not confirmed and not kept.
Must stay true: nobody waits for the broadcast and nothing fails by it: a gateway's queue that its broker node cannot
serve holds up no event (were it bound to `eventhub.events`, no confirm would come); what was not heard is read again by
the gateway within a second (`gateway.availability.broadcast`).
"""

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence

import aio_pika
import structlog
from aio_pika.abc import DeliveryMode

from contracts.events import BROADCAST_EVENTS
from contracts.messaging.envelope import join_batch
from contracts.messaging.link import (
    LINK_ERRORS,
    BrokerAway,
    Link,
    library_endings,
)
from contracts.messaging.topology import BROADCAST_EXCHANGE
from contracts.runtime.tasks import end
from db.messages.outbox import PendingEvent
from workers.relay.publishing import messages
from workers.runtime.metrics import BROADCASTS_DROPPED
from workers.runtime.services import Services

log = structlog.get_logger(__name__)

WAITING_MAX = 100
"""Messages, of 256 KiB at the most; old ones go first."""
SEND_SECONDS = 2.0
TOPICS = frozenset(event.TOPIC for event in BROADCAST_EVENTS)

Message = tuple[str, bytes, str]
"""Routing key, body, content type."""


class Broadcaster:
    """Sends the broadcast on a connection of its own."""

    def __init__(self, url: str, name: str) -> None:
        self.link = Link(url, f"{name} broadcast", confirms=False, probe=True)
        self._waiting: deque[Message] = deque(maxlen=WAITING_MAX)
        self._there_are = asyncio.Event()

    def tell(self, rows: Sequence[PendingEvent]) -> None:
        """Send what gateways listen to, soon; returns at once."""
        for topic in TOPICS:
            if heard := [row for row in rows if row.routing_key == topic]:
                for cut in messages(heard):
                    self._put((topic, *join_batch([row.body for row in cut])))

    def _put(self, message: Message) -> None:
        if len(self._waiting) == WAITING_MAX:
            BROADCASTS_DROPPED.inc()
        self._waiting.append(message)
        self._there_are.set()

    async def run(self) -> None:
        """Send until cancelled."""
        while True:
            await self._there_are.wait()
            while self._waiting:
                try:
                    await self._send(*self._waiting.popleft())
                except Exception:
                    # Nobody waits for this task: gateways would hear nothing until the next start.
                    log.exception("broadcast message not sent, nobody knows why")
            self._there_are.clear()

    async def _send(self, topic: str, body: bytes, content_type: str) -> None:
        message = aio_pika.Message(
            body, content_type=content_type, delivery_mode=DeliveryMode.NOT_PERSISTENT
        )
        try:
            with library_endings():
                async with asyncio.timeout(SEND_SECONDS):
                    exchange = await self.link.channel.get_exchange(
                        BROADCAST_EXCHANGE, ensure=False
                    )
                    await exchange.publish(message, topic, mandatory=False)
        except (BrokerAway, *LINK_ERRORS) as error:
            BROADCASTS_DROPPED.inc()
            log.debug("broadcast message dropped", topic=topic, error=repr(error))


@contextlib.asynccontextmanager
async def telling(services: Services) -> AsyncIterator[Callable[[Sequence[PendingEvent]], None]]:
    """Whom to give rows to, for the length of the block."""
    settings = services.settings
    broadcaster = Broadcaster(settings.amqp_url.get_secret_value(), settings.process)
    await broadcaster.link.start()
    task = asyncio.create_task(broadcaster.run(), name="broadcast")
    try:
        yield broadcaster.tell
    finally:
        await end(task)
        await broadcaster.link.stop()
