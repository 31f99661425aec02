"""Every event of EventHub: one log line for those who watch, one delivery for each webhook that may hear it.

In: batches of events of one type from the queue `notify`. Out: rows of `webhook_deliveries`, then log lines.
Must stay true: an event is logged after its deliveries are committed; one seen twice makes no second delivery; while
the database is away events wait in their order instead of climbing the retry ladder, which would let later ones pass.
"""

from collections.abc import Awaitable, Callable, Sequence

import structlog

from contracts.envelope import Envelope
from contracts.events import (
    EVENTS,
    Event,
    EventCancelled,
    EventChanged,
    OrderEvent,
    PaymentEvent,
    RateQuarantined,
)
from contracts.times import to_wire
from db import deliveries, webhooks
from db.mysql import Database, is_away
from workers.handlers import ACK, Consumes, End, Handler, Received, Retry
from workers.notify import audience
from workers.notify.measures import NOTIFIED

log = structlog.get_logger(__name__)

BATCH_MAX = 200
_EVENT_ID_LENGTH = 36
"""Events' ids are UUIDs with dashes; a cause of any other length is a command's id."""

Waiter = Callable[[], Awaitable[None]]


class Notifier:
    """Writes deliveries down and events into the log."""

    def __init__(
        self, database: Database, *, database_back: Waiter, wake: Callable[[], None]
    ) -> None:
        self._database, self._database_back = database, database_back
        self._wake = wake

    async def notify(self, batch: Sequence[Received[Event]]) -> list[End]:
        """Deal with events of one type, in order."""
        ends: list[End] = []
        for start in range(0, len(batch), BATCH_MAX):
            ends += await self._notify(batch[start : start + BATCH_MAX])
        return ends

    async def _notify(self, batch: Sequence[Received[Event]]) -> list[End]:
        while True:
            try:
                written = await self._write([(one.envelope, one.message) for one in batch])
            except Exception as error:
                if is_away(error):
                    await self._database_back()
                    continue
                if len(batch) == 1:
                    log.exception("event not notified", event_id=batch[0].envelope.id)
                    return [Retry(f"not notified: {error!r}")]
                # One event that cannot be written harms only itself.
                return [end for one in batch for end in await self._notify([one])]
            break
        if written:
            self._wake()
        for one in batch:
            write_line(one.envelope, one.message)
        return [ACK] * len(batch)

    async def _write(self, events: Sequence[tuple[Envelope, Event]]) -> int:
        concerned = {account for _, event in events for account in audience.concerned(event)}
        if not concerned:
            return 0
        listeners = await webhooks.listeners(self._database, concerned)
        new = audience.deliveries(events, listeners)
        if new:
            await self._database.run(lambda transaction: deliveries.add(transaction, new))
        return len(new)


def write_line(envelope: Envelope, event: Event) -> None:
    """One line that says what happened, to what, and which request and command led to it."""
    NOTIFIED.labels(event.TOPIC).inc()
    noteworthy = isinstance(
        event, OrderEvent | PaymentEvent | EventChanged | EventCancelled | RateQuarantined
    )
    # Stock and rates change many times a second and are nobody's news: their lines are for debugging.
    write = log.info if noteworthy else log.debug
    write(event.TOPIC, **_ids(envelope), **_facts(event))


def _ids(envelope: Envelope) -> dict[str, object]:
    cause = envelope.causationid
    return {
        "event_id": envelope.id,
        "sequence": audience.sequence_of(envelope),
        "correlation_id": envelope.correlationid,
        "request_id": envelope.correlationid,
        "causation_id": cause,
        "command_id": cause if cause and len(cause) != _EVENT_ID_LENGTH else None,
        "occurred_at": to_wire(envelope.time),
    }


def _facts(event: Event) -> dict[str, object]:
    if isinstance(event, OrderEvent):
        return {"order_id": event.order.get("id"), "user_id": event.order.get("userId")} | {
            "status": event.order.get("status"),
            "version": event.order.get("version"),
            "total_cost": event.order.get("totalCost"),
            "currency": event.order.get("currency"),
            "organizer_id": event.organizer_id,
            "reason": getattr(event, "reason", None),
        }
    if isinstance(event, PaymentEvent):
        return {"payment_id": event.payment.get("id"), "order_id": event.payment.get("orderId")} | {
            "user_id": event.user_id,
            "status": event.payment.get("status"),
            "asset": event.payment.get("asset"),
            "amount_crypto": event.payment.get("amountCrypto"),
        }
    if isinstance(event, EventChanged | EventCancelled):
        return {"concert_id": event.event.get("id"), "organizer_id": event.organizer_id} | {
            "status": event.event.get("status"),
            "version": event.event.get("version"),
        }
    return event.to_json()


def handlers(notifier: Notifier) -> dict[str, Handler]:
    """Every event type, all dealt with alike."""
    return {type_: Consumes(model, notifier.notify) for type_, model in EVENTS.items()}
