"""What gateways like to know soon, told to all of them without asking whether anybody heard.

In: events that the relay has in hand. Out: the same bodies on `eventhub.news`, not confirmed and not kept.
Must stay true: nobody waits for news and nothing fails by them: a gateway's queue that its broker node cannot serve
holds up no event (were it bound to `eventhub.events`, no confirm would come); what was not heard is read again by the
gateway within a second (`gateway.door_news`).
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Sequence

import aio_pika
import structlog
from aio_pika.abc import DeliveryMode

from contracts.broker import LINK_ERRORS, BrokerAway, Link, library_endings
from contracts.envelope import join_batch
from contracts.events import NEWS
from contracts.tasks import end
from contracts.topology import NEWS_EXCHANGE
from db.outbox import Pending
from workers.measures import NEWS_DROPPED
from workers.process import Services
from workers.relay.publishing import messages

log = structlog.get_logger(__name__)

WAITING_MAX = 1000
"""Messages; more are dropped."""
SEND_SECONDS = 2.0
TOPICS = frozenset(event.TOPIC for event in NEWS)

Message = tuple[str, bytes, str]
"""Routing key, body, content type."""


class Herald:
    """Tells news on a connection of its own."""

    def __init__(self, url: str, name: str) -> None:
        self.link = Link(url, f"{name} news", confirms=False, pulse=True)
        self._waiting: asyncio.Queue[Message] = asyncio.Queue(WAITING_MAX)

    def tell(self, rows: Sequence[Pending]) -> None:
        """Send what gateways listen to, soon; returns at once."""
        for topic in TOPICS:
            if heard := [row for row in rows if row.routing_key == topic]:
                for cut in messages(heard):
                    self._put((topic, *join_batch([row.body for row in cut])))

    def _put(self, message: Message) -> None:
        try:
            self._waiting.put_nowait(message)
        except asyncio.QueueFull:
            NEWS_DROPPED.inc()

    async def run(self) -> None:
        """Send until cancelled."""
        while True:
            await self._send(*await self._waiting.get())

    async def _send(self, topic: str, body: bytes, content_type: str) -> None:
        message = aio_pika.Message(
            body, content_type=content_type, delivery_mode=DeliveryMode.NOT_PERSISTENT
        )
        try:
            with library_endings():
                async with asyncio.timeout(SEND_SECONDS):
                    exchange = await self.link.channel.get_exchange(NEWS_EXCHANGE, ensure=False)
                    await exchange.publish(message, topic, mandatory=False)
        except (BrokerAway, *LINK_ERRORS) as error:
            NEWS_DROPPED.inc()
            log.debug("news dropped", topic=topic, error=repr(error))


@contextlib.asynccontextmanager
async def telling(services: Services) -> AsyncIterator[Callable[[Sequence[Pending]], None]]:
    """Whom to give rows to, for the length of the block."""
    settings = services.settings
    herald = Herald(settings.amqp_url.get_secret_value(), settings.process)
    await herald.link.start()
    task = asyncio.create_task(herald.run(), name="news")
    try:
        yield herald.tell
    finally:
        await end(task)
        await herald.link.stop()
