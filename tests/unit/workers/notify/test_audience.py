"""Who may hear which event, over every event and every kind of account."""

from datetime import UTC, datetime

import pytest

from contracts.events import EVENTS, DomainEvent, RateQuarantined
from contracts.messaging.envelope import Envelope
from contracts.webhooks.messages import WEBHOOK_TYPES
from db.webhooks.endpoints import Listener
from tests.harness.resources import (
    a_conflict,
    a_payment,
    a_rate,
    a_ticket,
    an_event,
    an_order,
    issued_tickets,
)
from workers.notify.audience import concerned, deliveries, may_hear, sequence_of

BUYER, ORGANIZER, OTHER = 5, 7, 9
FIELDS: dict[str, object] = {
    "order": an_order(userId=BUYER),
    "payment": a_payment(),
    "tickets": issued_tickets(userId=BUYER),
    "ticket": a_ticket(holderId=BUYER),
    "conflict": a_conflict(),
    "buyer_id": BUYER,
    "from_user_id": BUYER,
    "gate_id": 1,
    "scanned_at": "2026-05-01T12:00:00Z",
    "event": an_event(organizerId=ORGANIZER),
    "user_id": BUYER,
    "organizer_id": ORGANIZER,
    "event_id": 3,
    "ticket_type_id": 4,
    "version": 1,
    "quota": 1,
    "available": 1,
    "tx_hash": "0x" + "a" * 64,
    "reason": "buyer",
}
QUARANTINED = {
    "id": 1,
    "source": "provider:x",
    "asset": "BTC",
    "currency": "USD",
    "rate": "1",
    "observedAt": "t",
}


def _event(model: type[DomainEvent]) -> DomainEvent:
    rate = QUARANTINED if model is RateQuarantined else a_rate()
    values = {"rate": rate, **FIELDS}
    return model.model_validate({k: v for k, v in values.items() if k in model.model_fields})


ALL_EVENTS: list[DomainEvent] = [_event(model) for model in EVENTS.values()]


def listener(user_id: int, *roles: str, types: tuple[str, ...] = ("*",)) -> Listener:
    """An endpoint of an account with these roles."""
    return Listener(user_id * 10, user_id, frozenset(roles), frozenset(types))


def envelope(event: DomainEvent, sequence: str | None = "4") -> Envelope:
    """The event's envelope."""
    at = datetime(2026, 5, 1, tzinfo=UTC)
    return Envelope("e-1", event.TYPE, "/test", at, event.to_json(), sequence=sequence)


@pytest.mark.parametrize("event", ALL_EVENTS, ids=lambda e: e.TOPIC)
def test_only_announced_events_become_webhooks(event: DomainEvent) -> None:
    """Stock, quotes and rates are heard by nobody, admins included; all others by every admin."""
    announced = type(event) in WEBHOOK_TYPES
    assert may_hear(listener(OTHER, "ADMIN"), event) == announced
    assert bool(concerned(event)) == announced


@pytest.mark.parametrize("event", ALL_EVENTS, ids=lambda e: e.TOPIC)
def test_an_account_hears_about_its_own(event: DomainEvent) -> None:
    """Orders, payments, tickets: buyer and organizer. Events, conflicts at the door: the organizer. Others: nothing."""
    announced = type(event) in WEBHOOK_TYPES
    is_sale = announced and event.TOPIC.startswith(("order.", "payment.", "ticket."))
    is_sale = is_sale and event.TOPIC != "ticket.conflict"
    assert may_hear(listener(BUYER, "USER"), event) == is_sale
    assert may_hear(listener(ORGANIZER, "ORGANIZER"), event) == announced
    assert not may_hear(listener(ORGANIZER, "USER"), event)
    assert not may_hear(listener(OTHER, "USER", "ORGANIZER", "PROVIDER"), event)


@pytest.mark.parametrize("event", ALL_EVENTS, ids=lambda e: e.TOPIC)
def test_ticket_holders_hear_of_their_event(event: DomainEvent) -> None:
    """That it changed or is off, and nothing else by their tickets alone; holders of another event nothing."""
    of_this = event.TOPIC in ("event.changed", "event.cancelled")
    holder = listener(OTHER, "USER")
    event_id = an_event()["id"]
    assert isinstance(event_id, int)
    assert may_hear(holder, event, {event_id: frozenset({OTHER})}) == of_this
    assert (OTHER in concerned(event, {event_id: frozenset({OTHER})})) == of_this
    assert not may_hear(holder, event, {event_id + 1: frozenset({OTHER})})


def test_an_endpoint_hears_what_it_asked_for_once() -> None:
    """A buyer who is the organizer and an admin too still gets one delivery per endpoint."""
    event = next(one for one in ALL_EVENTS if one.TOPIC == "order.placed")
    everything = Listener(
        1, BUYER, frozenset({"ADMIN", "ORGANIZER", "USER"}), frozenset({"*", "order.placed"})
    )
    wrong_type = listener(BUYER, types=("order.expired",))
    (made,) = deliveries([(envelope(event), event)], [everything, wrong_type])
    assert (made.endpoint_id, made.event_id, made.event_type) == (1, "e-1", "order.placed")
    assert (made.aggregate, made.sequence) == ("e-1", 4)


@pytest.mark.parametrize(
    ("text", "number"),
    [("12", 12), (None, 0), ("", 0), ("-1", 0), ("x", 0), ("9" * 30, 0), ("٣", 0)],
)
def test_a_sequence_is_a_number_or_nothing(text: str | None, number: int) -> None:
    """A strange sequence costs the order of that event, not the event."""
    assert sequence_of(envelope(ALL_EVENTS[0], text)) == number
