"""Stock: how many tickets of a type are left, and the ledger that explains every step.

In: quantities per ticket type. Out: the type as it stood, and as it stands after the step.
Must stay true: `available` changes only by an UPDATE that names the version that was read, and by one ledger row per
version step; a take asks for `available >= quantity` as well, so that no step can go below zero.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from typing import Literal

import orjson

from contracts.runtime.times import from_sql, to_sql
from db.mysql.database import (
    Database,
    Row,
    Statement,
    Transaction,
    placeholders,
)
from db.rows import Select


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
    max_per_user: int | None
    sales_start: datetime | None
    sales_end: datetime | None
    version: int
    deleted: bool
    name: str = ""


@dataclass(frozen=True, slots=True)
class EventState:
    """What a decision needs to know of an event."""

    id: int
    organizer_id: int
    end_time: datetime
    cancelled: bool
    concealed: bool = False
    paused: bool = False
    name: str = ""


@dataclass(frozen=True, slots=True)
class Shortage:
    """Tickets of a type in unpaid orders, and when the earliest of those gives them back."""

    held: int
    next_release_at: datetime | None


# One JSON column: the driver takes the description of each column of each result apart, byte by byte, and for a
# small batch that was a third of all its work. A price travels as text, so that no digit of it is lost. The explicit
# collation is that of the whole expression: texts of several ones do not mix on every database.
_EVENT = (
    "JSON_ARRAY(id, organizer_id, end_time, status = 'CANCELLED', concealed, sales_paused, "
    "name COLLATE utf8mb4_bin)"
)
_STOCK = (
    "JSON_ARRAY(id, event_id, CAST(price AS CHAR), currency, quota, available, max_per_order, "
    "max_per_user, sales_start, sales_end, version, deleted_at IS NOT NULL, "
    "name COLLATE utf8mb4_bin)"
)


def share_query(ids: Iterable[int]) -> Statement:
    """The query of `share_events`, for whoever reads ahead."""
    wanted = sorted(set(ids))
    return Statement(
        f"SELECT {_EVENT} FROM events FORCE INDEX (PRIMARY) "
        f"WHERE id IN ({placeholders(wanted)}) ORDER BY id LOCK IN SHARE MODE",
        tuple(wanted),
    )


async def share_events(transaction: Transaction, ids: Iterable[int]) -> dict[int, EventState]:
    """Read events under a shared lock: none of them can be cancelled before this transaction ends."""
    query = share_query(ids)
    rows = await transaction.fetch(query.sql, *query.parameters)
    events = [_event(row) for row in rows]
    return {event.id: event for event in events}


def read_query(ids: Iterable[int], *, lock: bool) -> Statement:
    """The query of `read`, for whoever reads ahead (`ids` not empty)."""
    wanted = sorted(set(ids))
    return Statement(
        f"SELECT {_STOCK} FROM ticket_types FORCE INDEX (PRIMARY) "
        f"WHERE id IN ({placeholders(wanted)}) ORDER BY id{' FOR UPDATE' if lock else ''}",
        tuple(wanted),
    )


async def read(transaction: Transaction, ids: Iterable[int], *, lock: bool) -> dict[int, Stock]:
    """Ticket types by id: `lock` holds their rows (ids ascending), else the version is the guard."""
    query = read_query(ids, lock=lock)
    if not query.parameters:
        return {}
    rows = await transaction.fetch(query.sql, *query.parameters)
    types = [_stock(row) for row in rows]
    return {one.id: one for one in types}


def take(
    transaction: Transaction,
    stock: Mapping[int, Stock],
    quantities: Mapping[int, int],
    now: datetime,
) -> dict[int, Stock]:
    """Take tickets off, one version step per type; the types after it.

    The step travels with the transaction's next statement, which then raises VersionConflict.
    """
    deltas = {type_id: -quantity for type_id, quantity in quantities.items()}
    return _step(transaction, stock, deltas, "TAKE", now)


def give_back(
    transaction: Transaction,
    stock: Mapping[int, Stock],
    quantities: Mapping[int, int],
    now: datetime,
) -> dict[int, Stock]:
    """Put tickets back, one version step per type; the types after it. Travels as `take` does."""
    return _step(transaction, stock, quantities, "RETURN", now)


def _step(
    transaction: Transaction,
    stock: Mapping[int, Stock],
    deltas: Mapping[int, int],
    kind: Literal["TAKE", "RETURN"],
    now: datetime,
) -> dict[int, Stock]:
    if not deltas:
        return {}
    steps = [(stock[type_id], delta) for type_id, delta in sorted(deltas.items())]
    _write(transaction, steps, now)
    at = to_sql(now)
    ledger: list[Row] = [(one.id, one.version + 1, kind, delta, at) for one, delta in steps]
    columns = ("ticket_type_id", "version", "kind", "delta", "created_at")
    transaction.insert_later("stock_ledger", columns, ledger)
    return {
        one.id: replace(one, available=one.available + delta, version=one.version + 1)
        for one, delta in steps
    }


def _write(transaction: Transaction, steps: Sequence[tuple[Stock, int]], now: datetime) -> None:
    """The guard of the whole house: each row must still be as it was read, and must not go below zero."""
    whens = " ".join(["WHEN %s THEN %s"] * len(steps))
    deltas = [value for one, delta in steps for value in (one.id, delta)]
    versions = [value for one, _ in steps for value in (one.id, one.version)]
    ids = [one.id for one, _ in steps]
    transaction.change_later(
        f"UPDATE ticket_types FORCE INDEX (PRIMARY) SET available = available + CASE id {whens} END, "
        "version = version + 1, updated_at = %s "
        f"WHERE id IN ({placeholders(ids)}) AND version = CASE id {whens} END "
        f"AND available + CASE id {whens} END >= 0",
        *deltas,
        to_sql(now),
        *ids,
        *versions,
        *deltas,
        expect=len(steps),
        conflict=f"one of the ticket types {ids} is past the version that was read",
    )


@dataclass(frozen=True, slots=True)
class Unreturned:
    """A line of a cancelled or expired order whose tickets have not come back."""

    id: int
    order_id: int
    ticket_type_id: int
    quantity: int


_UNRETURNED = Select(Unreturned, "d")


async def unreturned(
    transaction: Transaction, order_ids: Iterable[int], *, lock: bool
) -> list[Unreturned]:
    """Lines of ended orders that still hold tickets; `lock` holds the lines (after their types)."""
    wanted = sorted(set(order_ids))
    if not wanted:
        return []
    rows = await transaction.fetch(
        f"SELECT {_UNRETURNED.columns} FROM order_details d "
        "JOIN orders o ON o.id = d.order_id "
        f"WHERE d.order_id IN ({placeholders(wanted)}) AND d.returned_version IS NULL "
        "AND o.status IN ('CANCELLED', 'EXPIRED') ORDER BY d.id",
        *wanted,
    )
    lines = _UNRETURNED.rows(rows)
    if not (lock and lines):
        return lines
    ids = [line.id for line in lines]
    still = await transaction.fetch(
        "SELECT id FROM order_details FORCE INDEX (PRIMARY) "
        f"WHERE id IN ({placeholders(ids)}) AND returned_version IS NULL ORDER BY id FOR UPDATE",
        *ids,
    )
    held = {id_ for (id_,) in still}
    return [line for line in lines if line.id in held]


def mark_returned(
    transaction: Transaction, lines: Iterable[Unreturned], after: Mapping[int, Stock], now: datetime
) -> None:
    """Remember the version step that gave each line back.

    Travels with the next statement, which then raises VersionConflict if one was given back before.
    """
    by_type: dict[int, list[int]] = {}
    for line in lines:
        by_type.setdefault(line.ticket_type_id, []).append(line.id)
    for type_id, ids in sorted(by_type.items()):
        transaction.change_later(
            "UPDATE order_details FORCE INDEX (PRIMARY) SET returned_version = %s, updated_at = %s "
            f"WHERE id IN ({placeholders(ids)}) AND returned_version IS NULL",
            after[type_id].version,
            to_sql(now),
            *ids,
            expect=len(ids),
            conflict=f"lines {ids} were given back",
        )


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
        # From a few unpaid orders to their lines: MariaDB 11.8 would rather read all lines and look for the orders.
        "STRAIGHT_JOIN order_details d FORCE INDEX (uq_order_details_item) "
        "ON d.order_id = o.id AND d.ticket_type_id = t.id "
        f"WHERE t.id IN ({placeholders(wanted)}) GROUP BY d.ticket_type_id",
        *wanted,
    )
    for type_id, held, next_release in rows:
        found[type_id] = Shortage(int(held), from_sql(next_release))
    return found


def _event(row: Row) -> EventState:
    id_, organizer_id, end, *states, name = orjson.loads(row[0])
    cancelled, concealed, paused = map(bool, states)
    return EventState(id_, organizer_id, _moment(end), cancelled, concealed, paused, name)


def _stock(row: Row) -> Stock:
    id_, event_id, price, currency, quota, available, *limits, start, end, version, gone, name = (
        orjson.loads(row[0])
    )
    return Stock(
        id=id_,
        event_id=event_id,
        price=Decimal(price),
        currency=currency,
        quota=quota,
        available=available,
        max_per_order=limits[0],
        max_per_user=limits[1],
        sales_start=_moment(start) if start else None,
        sales_end=_moment(end) if end else None,
        version=version,
        deleted=bool(gone),
        name=name,
    )


def _moment(text: str) -> datetime:
    return from_sql(datetime.fromisoformat(text))
