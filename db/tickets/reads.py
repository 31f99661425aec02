"""Tickets and the door as people and gates read them. No lock, no write.

In: ids, a place to go on from. Out: rows; counts.
Must stay true: a bundle names every ticket of its event that changed since the moment it was asked from, perhaps some
twice; lists go by id, so that what is inserted meanwhile shifts no page.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from contracts.runtime.times import from_sql, to_sql
from contracts.tickets.scans import CONFLICTS, Admission, Ruling
from contracts.tickets.ticket import TicketRow, TicketStatus
from db.mysql.database import Database, Row
from db.tickets.tickets import TICKETS, TicketOwners

OVERLAP = timedelta(seconds=10)
"""A transaction (at most 4 s long) dates its changes at its beginning, and may commit behind a later one."""
CONFLICTS_SHOWN = 50
_OWNED = (
    f"SELECT {TICKETS.columns}, o.user_id, e.organizer_id FROM tickets t "
    "JOIN orders o ON o.id = t.order_id JOIN events e ON e.id = t.event_id "
)


@dataclass(frozen=True, slots=True)
class TicketRead:
    """A ticket, and whom it concerns beside its holder."""

    row: TicketRow
    owners: TicketOwners


async def find(database: Database, ticket_id: int) -> TicketRead | None:
    """One ticket, None when there is none of that id."""
    rows = await database.read(f"{_OWNED} WHERE t.id = %s", ticket_id)
    return _read(rows[0]) if rows else None


def _read(row: Row) -> TicketRead:
    return TicketRead(TICKETS.row(row), TicketOwners(*TICKETS.rest(row)))


async def held(database: Database, holder_id: int, below: int, limit: int) -> list[TicketRow]:
    """Tickets that somebody holds, the newest first, with ids below `below`."""
    rows = await database.read(
        f"SELECT {TICKETS.columns} FROM tickets t WHERE t.holder_id = %s AND t.id < %s "
        "ORDER BY t.id DESC LIMIT %s",
        holder_id,
        below,
        limit,
    )
    return TICKETS.rows(rows)


async def of_order(
    database: Database, order_id: int, holder_id: int | None, after: int, limit: int
) -> list[TicketRow]:
    """An order's tickets by id, those above `after`; of one holder alone unless None."""
    mine = "" if holder_id is None else "AND t.holder_id = %s "
    rows = await database.read(
        f"SELECT {TICKETS.columns} FROM order_details d JOIN tickets t ON t.order_detail_id = d.id "
        f"WHERE d.order_id = %s AND t.id > %s {mine}ORDER BY t.id LIMIT %s",
        order_id,
        after,
        *(() if holder_id is None else (holder_id,)),
        limit,
    )
    return TICKETS.rows(rows)


@dataclass(frozen=True, slots=True)
class Attendee:
    """A ticket with its holder's address."""

    row: TicketRow
    email: str


async def attendees(
    database: Database, event_id: int, words: str | None, after: int, limit: int
) -> list[Attendee]:
    """An event's tickets by id, those above `after`; `words`: in the holder's name or address."""
    match = ""
    values: list[str] = []
    if words:
        match = "AND (t.holder_name LIKE %s OR u.email LIKE %s) "
        values = [f"%{_literally(words)}%"] * 2
    rows = await database.read(
        f"SELECT {TICKETS.columns}, u.email FROM tickets t FORCE INDEX (ix_tickets_event) "
        f"JOIN users u ON u.id = t.holder_id WHERE t.event_id = %s AND t.id > %s {match}"
        "ORDER BY t.id LIMIT %s",
        event_id,
        after,
        *values,
        limit,
    )
    return [Attendee(TICKETS.row(row), *TICKETS.rest(row)) for row in rows]


def _literally(words: str) -> str:
    """LIKE's own characters mean themselves."""
    return words.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")


@dataclass(frozen=True, slots=True)
class Changes:
    """What a gate has to know beyond signatures. `void`: (ticket, its codes of this version and below are void)."""

    as_of: datetime
    used: list[int]
    void: list[tuple[int, int]]


async def changes(database: Database, event_id: int, since: datetime | None) -> Changes:
    """All that is used or void; with `since` (the `as_of` of before) what has become it since then."""
    newer = "" if since is None else "AND changed_at > %s "
    async with database.transaction(read_only=True) as transaction:
        as_of = await transaction.now()
        rows = await transaction.fetch(
            "SELECT id, status, version FROM tickets "
            f"WHERE event_id = %s AND changed_at IS NOT NULL {newer}ORDER BY id",
            event_id,
            *(() if since is None else (to_sql(since - OVERLAP),)),
        )
    used = [row[0] for row in rows if row[1] == TicketStatus.USED]
    void = [
        (row[0], row[2] if row[1] == TicketStatus.VOID else row[2] - 1)
        for row in rows
        if row[1] == TicketStatus.VOID or row[2] > 1
    ]
    return Changes(as_of, used, void)


@dataclass(frozen=True, slots=True)
class TypeCount:
    """Tickets of one type."""

    ticket_type_id: int
    issued: int
    used: int
    void: int


@dataclass(frozen=True, slots=True)
class GateCount:
    """What one gate has scanned: how often each ruling was given."""

    gate_id: int
    name: str
    rulings: dict[Ruling, int]


@dataclass(frozen=True, slots=True)
class Conflict:
    """Somebody was let in who should not have been, and by whom the ticket was admitted (None: by nobody)."""

    ticket_id: int
    ruling: Ruling
    gate_id: int
    gate_name: str
    at: datetime
    first: Admission | None


@dataclass(frozen=True, slots=True)
class Attendance:
    """Who is in."""

    types: list[TypeCount]
    gates: list[GateCount]
    conflicts: list[Conflict]


async def attendance(database: Database, event_id: int) -> Attendance:
    """An event's door in one snapshot."""
    async with database.transaction(read_only=True) as transaction:
        types = await transaction.fetch(
            "SELECT ticket_type_id, COUNT(*), SUM(status = 'USED'), SUM(status = 'VOID') FROM tickets "
            "WHERE event_id = %s GROUP BY ticket_type_id ORDER BY ticket_type_id",
            event_id,
        )
        gates = await transaction.fetch(
            "SELECT g.id, g.name, s.ruling, COUNT(s.ruling) FROM gates g "
            "LEFT JOIN scans s ON s.gate_id = g.id AND s.event_id = g.event_id "
            "WHERE g.event_id = %s GROUP BY g.id, g.name, s.ruling ORDER BY g.id",
            event_id,
        )
        conflicts = await transaction.fetch(*_conflicts(event_id))
    return Attendance(
        [TypeCount(row[0], row[1], int(row[2]), int(row[3])) for row in types],
        _gate_counts(gates),
        [_conflict(row) for row in conflicts],
    )


def _conflicts(event_id: int) -> tuple[str, object]:
    kinds = ", ".join(f"'{kind}'" for kind in sorted(CONFLICTS))
    return (
        "SELECT s.ticket_id, s.ruling, s.gate_id, g.name, s.scanned_at, f.id, f.gate_id, h.name, f.scanned_at "
        "FROM scans s JOIN gates g ON g.id = s.gate_id "
        "LEFT JOIN scans f ON f.admitted_ticket = s.ticket_id LEFT JOIN gates h ON h.id = f.gate_id "
        f"WHERE s.event_id = %s AND s.ruling IN ({kinds}) "
        f"ORDER BY s.received_at DESC, s.id LIMIT {CONFLICTS_SHOWN}",
        event_id,
    )


def _conflict(row: Row) -> Conflict:
    first = Admission(row[5], row[6], row[7], from_sql(row[8])) if row[5] is not None else None
    return Conflict(row[0], Ruling(row[1]), row[2], row[3], from_sql(row[4]), first)


def _gate_counts(rows: Iterable[Row]) -> list[GateCount]:
    found: dict[int, GateCount] = {}
    for gate_id, name, ruling, count in rows:
        gate = found.setdefault(gate_id, GateCount(gate_id, name, {}))
        if ruling is not None:
            gate.rulings[Ruling(ruling)] = count
    return list(found.values())
