"""What has happened: one frozen model per event, its wire type and where it is routed.

In: a worker's decision, written to the outbox in its transaction. Out: the `data` of an envelope on `eventhub.events`.
Must stay true: an event is a fact that is already committed; resources inside are those of api.md, and an event whose
resource lacks a member or has one of another kind is malformed; a type string never changes its meaning.
"""

from typing import Annotated, Any, ClassVar

from contracts.models import Id, Wire
from contracts.rates import QuarantinedReport, RateResource
from contracts.resources import EventResource, Order, Payment
from contracts.shapes import JsonOf
from contracts.tickets.scans import ConflictFacts
from contracts.tickets.ticket import IssuedTickets, TicketResource

OrderJson = Annotated[dict[str, Any], JsonOf(Order)]
EventJson = Annotated[dict[str, Any], JsonOf(EventResource)]
PaymentJson = Annotated[dict[str, Any], JsonOf(Payment)]
RateJson = Annotated[dict[str, Any], JsonOf(RateResource)]
IssuedJson = Annotated[dict[str, Any], JsonOf(IssuedTickets)]
TicketJson = Annotated[dict[str, Any], JsonOf(TicketResource)]
ConflictJson = Annotated[dict[str, Any], JsonOf(ConflictFacts)]
QuarantinedJson = Annotated[dict[str, Any], JsonOf(QuarantinedReport)]


class DomainEvent(Wire):
    """Base of all events."""

    TYPE: ClassVar[str]
    TOPIC: ClassVar[str]
    """The routing key; those that inventory must hear get `.<shard>` behind it."""
    SHARDED: ClassVar[bool] = False


class OrderEvent(DomainEvent):
    """Something happened to an order. `order` is the order resource after it."""

    order: OrderJson
    organizer_id: Id


class OrderPlaced(OrderEvent):
    TYPE = "eventhub.order.placed.v1"
    TOPIC = "order.placed"


class OrderItemsAdded(OrderEvent):
    TYPE = "eventhub.order.items_added.v1"
    TOPIC = "order.items_added"
    items_version: int = 0
    """The order's after the addition; 0 in events of before it was told."""


class OrderConfirmed(OrderEvent):
    TYPE = "eventhub.order.confirmed.v1"
    TOPIC = "order.confirmed"


class OrderCancelled(OrderEvent):
    TYPE = "eventhub.order.cancelled.v1"
    TOPIC = "order.cancelled"
    SHARDED = True
    reason: str = "buyer"
    """buyer, organizer, admin or event."""


class OrderExpired(OrderEvent):
    TYPE = "eventhub.order.expired.v1"
    TOPIC = "order.expired"
    SHARDED = True


class StockChanged(DomainEvent):
    """A ticket type's stock after a version step; gateways keep the highest version they heard."""

    TYPE = "eventhub.ticket_type.stock_changed.v1"
    TOPIC = "ticket_type.stock_changed"
    ticket_type_id: Id
    event_id: Id
    version: int
    quota: int
    available: int


class EventChanged(DomainEvent):
    """An event or one of its ticket types was created, changed or deleted."""

    TYPE = "eventhub.event.changed.v1"
    TOPIC = "event.changed"
    event: EventJson
    organizer_id: Id


class EventCancelled(DomainEvent):
    """The event is off; the order worker ends its unpaid orders."""

    TYPE = "eventhub.event.cancelled.v1"
    TOPIC = "event.cancelled"
    event: EventJson
    organizer_id: Id


class PaymentEvent(DomainEvent):
    """Something happened to a payment. `payment` is the payment resource after it."""

    payment: PaymentJson
    user_id: Id
    event_id: Id
    organizer_id: Id


class QuoteCreated(PaymentEvent):
    TYPE = "eventhub.payment.quoted.v1"
    TOPIC = "payment.quoted"


class PaymentConfirmed(PaymentEvent):
    TYPE = "eventhub.payment.confirmed.v1"
    TOPIC = "payment.confirmed"


class PaymentLate(PaymentEvent):
    """Money that can no longer buy: a refund is owed. `tx_hash` is the late one; the payment's may be a good one."""

    TYPE = "eventhub.payment.late.v1"
    TOPIC = "payment.late"
    tx_hash: str
    receipt: str | None = None
    """The same, under the name that webhooks have; None in what an earlier release wrote."""


class TicketsIssued(DomainEvent):
    """The tickets of a confirmed order exist. `tickets` names them: `{orderId, eventId, userId, ticketIds}`."""

    TYPE = "eventhub.ticket.issued.v1"
    TOPIC = "ticket.issued"
    tickets: IssuedJson
    organizer_id: Id


class TicketEvent(DomainEvent):
    """Something happened to a ticket. `ticket` is the ticket resource after it, without its code."""

    ticket: TicketJson
    buyer_id: Id
    organizer_id: Id


class TicketTransferred(TicketEvent):
    """The ticket has another holder; the codes of before are void."""

    TYPE = "eventhub.ticket.transferred.v1"
    TOPIC = "ticket.transferred"
    from_user_id: Id


class TicketAdmitted(TicketEvent):
    """The ticket has let somebody in."""

    TYPE = "eventhub.ticket.admitted.v1"
    TOPIC = "ticket.admitted"
    gate_id: Id
    scanned_at: str


class TicketConflict(TicketEvent):
    """A gate that was alone let somebody in who should not have been: both entries, for a person to look at.

    `conflict`: `{ruling, gate, scannedAt, firstGate, firstAt}`; CONFLICT was admitted before, by `firstGate` at
    `firstAt`; VOID_ADMITTED had no right any more.
    """

    TYPE = "eventhub.ticket.conflict.v1"
    TOPIC = "ticket.conflict"
    conflict: ConflictJson


class RateUpdated(DomainEvent):
    TYPE = "eventhub.rate.updated.v1"
    TOPIC = "rate.updated"
    rate: RateJson


class RateQuarantined(DomainEvent):
    TYPE = "eventhub.rate.quarantined.v1"
    TOPIC = "rate.quarantined"
    rate: QuarantinedJson
    reason: str


EVENTS: dict[str, type[DomainEvent]] = {
    model.TYPE: model
    for model in (
        OrderPlaced,
        OrderItemsAdded,
        OrderConfirmed,
        OrderCancelled,
        OrderExpired,
        StockChanged,
        EventChanged,
        EventCancelled,
        QuoteCreated,
        PaymentConfirmed,
        PaymentLate,
        TicketsIssued,
        TicketTransferred,
        TicketAdmitted,
        TicketConflict,
        RateUpdated,
        RateQuarantined,
    )
}


BROADCAST_EVENTS: tuple[type[DomainEvent], ...] = (StockChanged, EventChanged, EventCancelled)
"""The broadcast: what every gateway likes to hear soon, so that it refuses early what would surely fail."""


def routing_key(event: type[DomainEvent], shard: int) -> str:
    """Where an event goes on `eventhub.events`; `shard` matters only to those that inventory hears."""
    return f"{event.TOPIC}.{shard}" if event.SHARDED else event.TOPIC
