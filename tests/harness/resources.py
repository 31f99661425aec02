"""Resources of the HTTP contract as events carry them, whole, for tests that care for a member or two.

In: the members that matter to a test, under their JSON names. Out: the resource with these members.
"""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from contracts.rates import Rate, rate_resource
from contracts.resources import (
    EventRow,
    OrderDetailRow,
    OrderRow,
    PaymentRow,
    event_resource,
    order_resource,
    payment_resource,
)
from contracts.runtime.times import to_wire
from contracts.tickets.ticket import TicketRow, ticket_resource

AT = datetime(2026, 5, 1, 12, tzinfo=UTC)
_EVENT = EventRow(3, 8, "Concert", None, "Hall", AT, AT, "PUBLISHED", 1, AT, AT)
_ORDER = OrderRow(1, 5, 3, "PENDING_PAYMENT", Decimal(20), "USD", AT, 1, AT, AT)
_PAYMENT = PaymentRow(
    2, 1, "BTC", Decimal(64000), Decimal(1), None, "PENDING", AT, "fake", AT, AT, AT
)


def an_order(**members: Any) -> dict[str, Any]:
    """An unpaid order of two tickets."""
    return order_resource(_ORDER, [OrderDetailRow(9, 2, Decimal(10))]) | members


def an_event(**members: Any) -> dict[str, Any]:
    """A published event without ticket types."""
    return event_resource(_EVENT, ()) | members


def a_payment(**members: Any) -> dict[str, Any]:
    """A quote that still stands."""
    return payment_resource(_PAYMENT, ()) | members


def a_ticket(**members: Any) -> dict[str, Any]:
    """A fresh ticket of its buyer's."""
    return ticket_resource(TicketRow(6, 1, 3, 9, 1, 5, None, "VALID", 1, AT, None)) | members


def issued_tickets(**members: Any) -> dict[str, Any]:
    """What is told of an order's new tickets."""
    return {"orderId": 1, "eventId": 3, "userId": 5, "ticketIds": [6, 7]} | members


def a_conflict(**members: Any) -> dict[str, Any]:
    """Both entries with one ticket."""
    gates = {"gate": {"id": 1, "name": "North"}, "firstGate": {"id": 2, "name": "South"}}
    at = to_wire(AT)
    return {"ruling": "CONFLICT", **gates, "scannedAt": at, "firstAt": at} | members


def a_rate(**members: Any) -> dict[str, Any]:
    """A fresh rate of a feed."""
    return rate_resource(Rate("BTC", "USD", "fake", Decimal(64000), AT, AT), AT, 60.0) | members
