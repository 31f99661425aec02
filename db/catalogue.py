"""Events and ticket types as everybody reads them. No lock, no write.

In: ids, search words, a place to go on from. Out: `contracts.resources` rows.
Must stay true: an event and its ticket types come from one statement, so that they fit each other;
deleted ticket types are never shown; a page goes on after the last row's sort key.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from contracts.resources import EventRow, TicketTypeRow
from contracts.runtime.times import to_sql
from db.mysql.database import Database, Row, placeholders
from db.rows import EVENTS, TICKET_TYPES, Select

_LAST = 2**63 - 1
_TYPES = "LEFT JOIN ticket_types t ON t.event_id = e.id AND t.deleted_at IS NULL"


@dataclass(frozen=True, slots=True)
class EventRead:
    """An event with its ticket types."""

    row: EventRow
    ticket_types: tuple[TicketTypeRow, ...]


@dataclass(frozen=True, slots=True)
class Search:
    """Which published events a list shows: words in name, venue or description; start times."""

    words: str | None = None
    starts_from: datetime | None = None
    starts_to: datetime | None = None
    after: tuple[datetime, int] | None = None
    """(start time, id) of the last event shown."""


@dataclass(frozen=True, slots=True)
class TypeFacts:
    """What never changes of a ticket type, but for its end."""

    id: int
    event_id: int
    deleted: bool


@dataclass(frozen=True, slots=True)
class SaleState:
    """Whether and how a ticket type is on sale."""

    id: int
    version: int
    available: int
    max_per_order: int
    sales_start: datetime | None
    sales_end: datetime | None
    event_end: datetime
    cancelled: bool


_FACTS = Select(TypeFacts, deleted="deleted_at IS NOT NULL")
_STATES = Select(
    SaleState,
    "t",
    event_end="e.end_time",
    cancelled="e.status = 'CANCELLED'",
)


async def find_event(database: Database, event_id: int) -> EventRead | None:
    """One event, None when there is none of that id."""
    rows = await database.read(
        f"SELECT {EVENTS.columns}, {TICKET_TYPES.columns} FROM events e {_TYPES} "
        "WHERE e.id = %s ORDER BY t.id",
        event_id,
    )
    found = _events(rows)
    return found[0] if found else None


async def find_ticket_type(database: Database, type_id: int) -> TicketTypeRow | None:
    """One ticket type, None when there is none of that id (any more)."""
    rows = await database.read(
        f"SELECT {TICKET_TYPES.columns} FROM ticket_types t "
        "WHERE t.id = %s AND t.deleted_at IS NULL",
        type_id,
    )
    return TICKET_TYPES.row(rows[0]) if rows else None


async def list_published(database: Database, search: Search, limit: int) -> list[EventRead]:
    """At most `limit` published events, by start time and id."""
    conditions: list[str] = ["e.status = 'PUBLISHED'"]
    parameters: list[Any] = []
    if search.words is not None:
        pattern = f"%{_escaped(search.words)}%"
        columns = ("e.name", "e.venue", "e.description")
        conditions.append("(" + " OR ".join(f"{c} LIKE %s ESCAPE '|'" for c in columns) + ")")
        parameters += [pattern] * len(columns)
    if search.starts_from is not None:
        conditions.append("e.start_time >= %s")
        parameters.append(to_sql(search.starts_from))
    if search.starts_to is not None:
        conditions.append("e.start_time <= %s")
        parameters.append(to_sql(search.starts_to))
    if search.after is not None:
        start, last_id = to_sql(search.after[0]), search.after[1]
        conditions.append("(e.start_time > %s OR (e.start_time = %s AND e.id > %s))")
        parameters += [start, start, last_id]
    return await _list(database, conditions, parameters, "e.start_time, e.id", limit)


async def list_of_organizer(
    database: Database, organizer_id: int, below: int | None, limit: int
) -> list[EventRead]:
    """At most `limit` events of an organizer in every status, the newest first."""
    conditions = ["e.organizer_id = %s", "e.id < %s"]
    parameters = [organizer_id, below if below is not None else _LAST]
    return await _list(database, conditions, parameters, "e.id DESC", limit)


async def _list(
    database: Database, conditions: Sequence[str], parameters: Sequence[Any], by: str, limit: int
) -> list[EventRead]:
    rows = await database.read(
        f"SELECT {EVENTS.columns}, {TICKET_TYPES.columns} FROM "
        f"(SELECT * FROM events e WHERE {' AND '.join(conditions)} ORDER BY {by} LIMIT %s) e "
        f"{_TYPES} ORDER BY {by}, t.id",
        *parameters,
        limit,
    )
    return _events(rows)


async def facts_of_types(database: Database, type_ids: Sequence[int]) -> dict[int, TypeFacts]:
    """The facts of those ticket types that exist."""
    rows = await database.read(
        f"SELECT {_FACTS.columns} FROM ticket_types WHERE id IN ({placeholders(type_ids)})",
        *type_ids,
    )
    return {one.id: one for one in _FACTS.rows(rows)}


async def sale_states(database: Database, type_ids: Sequence[int]) -> dict[int, SaleState]:
    """The state of those ticket types that exist and are not deleted."""
    rows = await database.read(
        f"SELECT {_STATES.columns} FROM ticket_types t JOIN events e ON e.id = t.event_id "
        f"WHERE t.id IN ({placeholders(type_ids)}) AND t.deleted_at IS NULL",
        *type_ids,
    )
    return {one.id: one for one in _STATES.rows(rows)}


def _events(rows: Sequence[Row]) -> list[EventRead]:
    events: dict[int, EventRow] = {}
    types: dict[int, list[TicketTypeRow]] = {}
    for found in rows:
        event, rest = EVENTS.row(found), EVENTS.rest(found)
        events.setdefault(event.id, event)
        of_event = types.setdefault(event.id, [])
        # An event without ticket types comes with an empty one.
        if any(value is not None for value in rest):
            of_event.append(TICKET_TYPES.row(rest))
    return [EventRead(row, tuple(types[event_id])) for event_id, row in events.items()]


def _escaped(words: str) -> str:
    """The words as LIKE takes them literally."""
    return words.replace("|", "||").replace("%", "|%").replace("_", "|_")
