"""Writes of the catalogue: events and ticket types under lock; a change of a type is a version step and a ledger row.

In: rows that a rule has decided. Out: those rows as they are stored.
Must stay true: events are locked before ticket types, both by primary key ascending, before anything else is read;
every UPDATE names the version that was read; `available` moves only together with `quota`, by the same number; a
deleted type stays as a row (orders and the ledger name it) and is visible nowhere.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from contracts.resources import EventRow, TicketTypeRow
from contracts.runtime.times import to_sql
from db import event_search
from db.mysql.database import Transaction, VersionConflict, placeholders
from db.rows import EVENTS, TICKET_TYPES, stored


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
        f"SELECT {EVENTS.columns} FROM events e WHERE e.id IN ({placeholders(events)})",
        *events,
    )
    types = await transaction.fetch(
        f"SELECT {TICKET_TYPES.columns}, t.deleted_at IS NOT NULL FROM ticket_types t "
        f"WHERE t.event_id IN ({placeholders(events)})",
        *events,
    )
    found = {row.id: LockedEvent(row, {}, frozenset()) for row in EVENTS.rows(rows)}
    for values in types:
        one, [deleted] = TICKET_TYPES.row(values), TICKET_TYPES.rest(values)
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
    return [id_ for (id_,) in rows]


async def insert_event(transaction: Transaction, row: EventRow, command: bytes) -> EventRow:
    """Store a new event (its `id` is ignored); the row with its id."""
    event_id = await _insert(transaction, "events", row, command, searched_version=row.version)
    event_search.add(transaction, event_id, _searched(row))
    return replace(row, id=event_id)


async def update_event(transaction: Transaction, before: EventRow, after: EventRow) -> EventRow:
    """Store a changed event as its next version. Raises VersionConflict."""
    next_ = replace(after, version=before.version + 1)
    values = stored(next_, "id", "organizer_id", "created_at")
    count = await transaction.execute(
        # Assignments happen from left to right: terms that were stale before stay so.
        "UPDATE events SET searched_version = IF(searched_version = version, version + 1, 0), "
        f"{_assignments(values)} WHERE id = %s AND version = %s",
        *values.values(),
        before.id,
        before.version,
    )
    if count != 1:
        raise VersionConflict(f"event {before.id} is past version {before.version}")
    event_search.replace(transaction, before.id, _searched(before), _searched(next_))
    return next_


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
    created = replace(row, id=await _insert(transaction, "ticket_types", row, command))
    await _remember(transaction, created, "CREATE", row.quota, row.created_at)
    return created


async def update_ticket_type(
    transaction: Transaction, before: TicketTypeRow, after: TicketTypeRow, *, delete: bool = False
) -> TicketTypeRow:
    """Store a changed (or now deleted) type as its next version, with its ledger row. Raises VersionConflict."""
    next_ = replace(after, version=before.version + 1)
    values = stored(next_, "id", "event_id", "created_at")
    values["deleted_at"] = values["updated_at"] if delete else None
    count = await transaction.execute(
        f"UPDATE ticket_types SET {_assignments(values)} "
        "WHERE id = %s AND version = %s AND deleted_at IS NULL",
        *values.values(),
        before.id,
        before.version,
    )
    if count != 1:
        raise VersionConflict(f"ticket type {before.id} is past version {before.version}")
    delta = next_.quota - before.quota
    await _remember(transaction, next_, "QUOTA" if delta else "EDIT", delta, next_.updated_at)
    return next_


async def _insert(
    transaction: Transaction,
    table: str,
    row: EventRow | TicketTypeRow,
    command: bytes,
    **more: int,
) -> int:
    values = {**stored(row, "id"), "command_id": command, **more}
    return await transaction.insert(table, tuple(values), [tuple(values.values())])


def _assignments(values: Mapping[str, object]) -> str:
    """What an UPDATE sets, a value each; column names are our own."""
    return ", ".join(f"{name} = %s" for name in values)


async def _remember(
    transaction: Transaction, row: TicketTypeRow, kind: str, delta: int, now: datetime
) -> None:
    columns = ("ticket_type_id", "version", "kind", "delta", "quota_delta", "created_at")
    await transaction.insert(
        "stock_ledger", columns, [(row.id, row.version, kind, delta, delta, to_sql(now))]
    )
