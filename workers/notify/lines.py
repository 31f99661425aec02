"""What happened, for those who watch: one log line per event, a batch of lines in one write.

In: events with their envelopes. Out: JSON lines on standard output, shaped as those of `contracts.runtime.logs`, with
the ids that lead back to the request and the command.
Must stay true: when `write` returns, the lines have left this process: its caller acknowledges the events then;
stock and rates are written at the level `debug` alone.
"""

import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import BinaryIO

import orjson

from contracts.events import (
    DomainEvent,
    EventCancelled,
    EventChanged,
    OrderCancelled,
    OrderEvent,
    PaymentEvent,
    RateQuarantined,
    TicketConflict,
    TicketEvent,
    TicketsIssued,
)
from contracts.messaging.envelope import Envelope
from workers.notify import audience

NOTEWORTHY = (
    OrderEvent,
    PaymentEvent,
    EventChanged,
    EventCancelled,
    TicketsIssued,
    TicketEvent,
    RateQuarantined,
)
"""Stock and rates change many times a second and concern no operator: their lines are for debugging."""
_EVENT_ID_LENGTH = 36
"""Events' ids are UUIDs with dashes; a cause of any other length is a command's id."""
_JSON = orjson.OPT_UTC_Z | orjson.OPT_APPEND_NEWLINE


class EventLines:
    """The lines of one process. `level`: the least that is written; `stream`: standard output when None."""

    def __init__(self, process: str, level: str, stream: BinaryIO | None = None) -> None:
        self._process, self._stream = process, stream
        self._debugging, self._informing = level == "debug", level in ("debug", "info")

    def write(self, events: Sequence[tuple[Envelope, DomainEvent]]) -> None:
        """One line each, in order."""
        now = datetime.now(UTC)
        lines = [
            orjson.dumps(self._line(envelope, event, now), option=_JSON)
            for envelope, event in events
            if self._wanted(event)
        ]
        if lines:
            stream = self._stream or sys.stdout.buffer
            stream.write(b"".join(lines))
            stream.flush()

    def _wanted(self, event: DomainEvent) -> bool:
        return self._debugging or (self._informing and isinstance(event, NOTEWORTHY))

    def _line(self, envelope: Envelope, event: DomainEvent, now: datetime) -> dict[str, object]:
        cause = envelope.causationid
        return {
            "event_id": envelope.id,
            "sequence": audience.sequence_of(envelope),
            "correlation_id": envelope.correlationid,
            "request_id": envelope.correlationid,
            "causation_id": cause,
            "command_id": cause if cause and len(cause) != _EVENT_ID_LENGTH else None,
            "occurred_at": envelope.time,
            **_facts(event),
            "event": event.TOPIC,
            "level": "info" if isinstance(event, NOTEWORTHY) else "debug",
            "timestamp": now,
            "process": self._process,
        }


def _facts(event: DomainEvent) -> dict[str, object]:
    if isinstance(event, OrderEvent):
        return _order_facts(event)
    if isinstance(event, PaymentEvent):
        return _payment_facts(event)
    if isinstance(event, TicketEvent):
        return _ticket_facts(event)
    if isinstance(event, TicketsIssued):
        return {
            "order_id": event.tickets.get("orderId"),
            "concert_id": event.tickets.get("eventId"),
            "user_id": event.tickets.get("userId"),
            "tickets": len(event.tickets.get("ticketIds", ())),
            "organizer_id": event.organizer_id,
        }
    if isinstance(event, EventChanged | EventCancelled):
        concert = event.event
        return {
            "concert_id": concert.get("id"),
            "organizer_id": event.organizer_id,
            "status": concert.get("status"),
            "version": concert.get("version"),
        }
    return event.to_json()


def _order_facts(event: OrderEvent) -> dict[str, object]:
    order = event.order
    return {
        "order_id": order.get("id"),
        "user_id": order.get("userId"),
        "status": order.get("status"),
        "version": order.get("version"),
        "total_cost": order.get("totalCost"),
        "currency": order.get("currency"),
        "organizer_id": event.organizer_id,
        "reason": event.reason if isinstance(event, OrderCancelled) else None,
    }


def _ticket_facts(event: TicketEvent) -> dict[str, object]:
    ticket = event.ticket
    return {
        "ticket_id": ticket.get("id"),
        "order_id": ticket.get("orderId"),
        "concert_id": ticket.get("eventId"),
        "holder_id": ticket.get("holderId"),
        "status": ticket.get("status"),
        "version": ticket.get("version"),
        "organizer_id": event.organizer_id,
        "gate_id": getattr(event, "gate_id", None),
        "conflict": event.conflict if isinstance(event, TicketConflict) else None,
    }


def _payment_facts(event: PaymentEvent) -> dict[str, object]:
    payment = event.payment
    return {
        "payment_id": payment.get("id"),
        "order_id": payment.get("orderId"),
        "user_id": event.user_id,
        "status": payment.get("status"),
        "asset": payment.get("asset"),
        "amount_crypto": payment.get("amountCrypto"),
    }
