"""The outbox relay: events from the table to the broker, many in one message.

In: pending rows of the streams this process holds. Out: confirmed messages, rows deleted.
Must stay true: killed anywhere, at worst an event is published twice (consumers drop what they have
seen), never not at all and never before an earlier one of its aggregate: an event is sent only after
those before it have been confirmed. Events of different aggregates wait for their confirms together.

Source: "Transactional outbox" and "Polling publisher", microservices.io.
"""

import asyncio
from collections.abc import Callable, Iterable, Sequence

import structlog

from contracts.messaging.coalesce import coalesce
from contracts.messaging.envelope import BATCH_BYTES_MAX, join_batch
from contracts.messaging.link import BrokerAway
from contracts.messaging.publisher import Properties, Publisher, PublishFailed
from contracts.messaging.topology import EVENTS_EXCHANGE
from contracts.runtime import failpoints
from db.messages import outbox
from db.messages.leases import Share
from db.messages.outbox import STREAMS, PendingEvent
from db.mysql.database import is_away, is_transient
from workers.runtime.metrics import (
    OUTBOX_LAG,
    OUTBOX_WAITING,
    RELAY_BATCH,
    RELAYED,
)
from workers.runtime.services import Services

log = structlog.get_logger(__name__)

POLL_LIMIT = 500
IDLE_SECONDS = 0.05
AWAY_SECONDS = 0.5
MESSAGE_EVENTS_MAX = 128


Tell = Callable[[Sequence[PendingEvent]], None]
"""Whoever likes to know what was published, and keeps nobody waiting."""


def _nobody(_: Sequence[PendingEvent]) -> None:
    """Nobody listens."""


async def relay_outbox(services: Services, tell: Tell = _nobody) -> None:
    """Relay the streams this process holds until it stops."""
    names = [str(stream) for stream in range(STREAMS)]
    holder = (services.settings.process, services.incarnation)
    share = Share(
        services.database,
        "stream",
        names,
        holder,
        on_gain=_nothing,
        on_loss=_nothing,
        able=lambda: services.publisher.is_open,
    )
    beating = asyncio.create_task(share.run(services.stop))
    measuring = asyncio.create_task(_measure(services))
    while not services.stop.is_set():
        await services.rest(await _try_relay(services, sorted(map(int, share.held)), tell))
    await asyncio.gather(beating, measuring)


async def relay_once(services: Services, streams: Sequence[int], tell: Tell = _nobody) -> int:
    """Publish and forget at most 500 rows; how many went."""
    rows = await outbox.pending(services.database, streams, POLL_LIMIT)
    if not rows:
        return 0
    failpoints.reach("relay.selected")
    confirmed = await publish(services.publisher, rows)
    failpoints.reach("relay.published")
    tell(confirmed)
    await outbox.published(services.database, [row.id for row in confirmed])
    failpoints.reach("relay.marked")
    RELAYED.inc(len(confirmed))
    return len(confirmed)


async def publish(publisher: Publisher, rows: Sequence[PendingEvent]) -> list[PendingEvent]:
    """Publish rows, grouped, in order; those the broker confirmed. Stops after a wave with one that it did not."""
    groups = coalesce(rows, key=lambda row: row.routing_key, aggregate=lambda row: row.aggregate)
    confirmed: list[PendingEvent] = []
    for wave in waves([message for group in groups for message in messages(group)]):
        ends = await asyncio.gather(*(_publish(publisher, message) for message in wave))
        confirmed += [
            row for message, end in zip(wave, ends, strict=True) if end for row in message
        ]
        if not all(ends):
            break
    return confirmed


async def _publish(publisher: Publisher, message: Sequence[PendingEvent]) -> bool:
    body, content_type = join_batch([row.body for row in message])
    try:
        await publisher.publish(
            EVENTS_EXCHANGE, message[0].routing_key, body, Properties(content_type)
        )
    except (PublishFailed, BrokerAway) as error:
        log.warning("events not confirmed, trying again", error=repr(error))
        return False
    RELAY_BATCH.observe(len(message))
    return True


def waves(cut: Iterable[list[PendingEvent]]) -> list[list[list[PendingEvent]]]:
    """Messages in order, split where one must wait for a confirm: no aggregate is in two messages of a wave.

    What shares no aggregate may be under way together: whichever is confirmed, nothing has overtaken anything.
    """
    found: list[list[list[PendingEvent]]] = []
    seen: set[str] = set()
    for message in cut:
        own = {row.aggregate for row in message}
        if not found or not own.isdisjoint(seen):
            found.append([])
            seen = set()
        found[-1].append(message)
        seen |= own
    return found


def messages(group: Sequence[PendingEvent]) -> list[list[PendingEvent]]:
    """A group cut into messages of at most 128 events and 256 KiB."""
    cut: list[list[PendingEvent]] = [[]]
    size = 0
    for row in group:
        size += len(row.body) + 1
        if cut[-1] and (len(cut[-1]) == MESSAGE_EVENTS_MAX or size > BATCH_BYTES_MAX):
            cut.append([])
            size = len(row.body)
        cut[-1].append(row)
    return cut


async def _try_relay(services: Services, streams: Sequence[int], tell: Tell = _nobody) -> float:
    """Relay once; how long to rest: not at all while there is a full poll, longer when something is away."""
    try:
        sent = await relay_once(services, streams, tell)
    except Exception as error:
        if not (is_away(error) or is_transient(error)):
            raise
        log.warning("outbox not read, trying again", error=repr(error))
        return AWAY_SECONDS
    return 0.0 if sent == POLL_LIMIT else IDLE_SECONDS


async def _measure(services: Services) -> None:
    while not services.stop.is_set():
        try:
            waiting, age = await outbox.lag(services.database)
            OUTBOX_WAITING.set(waiting)
            OUTBOX_LAG.set(age)
        except Exception as error:
            if not (is_away(error) or is_transient(error)):
                raise
        await services.rest(1)


async def _nothing(_: str) -> None:
    """The streams held are looked at before each poll."""
