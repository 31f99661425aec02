"""Orders and payments as their owners, organizers and admins read them. No lock, no write.

In: ids, filters, a place to go on from. Out: `contracts.resources` rows.
Must stay true: an order and its details come from one statement, so that they fit each other; lists go
by falling id, so that what is inserted meanwhile shifts no page.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

from contracts.orders import PaymentStatus
from contracts.resources import OrderDetailRow, OrderRow, PaymentRow
from db.mysql.database import Database, Row
from db.rows import ORDER_DETAILS, ORDERS, PAYMENTS, Select

_LAST = 2**63 - 1


@dataclass(frozen=True, slots=True)
class OrderRead:
    """An order with its item rows."""

    row: OrderRow
    details: tuple[OrderDetailRow, ...]


@dataclass(frozen=True, slots=True)
class OrderOwners:
    """Whom an order concerns."""

    user_id: int
    event_id: int
    organizer_id: int


@dataclass(frozen=True, slots=True)
class OrderFilter:
    """Which orders a list shows: of a user or of an event, of one status or all, with ids below `below`."""

    user_id: int | None = None
    event_id: int | None = None
    status: str | None = None
    below: int | None = None


@dataclass(frozen=True, slots=True)
class TypeSales:
    """What became of a ticket type's tickets. `revenue`: what confirmed orders paid for them."""

    id: int
    quota: int
    available: int
    held: int
    sold: int
    revenue: Decimal


_OWNERS = Select(OrderOwners, "o", organizer_id="e.organizer_id")
_SALES = Select(
    TypeSales,
    "t",
    held="COALESCE(SUM(CASE WHEN o.status = 'PENDING_PAYMENT' THEN d.quantity END), 0)",
    sold="COALESCE(SUM(CASE WHEN o.status = 'CONFIRMED' THEN d.quantity END), 0)",
    revenue="COALESCE(SUM(CASE WHEN o.status = 'CONFIRMED' THEN d.cost END), 0)",
)


async def find_order(database: Database, order_id: int) -> OrderRead | None:
    """One order, None when there is none of that id."""
    rows = await database.read(
        f"SELECT {ORDERS.columns}, {ORDER_DETAILS.columns} FROM orders o "
        "JOIN order_details d ON d.order_id = o.id WHERE o.id = %s ORDER BY d.id",
        order_id,
    )
    found = _orders(rows)
    return found[0] if found else None


async def owners_of_order(database: Database, order_id: int) -> OrderOwners | None:
    """Whom an order concerns, None when there is none of that id."""
    rows = await database.read(
        f"SELECT {_OWNERS.columns} FROM orders o "
        "JOIN events e ON e.id = o.event_id WHERE o.id = %s",
        order_id,
    )
    return _OWNERS.row(rows[0]) if rows else None


async def list_orders(database: Database, chosen: OrderFilter, limit: int) -> list[OrderRead]:
    """At most `limit` orders, the newest first."""
    conditions = ["o.id < %s"]
    parameters: list[int | str] = [chosen.below if chosen.below is not None else _LAST]
    for column, value in (
        ("o.user_id", chosen.user_id),
        ("o.event_id", chosen.event_id),
        ("o.status", chosen.status),
    ):
        if value is not None:
            conditions.append(f"{column} = %s")
            parameters.append(value)
    rows = await database.read(
        f"SELECT {ORDERS.columns}, {ORDER_DETAILS.columns} FROM "
        f"(SELECT * FROM orders o WHERE {' AND '.join(conditions)} ORDER BY o.id DESC LIMIT %s) o "
        "JOIN order_details d ON d.order_id = o.id ORDER BY o.id DESC, d.id",
        *parameters,
        limit,
    )
    return _orders(rows)


def _orders(rows: Sequence[Row]) -> list[OrderRead]:
    orders: dict[int, OrderRow] = {}
    details: dict[int, list[OrderDetailRow]] = {}
    for found in rows:
        order = ORDERS.row(found)
        orders.setdefault(order.id, order)
        details.setdefault(order.id, []).append(ORDER_DETAILS.row(ORDERS.rest(found)))
    return [OrderRead(row, tuple(details[order_id])) for order_id, row in orders.items()]


async def find_payment(database: Database, payment_id: int) -> tuple[PaymentRow, int] | None:
    """A payment and the id of the user whose order it is for, None when there is none of that id.

    A quote ends with its order and with its order's total: it reads EXPIRED from then on, stored or not yet.
    """
    rows = await database.read(
        f"SELECT {PAYMENTS.columns}, o.user_id, p.status = 'PENDING' "
        "AND (o.status <> 'PENDING_PAYMENT' OR o.total_cost <> p.total_cost) "
        "FROM payments p JOIN orders o ON o.id = p.order_id WHERE p.id = %s",
        payment_id,
    )
    if not rows:
        return None
    row, [user_id, ended] = PAYMENTS.row(rows[0]), PAYMENTS.rest(rows[0])
    return (replace(row, status=str(PaymentStatus.EXPIRED)) if ended else row), user_id


async def sales_of_event(database: Database, event_id: int) -> list[TypeSales]:
    """Each ticket type's tickets, from one statement: available + held + sold + coming back = quota."""
    rows = await database.read(
        f"SELECT {_SALES.columns} "
        "FROM ticket_types t LEFT JOIN order_details d ON d.ticket_type_id = t.id "
        "LEFT JOIN orders o ON o.id = d.order_id "
        "WHERE t.event_id = %s AND t.deleted_at IS NULL "
        "GROUP BY t.id, t.quota, t.available ORDER BY t.id",
        event_id,
    )
    return _SALES.rows(rows)
