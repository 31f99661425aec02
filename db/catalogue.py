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
from db import event_search
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
class TicketTypeRead:
    """A ticket type, and who may see it: everybody, or its event's organizer and admins alone (`concealed`)."""

    row: TicketTypeRow
    organizer_id: int
    concealed: bool


@dataclass(frozen=True, slots=True)
class Search:
    """Which published events a list shows: terms of name and venue (`contracts.search_terms`), and when they run.

    `runs_from`: they end after it, without it after now. `runs_to`: they begin by then. `past`: those that are
    over, the latest first.
    """

    terms: tuple[str, ...] = ()
    runs_from: datetime | None = None
    runs_to: datetime | None = None
    past: bool = False
    after: tuple[datetime, int] | None = None
    """(start time, id) of the last event shown."""


@dataclass(frozen=True, slots=True)
class TypeFacts:
    """What never changes of a ticket type, but for its end; `concealed`: its event is a draft."""

    id: int
    event_id: int
    deleted: bool
    concealed: bool
    organizer_id: int


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
    paused: bool


_VISIBILITY = {"organizer_id": "e.organizer_id", "concealed": "e.concealed"}
_FACTS = Select(TypeFacts, "t", deleted="t.deleted_at IS NOT NULL", **_VISIBILITY)
_STATES = Select(
    SaleState,
    "t",
    event_end="e.end_time",
    cancelled="e.status = 'CANCELLED'",
    paused="e.sales_paused",
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


async def find_ticket_type(database: Database, type_id: int) -> TicketTypeRead | None:
    """One ticket type, None when there is none of that id (any more)."""
    rows = await database.read(
        f"SELECT {TICKET_TYPES.columns}, e.organizer_id, e.concealed FROM ticket_types t "
        "JOIN events e ON e.id = t.event_id WHERE t.id = %s AND t.deleted_at IS NULL",
        type_id,
    )
    if not rows:
        return None
    organizer_id, concealed = TICKET_TYPES.rest(rows[0])
    return TicketTypeRead(TICKET_TYPES.row(rows[0]), organizer_id, bool(concealed))


async def list_published(database: Database, search: Search, limit: int) -> list[EventRead]:
    """At most `limit` published events by start time and id; those that are over the other way round."""
    conditions, parameters = _published(search)
    if search.past:
        return await _list(database, conditions, parameters, "start_time DESC, id DESC", limit)
    ends_after = "e.end_time > COALESCE(%s, UTC_TIMESTAMP(6))"
    since = to_sql(search.runs_from) if search.runs_from else None
    if search.terms:
        conditions.append(ends_after)
        return await _list(database, conditions, [*parameters, since], "start_time, id", limit)
    # Two ranges of two indexes: whatever began before and still runs, and whatever begins later. As one condition it
    # would walk through all events that are over, or sort all that are to come.
    begins = "e.start_time {} COALESCE(%s, UTC_TIMESTAMP(6))"
    parts = [
        ("ix_events_running", [*conditions, ends_after, begins.format("<=")], [since, since]),
        ("ix_events_listing", [*conditions, begins.format(">")], [since]),
    ]
    source = " UNION ALL ".join(
        f"(SELECT e.id FROM events e FORCE INDEX ({index}) WHERE {' AND '.join(where)} "
        "ORDER BY e.start_time, e.id LIMIT %s)"
        for index, where, _ in parts
    )
    values = [value for _, _, times in parts for value in (*parameters, *times, limit)]
    among = [f"e.id IN (SELECT id FROM ({source}) found)"]
    return await _list(database, among, values, "start_time, id", limit)


def _published(search: Search) -> tuple[list[str], list[Any]]:
    """Conditions on `e`, but for the one that says when it must still run, and their parameters."""
    conditions, parameters = event_search.conditions(search.terms)
    conditions.insert(0, "e.status = 'PUBLISHED'")
    if search.past:
        conditions.append("e.end_time <= UTC_TIMESTAMP(6)")
        if search.runs_from is not None:
            conditions.append("e.end_time > %s")
            parameters.append(to_sql(search.runs_from))
    if search.runs_to is not None:
        conditions.append("e.start_time <= %s")
        parameters.append(to_sql(search.runs_to))
    if search.after is not None:
        beyond = "<" if search.past else ">"
        start, last_id = to_sql(search.after[0]), search.after[1]
        conditions.append(f"(e.start_time {beyond} %s OR (e.start_time = %s AND e.id {beyond} %s))")
        parameters += [start, start, last_id]
    return conditions, parameters


async def list_of_organizer(
    database: Database, organizer_id: int, below: int | None, limit: int
) -> list[EventRead]:
    """At most `limit` events of an organizer in every status, the newest first."""
    conditions = ["e.organizer_id = %s", "e.id < %s"]
    parameters = [organizer_id, below if below is not None else _LAST]
    return await _list(database, conditions, parameters, "id DESC", limit)


async def _list(
    database: Database, conditions: Sequence[str], parameters: Sequence[Any], by: str, limit: int
) -> list[EventRead]:
    order = ", ".join(f"e.{column}" for column in by.split(", "))
    rows = await database.read(
        f"SELECT {EVENTS.columns}, {TICKET_TYPES.columns} FROM "
        f"(SELECT * FROM events e WHERE {' AND '.join(conditions)} ORDER BY {order} LIMIT %s) e "
        f"{_TYPES} ORDER BY {order}, t.id",
        *parameters,
        limit,
    )
    return _events(rows)


async def facts_of_types(database: Database, type_ids: Sequence[int]) -> dict[int, TypeFacts]:
    """The facts of those ticket types that exist."""
    rows = await database.read(
        f"SELECT {_FACTS.columns} FROM ticket_types t JOIN events e ON e.id = t.event_id "
        f"WHERE t.id IN ({placeholders(type_ids)})",
        *type_ids,
    )
    return {one.id: one for one in _FACTS.rows(rows)}


async def sale_states(database: Database, type_ids: Sequence[int]) -> dict[int, SaleState]:
    """The state of those ticket types that exist for everybody: not deleted, and of no draft."""
    rows = await database.read(
        f"SELECT {_STATES.columns} FROM ticket_types t JOIN events e ON e.id = t.event_id "
        f"WHERE t.id IN ({placeholders(type_ids)}) AND t.deleted_at IS NULL AND e.concealed = 0",
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
