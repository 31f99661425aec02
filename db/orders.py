"""Orders and their details: written by inventory, ended by order and payment, always along the table of moves.

In: rows of a decision. Out: `contracts.resources` rows.
Must stay true: a row is changed only after it was locked by its primary key, ids ascending, and only by an UPDATE that
names status and version; every change leaves a row in `order_history`. Changes travel with the transaction's next
statement, which raises VersionConflict when a row is past the version that it names.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal

from contracts.orders import GIVING_BACK, OrderStatus, may_move
from contracts.resources import OrderDetailRow, OrderRow
from contracts.runtime.times import to_sql
from contracts.tickets.ticket import StoredLine
from db import returns
from db.mysql.database import (
    Database,
    Row,
    Transaction,
    placeholders,
)
from db.rows import ORDERS, Select

_LINES = Select(StoredLine, "d")
_PENDING = str(OrderStatus.PENDING_PAYMENT)


@dataclass(frozen=True, slots=True)
class NewOrder:
    """An order about to be stored, with the lines it takes."""

    user_id: int
    event_id: int
    total_cost: Decimal
    currency: str
    expires_at: datetime
    command: bytes
    lines: tuple["NewLine", ...]
    event_name: str = ""


@dataclass(frozen=True, slots=True)
class NewLine:
    """One item: `taken_version` is the ticket type's version step that takes it."""

    ticket_type_id: int
    quantity: int
    unit_price: Decimal
    taken_version: int
    items_version: int = 1
    ticket_type_name: str = ""

    @property
    def detail(self) -> OrderDetailRow:
        """What clients see of it."""
        return OrderDetailRow(
            self.ticket_type_id,
            self.quantity,
            self.unit_price,
            self.items_version,
            self.ticket_type_name,
        )


@dataclass(frozen=True, slots=True)
class LockedOrder:
    """An order whose row this transaction holds."""

    row: OrderRow
    organizer_id: int


async def insert(
    transaction: Transaction, orders: Sequence[NewOrder], now: datetime
) -> list[OrderRow]:
    """Store new orders with their lines; the rows in the same order. Those that cost nothing are CONFIRMED at once."""
    at = to_sql(now)
    columns = ("user_id", "event_id", "status", "version", "total_cost", "currency", "expires_at")
    rows = [_new_row(order, now) for order in orders]
    first = await transaction.insert(
        "orders",
        (*columns, "event_name", "command_id", "created_at", "updated_at"),
        [
            (
                row.user_id,
                row.event_id,
                row.status,
                row.version,
                row.total_cost,
                row.currency,
                to_sql(row.expires_at),
                row.event_name,
                order.command,
                at,
                at,
            )
            for row, order in zip(rows, orders, strict=True)
        ],
    )
    rows = [replace(row, id=first + n) for n, row in enumerate(rows)]
    lines = [
        (row.id, order.command, line)
        for row, order in zip(rows, orders, strict=True)
        for line in order.lines
    ]
    insert_lines(transaction, lines, now)
    # Its first version was unpaid, as every order's: the free one has moved on in the same moment.
    _remember(transaction, [row for row in rows if row.version > 1], "free", now)
    return rows


def insert_lines(
    transaction: Transaction, lines: Sequence[tuple[int, bytes, NewLine]], now: datetime
) -> None:
    """Store lines of orders, (order id, command's UUID, line), with the transaction's next statement."""
    at = to_sql(now)
    columns = ("order_id", "ticket_type_id", "quantity", "unit_price", "cost", "taken_version")
    transaction.insert_later(
        "order_details",
        (*columns, "items_version", "ticket_type_name", "command_id", "created_at", "updated_at"),
        [
            (
                order_id,
                line.ticket_type_id,
                line.quantity,
                line.unit_price,
                line.unit_price * line.quantity,
                line.taken_version,
                line.items_version,
                line.ticket_type_name,
                command,
                at,
                at,
            )
            for order_id, command, line in lines
        ],
    )


def _new_row(order: NewOrder, now: datetime) -> OrderRow:
    free = order.total_cost == 0
    return OrderRow(
        id=0,
        user_id=order.user_id,
        event_id=order.event_id,
        status=str(OrderStatus.CONFIRMED) if free else _PENDING,
        total_cost=order.total_cost,
        currency=order.currency,
        expires_at=order.expires_at,
        version=2 if free else 1,
        created_at=now,
        updated_at=now,
        event_name=order.event_name,
    )


async def lock(
    transaction: Transaction, ids: Iterable[int], *, skip_locked: bool = False
) -> dict[int, LockedOrder]:
    """Lock orders by primary key, ids ascending; those that exist (and are free, with `skip_locked`)."""
    wanted = sorted(set(ids))
    if not wanted:
        return {}
    rows = await transaction.fetch(
        f"SELECT {ORDERS.columns} FROM orders o FORCE INDEX (PRIMARY) "
        f"WHERE o.id IN ({placeholders(wanted)}) ORDER BY o.id FOR UPDATE"
        f"{' SKIP LOCKED' if skip_locked else ''}",
        *wanted,
    )
    orders = ORDERS.rows(rows)
    organizers = await _organizers(transaction, {order.event_id for order in orders})
    return {order.id: LockedOrder(order, organizers[order.event_id]) for order in orders}


async def _organizers(transaction: Transaction, event_ids: set[int]) -> dict[int, int]:
    """Who organises each event: never changes, so no lock is needed."""
    if not event_ids:
        return {}
    rows = await transaction.fetch(
        f"SELECT id, organizer_id FROM events WHERE id IN ({placeholders(list(event_ids))})",
        *event_ids,
    )
    return dict(rows)


async def details(transaction: Transaction, ids: Iterable[int]) -> dict[int, list[StoredLine]]:
    """The item rows of orders that this transaction has locked or made.

    Read without a lock: a lock on this index would hold the gap that new orders go into. The locked order
    keeps its lines still, provided this is the transaction's first plain read or comes after the lock.
    """
    wanted = sorted(set(ids))
    found: dict[int, list[StoredLine]] = {order_id: [] for order_id in wanted}
    if not wanted:
        return found
    rows = await transaction.fetch(
        f"SELECT d.order_id, {_LINES.columns} FROM order_details d "
        f"WHERE d.order_id IN ({placeholders(wanted)}) ORDER BY d.id",
        *wanted,
    )
    for order_id, *detail in rows:
        found[order_id].append(_LINES.row(tuple(detail)))
    return found


def change(
    transaction: Transaction,
    order: OrderRow,
    now: datetime,
    reason: str,
    *,
    total_cost: Decimal,
) -> OrderRow:
    """Give an unpaid, locked order another total, because it has more items."""
    changed = replace(
        order,
        total_cost=total_cost,
        items_version=order.items_version + 1,
        version=order.version + 1,
        updated_at=now,
    )
    transaction.change_later(
        "UPDATE orders SET total_cost = %s, items_version = %s, version = version + 1, updated_at = %s "
        "WHERE id = %s AND status = %s AND version = %s",
        changed.total_cost,
        changed.items_version,
        to_sql(now),
        order.id,
        _PENDING,
        order.version,
        expect=1,
        conflict=f"order {order.id}",
    )
    _remember(transaction, [changed], reason, now)
    return changed


# FORCE INDEX (PRIMARY) below: with few unpaid orders the optimizer would rather lock a range of the index on status.


def extend(
    transaction: Transaction,
    orders: Sequence[tuple[OrderRow, datetime]],
    reason: str,
    now: datetime,
) -> list[OrderRow]:
    """Give unpaid, locked orders a later end, with a history row each."""
    for version, end in {(order.version, end) for order, end in orders}:
        ids = [order.id for order, until in orders if (order.version, until) == (version, end)]
        transaction.change_later(
            "UPDATE orders FORCE INDEX (PRIMARY) SET expires_at = %s, version = version + 1, updated_at = %s "
            f"WHERE id IN ({placeholders(ids)}) AND status = %s AND version = %s",
            to_sql(end),
            to_sql(now),
            *ids,
            _PENDING,
            version,
            expect=len(ids),
            conflict=f"orders {ids}",
        )
    changed = [
        replace(order, expires_at=end, version=order.version + 1, updated_at=now)
        for order, end in orders
    ]
    _remember(transaction, changed, reason, now)
    return changed


def end(
    transaction: Transaction,
    orders: Sequence[OrderRow],
    to: OrderStatus,
    reason: str,
    now: datetime,
) -> list[OrderRow]:
    """End locked orders without payment, with a history row each; from now on they owe their tickets."""
    assert to in GIVING_BACK, f"{to} keeps its tickets"
    for order in orders:
        assert may_move(OrderStatus(order.status), to), f"{order.status} never becomes {to}"
    for version in {order.version for order in orders}:
        ids = [order.id for order in orders if order.version == version]
        transaction.change_later(
            "UPDATE orders FORCE INDEX (PRIMARY) SET status = %s, version = version + 1, updated_at = %s "
            f"WHERE id IN ({placeholders(ids)}) AND status = %s AND version = %s",
            str(to),
            to_sql(now),
            *ids,
            _PENDING,
            version,
            expect=len(ids),
            conflict=f"orders {ids}",
        )
    moved = [replace(o, status=str(to), version=o.version + 1, updated_at=now) for o in orders]
    _remember(transaction, moved, reason, now)
    returns.owe(transaction, [order.id for order in moved], now)
    return moved


def confirm(
    transaction: Transaction, paid: Sequence[tuple[OrderRow, Decimal]], reason: str, now: datetime
) -> list[OrderRow]:
    """Locked orders become CONFIRMED, each only if it still costs what was paid."""
    for version in {order.version for order, _ in paid}:
        costs = [(order.id, cost) for order, cost in paid if order.version == version]
        whens = " ".join(["WHEN %s THEN %s"] * len(costs))
        transaction.change_later(
            "UPDATE orders FORCE INDEX (PRIMARY) SET status = %s, version = version + 1, updated_at = %s "
            f"WHERE id IN ({placeholders(costs)}) AND status = %s AND version = %s "
            f"AND total_cost = CASE id {whens} END",
            str(OrderStatus.CONFIRMED),
            to_sql(now),
            *(order_id for order_id, _ in costs),
            _PENDING,
            version,
            *(value for cost in costs for value in cost),
            expect=len(costs),
            conflict=f"orders {costs}",
        )
    status = str(OrderStatus.CONFIRMED)
    confirmed = [
        replace(order, status=status, version=order.version + 1, updated_at=now)
        for order, _ in paid
    ]
    _remember(transaction, confirmed, reason, now)
    return confirmed


def _remember(
    transaction: Transaction, orders: Sequence[OrderRow], reason: str, now: datetime
) -> None:
    rows: list[Row] = [(o.id, o.version, o.status, reason, to_sql(now)) for o in orders]
    columns = ("order_id", "version", "status", "reason", "created_at")
    transaction.insert_later("order_history", columns, rows)


async def past_deadline(database: Database, limit: int) -> list[int]:
    """Ids of unpaid orders whose time is over, oldest first; read without a lock."""
    rows = await database.read(
        "SELECT id FROM orders WHERE status = %s AND expires_at <= UTC_TIMESTAMP(6) "
        "ORDER BY expires_at LIMIT %s",
        _PENDING,
        limit,
    )
    return [id_ for (id_,) in rows]


async def unpaid_of_event(database: Database, event_id: int, limit: int) -> list[int]:
    """Ids of an event's unpaid orders; read without a lock."""
    rows = await database.read(
        "SELECT id FROM orders WHERE event_id = %s AND status = %s LIMIT %s",
        event_id,
        _PENDING,
        limit,
    )
    return [id_ for (id_,) in rows]
