"""Stock: how many tickets of a type are left, and the ledger that explains every step.

In: quantities per ticket type. Out: the type as it stood, and as it stands after the step.
Must stay true: `available` changes only by an UPDATE that names the version that was read, and by one ledger row per
version step; a take asks for `available >= quantity` as well, so that no step can go below zero.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from typing import Literal

from contracts.times import from_sql, to_sql
from db.mysql import Database, Row, Transaction, VersionConflict, placeholders


@dataclass(frozen=True, slots=True)
class Stock:
    """What a decision needs to know of a ticket type."""

    id: int
    event_id: int
    price: Decimal
    currency: str
    quota: int
    available: int
    max_per_order: int
    sales_start: datetime | None
    sales_end: datetime | None
    version: int
    deleted: bool


@dataclass(frozen=True, slots=True)
class EventState:
    """What a decision needs to know of an event."""

    id: int
    organizer_id: int
    end_time: datetime
    cancelled: bool


@dataclass(frozen=True, slots=True)
class Shortage:
    """Tickets of a type in unpaid orders, and when the earliest of those gives them back."""

    held: int
    next_release_at: datetime | None


_COLUMNS = (
    "id, event_id, price, currency, quota, available, max_per_order, sales_start, sales_end, version, "
    "deleted_at IS NOT NULL"
)


async def share_events(transaction: Transaction, ids: Iterable[int]) -> dict[int, EventState]:
    """Read events under a shared lock: none of them can be cancelled before this transaction ends."""
    wanted = sorted(set(ids))
    rows = await transaction.fetch(
        "SELECT id, organizer_id, end_time, status = 'CANCELLED' FROM events FORCE INDEX (PRIMARY) "
        f"WHERE id IN ({placeholders(wanted)}) ORDER BY id LOCK IN SHARE MODE",
        *wanted,
    )
    return {r[0]: EventState(r[0], r[1], from_sql(r[2]), bool(r[3])) for r in rows}


async def read(transaction: Transaction, ids: Iterable[int], *, lock: bool) -> dict[int, Stock]:
    """Ticket types by id: `lock` holds their rows (ids ascending), else the version is the guard."""
    wanted = sorted(set(ids))
    if not wanted:
        return {}
    rows = await transaction.fetch(
        f"SELECT {_COLUMNS} FROM ticket_types FORCE INDEX (PRIMARY) "
        f"WHERE id IN ({placeholders(wanted)}) ORDER BY id{' FOR UPDATE' if lock else ''}",
        *wanted,
    )
    return {row[0]: _stock(row) for row in rows}


async def take(
    transaction: Transaction,
    stock: Mapping[int, Stock],
    quantities: Mapping[int, int],
    now: datetime,
) -> dict[int, Stock]:
    """Take tickets off, one version step per type; the types after it. Raises VersionConflict."""
    deltas = {type_id: -quantity for type_id, quantity in quantities.items()}
    return await _step(transaction, stock, deltas, "TAKE", now)


async def give_back(
    transaction: Transaction,
    stock: Mapping[int, Stock],
    quantities: Mapping[int, int],
    now: datetime,
) -> dict[int, Stock]:
    """Put tickets back, one version step per type; the types after it. Raises VersionConflict."""
    return await _step(transaction, stock, quantities, "RETURN", now)


async def _step(
    transaction: Transaction,
    stock: Mapping[int, Stock],
    deltas: Mapping[int, int],
    kind: Literal["TAKE", "RETURN"],
    now: datetime,
) -> dict[int, Stock]:
    after: dict[int, Stock] = {}
    ledger: list[Row] = []
    for type_id, delta in sorted(deltas.items()):
        before = stock[type_id]
        await _write(transaction, before, delta, now)
        after[type_id] = replace(
            before, available=before.available + delta, version=before.version + 1
        )
        ledger.append((type_id, before.version + 1, kind, delta, to_sql(now)))
    if ledger:
        columns = ("ticket_type_id", "version", "kind", "delta", "created_at")
        await transaction.insert("stock_ledger", columns, ledger)
    return after


async def _write(transaction: Transaction, before: Stock, delta: int, now: datetime) -> None:
    """The guard of the whole house: the row must still be as it was read, and must not go below zero."""
    changed = await transaction.execute(
        "UPDATE ticket_types SET available = available + %s, version = version + 1, updated_at = %s "
        "WHERE id = %s AND version = %s AND available + %s >= 0",
        delta,
        to_sql(now),
        before.id,
        before.version,
        delta,
    )
    if changed != 1:
        raise VersionConflict(f"ticket type {before.id} is past version {before.version}")


@dataclass(frozen=True, slots=True)
class Unreturned:
    """A line of a cancelled or expired order whose tickets have not come back."""

    id: int
    ticket_type_id: int
    quantity: int


async def unreturned(
    transaction: Transaction, order_ids: Iterable[int], *, lock: bool
) -> list[Unreturned]:
    """Lines of ended orders that still hold tickets; `lock` holds the lines (after their types)."""
    wanted = sorted(set(order_ids))
    if not wanted:
        return []
    rows = await transaction.fetch(
        "SELECT d.id, d.ticket_type_id, d.quantity FROM order_details d "
        "JOIN orders o ON o.id = d.order_id "
        f"WHERE d.order_id IN ({placeholders(wanted)}) AND d.returned_version IS NULL "
        "AND o.status IN ('CANCELLED', 'EXPIRED') ORDER BY d.id",
        *wanted,
    )
    lines = [Unreturned(*row) for row in rows]
    if not (lock and lines):
        return lines
    ids = [line.id for line in lines]
    still = await transaction.fetch(
        "SELECT id FROM order_details FORCE INDEX (PRIMARY) "
        f"WHERE id IN ({placeholders(ids)}) AND returned_version IS NULL ORDER BY id FOR UPDATE",
        *ids,
    )
    held = {row[0] for row in still}
    return [line for line in lines if line.id in held]


async def mark_returned(
    transaction: Transaction, lines: Iterable[Unreturned], after: Mapping[int, Stock], now: datetime
) -> None:
    """Remember the version step that gave each line back. Raises VersionConflict if one was given back before."""
    by_type: dict[int, list[int]] = {}
    for line in lines:
        by_type.setdefault(line.ticket_type_id, []).append(line.id)
    for type_id, ids in sorted(by_type.items()):
        count = await transaction.execute(
            "UPDATE order_details SET returned_version = %s, updated_at = %s "
            f"WHERE id IN ({placeholders(ids)}) AND returned_version IS NULL",
            after[type_id].version,
            to_sql(now),
            *ids,
        )
        if count != len(ids):
            raise VersionConflict(f"lines {ids} were given back")


async def shortages(reader: Database | Transaction, type_ids: Iterable[int]) -> dict[int, Shortage]:
    """What unpaid orders hold of each type, and when the earliest ends."""
    wanted = sorted(set(type_ids))
    found = {type_id: Shortage(0, None) for type_id in wanted}
    if not wanted:
        return found
    fetch = reader.fetch if isinstance(reader, Transaction) else reader.read
    rows = await fetch(
        "SELECT d.ticket_type_id, SUM(d.quantity), MIN(o.expires_at) FROM ticket_types t "
        "JOIN orders o ON o.event_id = t.event_id AND o.status = 'PENDING_PAYMENT' "
        "JOIN order_details d ON d.order_id = o.id AND d.ticket_type_id = t.id "
        f"WHERE t.id IN ({placeholders(wanted)}) GROUP BY d.ticket_type_id",
        *wanted,
    )
    for type_id, held, next_release in rows:
        found[type_id] = Shortage(int(held), from_sql(next_release))
    return found


def _stock(row: Row) -> Stock:
    id_, event_id, price, currency, quota, available, max_per_order, start, end, version, gone = row
    return Stock(
        id=id_,
        event_id=event_id,
        price=price,
        currency=currency,
        quota=quota,
        available=available,
        max_per_order=max_per_order,
        sales_start=from_sql(start) if start else None,
        sales_end=from_sql(end) if end else None,
        version=version,
        deleted=bool(gone),
    )
