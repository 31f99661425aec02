"""The log line of an event: its ids, its facts, its level."""

import io
from datetime import UTC, datetime
from typing import Any

import orjson

from contracts.events import (
    DomainEvent,
    EventChanged,
    OrderCancelled,
    OrderPlaced,
    QuoteCreated,
    StockChanged,
)
from contracts.messaging.envelope import Envelope
from tests.harness.resources import a_payment, an_event, an_order
from workers.notify.lines import EventLines

AT = datetime(2026, 5, 1, 12, 0, 0, 123456, tzinfo=UTC)
COMMAND = "Ei_0JnrdTMm6hS-Yhol7ZgEGYNz-0anmBW8Hgm8c3-LN_jYFW9qGvw"
EARLIER_EVENT = "d4374fa9-3791-4fd2-918a-5a1a148b4b9f"
STOCK = StockChanged(ticket_type_id=4, event_id=3, version=7, quota=10, available=2)
CONCERT = EventChanged(event=an_event(id=3, version=2), organizer_id=8)


def order(status: str) -> dict[str, Any]:
    """An order as a line tells of it."""
    return an_order(id=17, userId=5, status=status, version=2, totalCost="49.90")


def told(level: str, *events: DomainEvent, cause: str | None = COMMAND) -> list[Any]:
    """The lines that a process with this level writes."""
    stream = io.BytesIO()
    envelopes = [
        Envelope(f"e-{n}", event.TYPE, "/test", AT, {}, None, "r-1", cause, sequence="2")
        for n, event in enumerate(events)
    ]
    EventLines("notify-1", level, stream).write(list(zip(envelopes, events, strict=True)))
    return [orjson.loads(line) for line in stream.getvalue().splitlines()]


def test_a_line_leads_back_to_the_request_and_the_command() -> None:
    """The ids are those of the envelope; a cause is a command when it looks like one, an event otherwise."""
    placed = OrderPlaced(order=order("PENDING_PAYMENT"), organizer_id=8)
    (line,) = told("info", placed)
    moment = line.pop("timestamp")
    assert moment.endswith("Z")
    assert line == {
        "event": "order.placed",
        "level": "info",
        "process": "notify-1",
        "event_id": "e-0",
        "sequence": 2,
        "correlation_id": "r-1",
        "request_id": "r-1",
        "causation_id": COMMAND,
        "command_id": COMMAND,
        "occurred_at": "2026-05-01T12:00:00.123456Z",
        "order_id": 17,
        "user_id": 5,
        "status": "PENDING_PAYMENT",
        "version": 2,
        "total_cost": "49.90",
        "currency": "USD",
        "organizer_id": 8,
        "reason": None,
    }
    (followed,) = told("info", placed, cause=EARLIER_EVENT)
    assert (followed["causation_id"], followed["command_id"]) == (EARLIER_EVENT, None)


def test_each_kind_of_event_tells_its_facts() -> None:
    """Orders why they ended, payments what is to be paid, events and stock what they are now."""
    payment = a_payment(id=9, orderId=17, amountCrypto="0.001000000000000000")
    quote = QuoteCreated(payment=payment, user_id=5, event_id=3, organizer_id=8)
    cancelled = OrderCancelled(order=order("CANCELLED"), organizer_id=8, reason="admin")
    lines = told("debug", cancelled, quote, CONCERT, STOCK)
    assert [line["event"] for line in lines] == [
        "order.cancelled",
        "payment.quoted",
        "event.changed",
        "ticket_type.stock_changed",
    ]
    facts: list[dict[str, Any]] = [
        {"reason": "admin", "status": "CANCELLED", "order_id": 17},
        {
            "payment_id": 9,
            "order_id": 17,
            "user_id": 5,
            "asset": "BTC",
            "amount_crypto": "0.001000000000000000",
        },
        {"concert_id": 3, "organizer_id": 8, "status": "PUBLISHED", "version": 2},
        {"ticketTypeId": 4, "eventId": 3, "version": 7, "quota": 10, "available": 2},
    ]
    for line, expected in zip(lines, facts, strict=True):
        assert expected.items() <= line.items()


def test_the_level_decides_what_is_written() -> None:
    """Stock is for debugging; a process that only warns writes no event at all."""
    assert [line["level"] for line in told("debug", STOCK, CONCERT)] == ["debug", "info"]
    assert [line["event"] for line in told("info", STOCK, CONCERT)] == ["event.changed"]
    assert told("warning", STOCK, CONCERT) == []
