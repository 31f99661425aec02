"""What fills the availability cache: the relay's broadcast, and MySQL for the types that clients want in vain.

In: the events of `contracts.events.BROADCAST_EVENTS` on a queue of this connection's own; rows.
Out: `AvailabilityCache.heard`, `AvailabilityCache.changed` and `AvailabilityCache.read`.
Must stay true: the queue never holds up whoever publishes and goes with the connection; all types that are wanted in
vain cost one pair of queries about every second, however many clients want them.
"""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import structlog
from aio_pika.abc import AbstractChannel, AbstractIncomingMessage
from pydantic import ValidationError

from contracts.events import EventCancelled, EventChanged, StockChanged
from contracts.messaging.envelope import (
    Codec,
    Envelope,
    MalformedMessage,
    open_body,
)
from contracts.messaging.link import Link
from contracts.messaging.topology import BROADCAST_EXCHANGE
from contracts.runtime.tasks import end
from contracts.shapes import column_names
from db import catalogue
from db.catalogue import SaleState
from db.mysql.database import Database, is_away
from db.stock import shortages
from gateway.availability.cache import AvailabilityCache, TypeState

log = structlog.get_logger(__name__)

QUEUE: dict[str, Any] = {"x-queue-type": "classic", "x-max-length": 10_000}
"""The oldest messages go first when this process is slower than the sale."""
TICK_SECONDS = 0.1
AWAY_SECONDS = 1.0


class AvailabilityListener:
    """Listens to the broadcast that the relay sends (`workers.relay.broadcast`)."""

    def __init__(self, url: str, name: str, codec: Codec, availability: AvailabilityCache) -> None:
        self._codec, self._availability = codec, availability
        self._name, self._opens = name, 0
        self._link = Link(url, f"{name} broadcast", on_open=self._opened, probe=True)

    @property
    def queue(self) -> str:
        """The name of the queue of the present connection."""
        return f"news.{self._name}.{self._opens}"

    async def start(self) -> None:
        """Connect in the background: without the broadcast the cache is right as well, only later."""
        await self._link.start()

    async def stop(self) -> None:
        """Disconnect; the broker removes the queue."""
        await self._link.stop()

    async def _opened(self, channel: AbstractChannel) -> None:
        # Numbered: the broker may not have noticed yet that the connection before is gone, and its queue with it.
        self._opens += 1
        queue = await channel.declare_queue(self.queue, exclusive=True, arguments=QUEUE)
        await queue.bind(BROADCAST_EXCHANGE)
        await queue.consume(self._arrived, no_ack=True)

    async def _arrived(self, message: AbstractIncomingMessage) -> None:
        self._link.heard()
        try:
            for envelope in open_body(message.body, message.content_type):
                self._hear(envelope)
        except (MalformedMessage, ValidationError) as error:
            log.warning("broadcast message skipped", error=type(error).__name__)

    def _hear(self, envelope: Envelope) -> None:
        if not self._codec.verifies(envelope):
            return
        if envelope.type == StockChanged.TYPE:
            listener = StockChanged.model_validate(envelope.data)
            self._availability.heard(listener.ticket_type_id, listener.version, listener.available)
        elif envelope.type == EventChanged.TYPE:
            self._availability.changed(EventChanged.model_validate(envelope.data).event["id"])
        elif envelope.type == EventCancelled.TYPE:
            self._availability.changed(EventCancelled.model_validate(envelope.data).event["id"])


async def reread(availability: AvailabilityCache, database: Database) -> None:
    """Keep what is wanted in vain fresh. Ends only by cancellation."""
    while True:
        await availability.wanted()
        due = availability.due()
        if due:
            try:
                await _reread_once(availability, database, due)
            except Exception as error:
                # What is known grows old, and the cache refuses nothing by it: a worker decides.
                if is_away(error):
                    log.info("stock not re-read, the database is away", types=len(due))
                else:
                    log.exception("stock not re-read", types=len(due))
                await asyncio.sleep(AWAY_SECONDS)
        await asyncio.sleep(TICK_SECONDS)


async def _reread_once(
    availability: AvailabilityCache, database: Database, type_ids: list[int]
) -> None:
    began = time.monotonic()
    rows = await catalogue.sale_states(database, type_ids)
    held = await shortages(database, type_ids)
    states = {
        type_id: TypeState(
            **{name: getattr(row, name) for name in column_names(SaleState)},
            held=held[type_id].held,
            next_release_at=held[type_id].next_release_at,
        )
        for type_id, row in rows.items()
    }
    availability.read(states, type_ids, began)


@asynccontextmanager
async def watching(
    availability: AvailabilityCache, database: Database, listener: AvailabilityListener
) -> AsyncIterator[None]:
    """Listen and re-read for the length of the block."""
    await listener.start()
    task = asyncio.create_task(reread(availability, database), name="re-reading stock")
    try:
        yield
    finally:
        await end(task)
        await listener.stop()
