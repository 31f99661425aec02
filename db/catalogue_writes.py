"""Writes of the catalogue: events and ticket types under lock; a change of a type is a version step and a ledger row.

In: rows that a rule has decided. Out: those rows as they are stored.
Must stay true: events are locked before ticket types, both by primary key ascending, before anything else is read;
every UPDATE names the version that was read; `available` moves only together with `quota`, by the same number; a
deleted type stays as a row (orders and the ledger name it) and is visible nowhere.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime

from contracts.resources import EventRow, TicketTypeRow
from contracts.runtime.times import to_sql
from db import event_search
from db.mysql.database import Transaction, VersionConflict, placeholders
from db.rows import EVENT_COLUMNS, TICKET_TYPE_COLUMNS, event_row, ticket_type_row

CANCELLED = "CANCELLED"
PUBLISHED = "PUBLISHED"


@dataclass(frozen=True, slots=True)
class LockedEvent:
    """An event whose row this transaction holds, with all its types by id (`deleted`: ids of those that are gone)."""

    row: EventRow
    types: dict[int, TicketTypeRow]
    deleted: frozenset[int]

    @property
    def visible(self) -> list[TicketTypeRow]:
        """Its types without the deleted ones, by id."""
        return [row for type_id, row in sorted(self.types.items()) if type_id not in self.deleted]

    @property
    def sequence(self) -> int:
        """Rises with every change of the event or of any of its types: the order of its EventChanged events."""
        return self.row.version + sum(row.version for row in self.types.values())


async def lock(
    transaction: Transaction, event_ids: Iterable[int], type_ids: Iterable[int] = ()
) -> dict[int, LockedEvent]:
    """Hold events, then ticket types; the events that exist, with all their types. Must be the first reads.

    A missing id leaves a gap lock behind; nothing that this transaction holds by then is waited for by a
    transaction that inserts there, so it can only delay, never deadlock.
    """
    events = await _locked_ids(transaction, "events", event_ids)
    await _locked_ids(transaction, "ticket_types", type_ids)
    if not events:
        return {}
    # The first plain read: its snapshot is younger than the locks, so it shows what they protect.
    rows = await transaction.fetch(
        f"SELECT {EVENT_COLUMNS} FROM events e WHERE e.id IN ({placeholders(events)})",
        *events,
    )
    types = await transaction.fetch(
        f"SELECT {TICKET_TYPE_COLUMNS}, t.deleted_at IS NOT NULL FROM ticket_types t "
        f"WHERE t.event_id IN ({placeholders(events)})",
        *events,
    )
    found = {row[0]: LockedEvent(event_row(row), {}, frozenset()) for row in rows}
    for *columns, deleted in types:
        one = ticket_type_row(tuple(columns))
        event = found[one.event_id]
        event.types[one.id] = one
        if deleted:
            found[one.event_id] = replace(event, deleted=event.deleted | {one.id})
    return found


async def _locked_ids(transaction: Transaction, table: str, ids: Iterable[int]) -> list[int]:
    wanted = sorted(set(ids))
    if not wanted:
        return []
    rows = await transaction.fetch(
        f"SELECT id FROM {table} FORCE INDEX (PRIMARY) "
        f"WHERE id IN ({placeholders(wanted)}) ORDER BY id FOR UPDATE",
        *wanted,
    )
    return [row[0] for row in rows]


async def insert_event(transaction: Transaction, row: EventRow, command: bytes) -> EventRow:
    """Store a new event (its `id` is ignored); the row with its id."""
    columns = ("organizer_id", "name", "description", "venue", "start_time", "end_time", "status")
    at = to_sql(row.created_at)
    values = (row.organizer_id, row.name, row.description, row.venue)
    times = (to_sql(row.start_time), to_sql(row.end_time))
    event_id = await transaction.insert(
        "events",
        (*columns, "version", "searched_version", "command_id", "created_at", "updated_at"),
        [(*values, *times, row.status, row.version, row.version, command, at, at)],
    )
    event_search.add(transaction, event_id, _searched(row))
    return replace(row, id=event_id)


async def update_event(transaction: Transaction, before: EventRow, after: EventRow) -> EventRow:
    """Store a changed event as its next version. Raises VersionConflict."""
    stored = replace(after, version=before.version + 1)
    count = await transaction.execute(
        # Assignments happen from left to right: terms that were stale before stay so.
        "UPDATE events SET searched_version = IF(searched_version = version, version + 1, 0), "
        "name = %s, description = %s, venue = %s, start_time = %s, end_time = %s, "
        "status = %s, version = version + 1, updated_at = %s WHERE id = %s AND version = %s",
        stored.name,
        stored.description,
        stored.venue,
        to_sql(stored.start_time),
        to_sql(stored.end_time),
        stored.status,
        to_sql(stored.updated_at),
        before.id,
        before.version,
    )
    if count != 1:
        raise VersionConflict(f"event {before.id} is past version {before.version}")
    event_search.replace(transaction, before.id, _searched(before), _searched(stored))
    return stored


def _searched(row: EventRow) -> tuple[str | None, ...]:
    return (row.name, row.venue)


async def has_confirmed_order(transaction: Transaction, event_id: int) -> bool:
    """Whether somebody has paid for a locked event. ConfirmPayment shares the event's row first: none is under way."""
    rows = await transaction.fetch(
        "SELECT 1 FROM orders WHERE event_id = %s AND status = 'CONFIRMED' LIMIT 1", event_id
    )
    return bool(rows)


async def insert_ticket_type(
    transaction: Transaction, row: TicketTypeRow, command: bytes
) -> TicketTypeRow:
    """Store a new type of a locked event (its `id` is ignored) with its CREATE step; the row with its id."""
    columns = ("event_id", "name", "price", "currency", "quota", "available", "max_per_order")
    at = to_sql(row.created_at)
    values = (row.event_id, row.name, row.price, row.currency, row.quota, row.available)
    type_id = await transaction.insert(
        "ticket_types",
        (
            *columns,
            "max_per_user",
            "sales_start",
            "sales_end",
            "version",
            "command_id",
            "created_at",
            "updated_at",
        ),
        [
            (
                *values,
                row.max_per_order,
                row.max_per_user,
                *_window(row),
                row.version,
                command,
                at,
                at,
            )
        ],
    )
    stored = replace(row, id=type_id)
    await _remember(transaction, stored, "CREATE", row.quota, row.created_at)
    return stored


async def update_ticket_type(
    transaction: Transaction, before: TicketTypeRow, after: TicketTypeRow, *, delete: bool = False
) -> TicketTypeRow:
    """Store a changed (or now deleted) type as its next version, with its ledger row. Raises VersionConflict."""
    stored = replace(after, version=before.version + 1)
    at = to_sql(stored.updated_at)
    count = await transaction.execute(
        "UPDATE ticket_types SET name = %s, price = %s, currency = %s, quota = %s, available = %s, "
        "max_per_order = %s, max_per_user = %s, sales_start = %s, sales_end = %s, version = version + 1, "
        "deleted_at = %s, updated_at = %s WHERE id = %s AND version = %s AND deleted_at IS NULL",
        stored.name,
        stored.price,
        stored.currency,
        stored.quota,
        stored.available,
        stored.max_per_order,
        stored.max_per_user,
        *_window(stored),
        at if delete else None,
        at,
        before.id,
        before.version,
    )
    if count != 1:
        raise VersionConflict(f"ticket type {before.id} is past version {before.version}")
    delta = stored.quota - before.quota
    await _remember(transaction, stored, "QUOTA" if delta else "EDIT", delta, stored.updated_at)
    return stored


async def _remember(
    transaction: Transaction, row: TicketTypeRow, kind: str, delta: int, now: datetime
) -> None:
    columns = ("ticket_type_id", "version", "kind", "delta", "quota_delta", "created_at")
    await transaction.insert(
        "stock_ledger", columns, [(row.id, row.version, kind, delta, delta, to_sql(now))]
    )


def _window(row: TicketTypeRow) -> tuple[str | None, str | None]:
    start, end = row.sales_start, row.sales_end
    return (to_sql(start) if start else None, to_sql(end) if end else None)
