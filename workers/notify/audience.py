"""Who may hear which event: people of their own orders and tickets, and of the events they have tickets of; organizers
of their events', admins of all.

In: an event, who holds tickets of which event, and the endpoints that might hear it. Out: the deliveries that follow.
Must stay true: roles are those held now (a former organizer or admin hears nothing more through them); an endpoint
hears an event once, however many reasons it has to; an event that is not announced reaches nobody.

Source: the HTTP contract, section Webhooks.
"""

from collections.abc import Iterable, Mapping, Sequence

from contracts.events import (
    DomainEvent,
    EventCancelled,
    EventChanged,
    OrderEvent,
    PaymentEvent,
    TicketConflict,
    TicketEvent,
    TicketsIssued,
    TicketTransferred,
)
from contracts.messaging.envelope import Envelope
from contracts.webhooks.messages import ALL, WEBHOOK_TYPES, subject_of, webhook_body
from db.webhooks.deliveries import NewDelivery
from db.webhooks.endpoints import Listener

Holders = Mapping[int, frozenset[int]]
"""By event of the catalogue: the accounts that hold its tickets, those at least that have an endpoint."""
NO_HOLDERS: Holders = {}


def told_to_holders(event: DomainEvent) -> int | None:
    """The event of the catalogue whose ticket holders hear this; None: it is not for them."""
    return (
        _account(event.event.get("id"))
        if isinstance(event, EventChanged | EventCancelled)
        else None
    )


def concerned(event: DomainEvent, holders: Holders = NO_HOLDERS) -> frozenset[int]:
    """The accounts that an announced event is about, beside the admins; nobody for any other event."""
    if type(event) not in WEBHOOK_TYPES:
        return frozenset()
    organizer = _organizer(event)
    return _people(event, holders) | ({organizer} if organizer is not None else frozenset())


def may_hear(listener: Listener, event: DomainEvent, holders: Holders = NO_HOLDERS) -> bool:
    """Whether this endpoint's account may know of the event at all, whatever it subscribed to."""
    if type(event) not in WEBHOOK_TYPES:
        return False
    if "ADMIN" in listener.roles or listener.user_id in _people(event, holders):
        return True
    return "ORGANIZER" in listener.roles and listener.user_id == _organizer(event)


def deliveries(
    events: Sequence[tuple[Envelope, DomainEvent]],
    listeners: Iterable[Listener],
    holders: Holders = NO_HOLDERS,
) -> list[NewDelivery]:
    """One delivery for each event and each endpoint that may hear it and asked to; in the order of the events."""
    ears = list(listeners)
    found: list[NewDelivery] = []
    for envelope, event in events:
        name = WEBHOOK_TYPES.get(type(event))
        if name is None:
            continue
        body: str | None = None
        for listener in ears:
            if not (listener.event_types & {name, ALL} and may_hear(listener, event, holders)):
                continue
            sequence = sequence_of(envelope)
            if body is None:
                body = webhook_body(name, envelope.time, subject_of(event), sequence)
            aggregate = envelope.partitionkey or envelope.id
            found.append(
                NewDelivery(listener.endpoint_id, envelope.id, name, aggregate, sequence, body)
            )
    return found


def sequence_of(envelope: Envelope) -> int:
    """The event's place among those of its order, payment or event; 0 when the envelope does not say."""
    text = envelope.sequence or ""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else 0


def _people(event: DomainEvent, holders: Holders) -> frozenset[int]:
    """The accounts whose own order, payment or ticket it is, or that hold a ticket of the event.

    A conflict is the door's matter, not its guests'.
    """
    found: list[int | None] = []
    if (of_event := told_to_holders(event)) is not None:
        return holders.get(of_event, frozenset())
    if isinstance(event, OrderEvent):
        found = [_account(event.order.get("userId"))]
    elif isinstance(event, PaymentEvent):
        found = [event.user_id]
    elif isinstance(event, TicketsIssued):
        found = [_account(event.tickets.get("userId"))]
    elif isinstance(event, TicketEvent) and not isinstance(event, TicketConflict):
        found = [event.buyer_id, _account(event.ticket.get("holderId"))]
        if isinstance(event, TicketTransferred):
            found.append(event.from_user_id)
    return frozenset(account for account in found if account is not None)


def _organizer(event: DomainEvent) -> int | None:
    return _account(getattr(event, "organizer_id", None))


def _account(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None
