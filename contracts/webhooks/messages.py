"""What a webhook receiver is told: the types it may choose, and the body that is signed and sent.

In: an event out of its envelope. Out: the webhook type and the JSON body `{type, timestamp, data, sequence}`.
Must stay true: `data` is the order, payment or event of the HTTP contract and nothing more; the id of the
message is the event's id, so that a receiver who hears it twice can tell.

Source of the form: Standard Webhooks 1.0 (headers `webhook-id`, `webhook-timestamp`, `webhook-signature`; body with
`type`, `timestamp`, `data`).
"""

from datetime import datetime
from typing import Any, Literal, get_args

import orjson

from contracts.events import (
    DomainEvent,
    EventCancelled,
    EventChanged,
    OrderCancelled,
    OrderConfirmed,
    OrderEvent,
    OrderExpired,
    OrderItemsAdded,
    OrderPlaced,
    PaymentConfirmed,
    PaymentEvent,
    PaymentLate,
    TicketAdmitted,
    TicketConflict,
    TicketEvent,
    TicketsIssued,
    TicketTransferred,
)
from contracts.runtime.times import to_wire

WebhookType = Literal[
    "order.placed",
    "order.items_added",
    "order.confirmed",
    "order.cancelled",
    "order.expired",
    "payment.confirmed",
    "payment.late",
    "event.changed",
    "event.cancelled",
    "ticket.issued",
    "ticket.transferred",
    "ticket.admitted",
    "ticket.conflict",
]
ALL: Literal["*"] = "*"
"""A subscription to every type, also those to come."""
PING = "webhook.ping"
"""What a receiver hears when its owner tries it out; never subscribed to."""

_ANNOUNCED: tuple[type[DomainEvent], ...] = (
    OrderPlaced,
    OrderItemsAdded,
    OrderConfirmed,
    OrderCancelled,
    OrderExpired,
    PaymentConfirmed,
    PaymentLate,
    EventChanged,
    EventCancelled,
    TicketsIssued,
    TicketTransferred,
    TicketAdmitted,
    TicketConflict,
)
WEBHOOK_TYPES: dict[type[DomainEvent], WebhookType] = dict(
    zip(_ANNOUNCED, get_args(WebhookType), strict=True)
)
"""The events that leave the house, and what they are called there: their topic."""


def subject_of(event: DomainEvent) -> dict[str, Any]:
    """The resource that an announced event is about. Raises TypeError for an event that is not announced."""
    if isinstance(event, OrderEvent):
        return event.order
    if isinstance(event, PaymentLate):
        return event.payment | {"receipt": event.receipt or event.tx_hash}
    if isinstance(event, PaymentEvent):
        return event.payment
    if isinstance(event, EventChanged | EventCancelled):
        return event.event
    if isinstance(event, TicketsIssued):
        return event.tickets
    if isinstance(event, TicketConflict):
        return event.ticket | {"conflict": event.conflict}
    if isinstance(event, TicketEvent):
        return event.ticket
    raise TypeError(f"{type(event).__name__} is not announced to webhooks")


def webhook_body(type_: str, at: datetime, data: dict[str, Any], sequence: int) -> str:
    """The text that is signed and sent. `sequence` rises with each event of one order, payment or event."""
    document = {"type": type_, "timestamp": to_wire(at), "data": data, "sequence": sequence}
    return orjson.dumps(document).decode()
