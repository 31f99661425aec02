"""What clients see of an event, a ticket type, an order and a payment: rows in, contract JSON out.

In: frozen rows (aware UTC times, `Decimal` money), read from MySQL or made by a worker's decision.
Out: plain dicts.
Must stay true: every process shows the same thing in the same shape (answers, outcomes, events,
webhooks); money and crypto amounts are decimal texts with all their decimals; times are RFC 3339
in UTC; an order's details are summed per (ticket type, unit price), because one row of
`order_details` belongs to one command.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from contracts.runtime.times import to_wire


@dataclass(frozen=True, slots=True)
class TicketTypeRow:
    """A row of `ticket_types`. `version` is the number of its stock and description changes."""

    id: int
    event_id: int
    name: str
    price: Decimal
    currency: str
    quota: int
    available: int
    max_per_order: int
    sales_start: datetime | None
    sales_end: datetime | None
    version: int
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class EventRow:
    """A row of `events`. `status` is PUBLISHED or CANCELLED."""

    id: int
    organizer_id: int
    name: str
    description: str | None
    venue: str | None
    start_time: datetime
    end_time: datetime
    status: str
    version: int
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class OrderDetailRow:
    """What clients see of a row of `order_details`: one item of one command."""

    ticket_type_id: int
    quantity: int
    unit_price: Decimal
    id: int | None = None
    """None: not stored yet, or nobody needs to know."""


@dataclass(frozen=True, slots=True)
class OrderRow:
    """A row of `orders`. `status` is one of `contracts.orders.OrderStatus`."""

    id: int
    user_id: int
    event_id: int
    status: str
    total_cost: Decimal
    currency: str
    expires_at: datetime
    version: int
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class PaymentRow:
    """A row of `payments`. `status` is one of `contracts.orders.PaymentStatus`."""

    id: int
    order_id: int
    asset: str
    quote_rate: Decimal
    amount_crypto: Decimal
    tx_hash: str | None
    status: str
    expires_at: datetime
    rate_source: str
    rate_observed_at: datetime
    created_at: datetime
    updated_at: datetime


def money(amount: Decimal) -> str:
    """DECIMAL(18,2) as text: `49.90`."""
    return format(amount, ".2f")


def ticket_type_resource(row: TicketTypeRow) -> dict[str, Any]:
    """The ticketType of the contract."""
    return {
        "id": row.id,
        "eventId": row.event_id,
        "name": row.name,
        "price": money(row.price),
        "currency": row.currency,
        "quota": row.quota,
        "available": row.available,
        "maxPerOrder": row.max_per_order,
        "salesStart": _moment(row.sales_start),
        "salesEnd": _moment(row.sales_end),
        "version": row.version,
        "createdAt": to_wire(row.created_at),
        "updatedAt": to_wire(row.updated_at),
    }


def event_resource(row: EventRow, ticket_types: Iterable[TicketTypeRow]) -> dict[str, Any]:
    """The event of the contract with its ticket types by id (the caller left out deleted ones)."""
    types = sorted(ticket_types, key=lambda one: one.id)
    return {
        "id": row.id,
        "organizerId": row.organizer_id,
        "name": row.name,
        "description": row.description,
        "venue": row.venue,
        "startTime": to_wire(row.start_time),
        "endTime": to_wire(row.end_time),
        "status": row.status,
        "version": row.version,
        "createdAt": to_wire(row.created_at),
        "updatedAt": to_wire(row.updated_at),
        "ticketTypes": [ticket_type_resource(one) for one in types],
    }


def order_resource(row: OrderRow, details: Iterable[OrderDetailRow]) -> dict[str, Any]:
    """The order of the contract; `details` are all its item rows, in any order."""
    return {
        "id": row.id,
        "userId": row.user_id,
        "eventId": row.event_id,
        "status": row.status,
        "totalCost": money(row.total_cost),
        "currency": row.currency,
        "expiresAt": to_wire(row.expires_at),
        "version": row.version,
        "createdAt": to_wire(row.created_at),
        "updatedAt": to_wire(row.updated_at),
        "details": _summed(details),
    }


def payment_resource(row: PaymentRow) -> dict[str, Any]:
    """The payment of the contract."""
    return {
        "id": row.id,
        "orderId": row.order_id,
        "asset": row.asset,
        "quoteRate": format(row.quote_rate, ".8f"),
        "amountCrypto": format(row.amount_crypto, ".18f"),
        "txHash": row.tx_hash,
        "status": row.status,
        "expiresAt": to_wire(row.expires_at),
        "rateSource": row.rate_source,
        "rateObservedAt": to_wire(row.rate_observed_at),
        "createdAt": to_wire(row.created_at),
        "updatedAt": to_wire(row.updated_at),
    }


def event_etag(event: dict[str, Any]) -> str:
    """`"v<version>.<stock>"` of an event resource; stock = sum of its types' versions."""
    stock = sum(one["version"] for one in event["ticketTypes"])
    return f'"v{event["version"]}.{stock}"'


def ticket_type_etag(ticket_type: dict[str, Any]) -> str:
    """`"v<version>.<stock>"` of a ticket type resource: its one version counts both."""
    return f'"v{ticket_type["version"]}.{ticket_type["version"]}"'


def _summed(details: Iterable[OrderDetailRow]) -> list[dict[str, Any]]:
    quantities: dict[tuple[int, Decimal], int] = {}
    for one in details:
        key = (one.ticket_type_id, one.unit_price)
        quantities[key] = quantities.get(key, 0) + one.quantity
    return [
        {
            "ticketTypeId": type_id,
            "quantity": quantity,
            "unitPrice": money(price),
            "cost": money(price * quantity),
        }
        for (type_id, price), quantity in sorted(quantities.items())
    ]


def _moment(moment: datetime | None) -> str | None:
    return to_wire(moment) if moment is not None else None
