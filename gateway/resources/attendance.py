"""Who is in, and who has a ticket: an event's door as its organizer sees it.

In: an event's id, words to look for. Out: counts at most a second old; attendees as pages or as one CSV file.
Must stay true: no cell of the file begins as a formula does; the file is written as it is read, so that an event of any
size fits into memory.
"""

import csv
import io
from collections.abc import Sequence
from typing import Annotated, Any

import orjson
from aiohttp import web
from pydantic import Field

from contracts.models import Line
from contracts.resources import Count, IdNumber
from contracts.runtime.times import to_wire
from contracts.shapes import Answer, shows
from contracts.tickets.names import plain_cell
from contracts.tickets.scans import CONFLICTS, ConflictFacts, Ruling
from contracts.tickets.ticket import TicketRow, ticket_resource
from db.mysql.database import Database
from db.tickets import reads
from db.tickets.reads import Attendee, Conflict, GateCount
from gateway.caching.catalogue import CATALOGUE
from gateway.caching.short_lived import Fresh
from gateway.http.keys import DATABASE, path_id, principal, query
from gateway.http.models import PageQuery
from gateway.http.paging import Page, from_cursor, page
from gateway.http.replies import json_reply
from gateway.http.routing import ORGANIZER_OR_ADMIN, Ownership, Route, RouteAnswer

ATTENDANCE = web.AppKey("attendance", Fresh[int, dict[str, Any]])
FRESH_SECONDS = 0.8
COPIES_BYTES = 4 << 20
CSV = "text/csv"
CSV_ROWS = 500
WORDS_MAX = 100
COLUMNS = (
    "ticketId",
    "orderId",
    "ticketTypeId",
    "number",
    "holderId",
    "holderName",
    "holderEmail",
    "status",
    "issuedAt",
    "usedAt",
)


class AttendeesQuery(PageQuery):
    """`?q=&limit=&cursor=`; `q` is looked for in names and addresses."""

    q: Annotated[Line | None, Field(max_length=WORDS_MAX)] = None


@shows(TicketRow)
class AttendeeResource(Answer):
    """A ticket with its holder's address."""

    holder_email: str


class AttendeePage(Page):
    """A page of attendees by rising ticket id."""

    data: list[AttendeeResource]


class TypeAttendance(Answer):
    """Tickets of one type."""

    ticket_type_id: IdNumber
    issued: Count
    used: Count
    void: Count


class GateAttendance(Answer):
    """One gate's scans."""

    gate_id: IdNumber
    name: str
    admitted: Count
    refused: Count
    conflicts: Count


class ConflictEntry(ConflictFacts):
    """A conflict, to be looked at."""

    ticket_id: IdNumber


class AttendanceResource(Answer):
    """Who is in. `recentConflicts`: the last fifty."""

    issued: Count
    used: Count
    void: Count
    by_type: list[TypeAttendance]
    by_gate: list[GateAttendance]
    conflicts: Count
    recent_conflicts: list[ConflictEntry]


def fresh_attendance() -> Fresh[int, dict[str, Any]]:
    """One process's copies."""
    return Fresh(FRESH_SECONDS, COPIES_BYTES, lambda shown: len(orjson.dumps(shown)))


async def show_attendance(request: web.Request) -> web.Response:
    """GET /api/events/{eventId}/attendance."""
    app, event_id = request.app, path_id(request, "eventId")
    await app[CATALOGUE].managed_event(event_id, principal(request))
    shown = await app[ATTENDANCE].get(event_id, lambda: _attendance(app[DATABASE], event_id))
    return json_reply(shown)


async def _attendance(database: Database, event_id: int) -> dict[str, Any]:
    found = await reads.attendance(database, event_id)
    return {
        "issued": sum(one.issued for one in found.types),
        "used": sum(one.used for one in found.types),
        "void": sum(one.void for one in found.types),
        "byType": [
            {
                "ticketTypeId": one.ticket_type_id,
                "issued": one.issued,
                "used": one.used,
                "void": one.void,
            }
            for one in found.types
        ],
        "byGate": [_gate(one) for one in found.gates],
        "conflicts": sum(_conflicts(one) for one in found.gates),
        "recentConflicts": [_conflict(one) for one in found.conflicts],
    }


def _conflicts(gate: GateCount) -> int:
    return sum(count for ruling, count in gate.rulings.items() if ruling in CONFLICTS)


def _gate(gate: GateCount) -> dict[str, Any]:
    admitted, conflicts = gate.rulings.get(Ruling.ADMITTED, 0), _conflicts(gate)
    return {
        "gateId": gate.gate_id,
        "name": gate.name,
        "admitted": admitted,
        "refused": sum(gate.rulings.values()) - admitted - conflicts,
        "conflicts": conflicts,
    }


def _conflict(one: Conflict) -> dict[str, Any]:
    first = one.first
    return {
        "ticketId": one.ticket_id,
        "ruling": str(one.ruling),
        "gate": {"id": one.gate_id, "name": one.gate_name},
        "scannedAt": to_wire(one.at),
        "firstGate": {"id": first.gate_id, "name": first.gate_name} if first else None,
        "firstAt": to_wire(first.at) if first else None,
    }


async def list_attendees(request: web.Request) -> web.StreamResponse:
    """GET /api/events/{eventId}/attendees."""
    event_id, wanted = path_id(request, "eventId"), query(request, AttendeesQuery)
    await request.app[CATALOGUE].managed_event(event_id, principal(request))
    if CSV in request.headers.get("Accept", ""):
        return await _file(request, event_id, wanted.q)
    after = int(from_cursor(wanted.cursor, int)[0]) if wanted.cursor else 0
    rows = await reads.attendees(request.app[DATABASE], event_id, wanted.q, after, wanted.limit + 1)
    return json_reply(page(rows, wanted.limit, lambda one: (one.row.id,), _shown))


def _shown(one: Attendee) -> dict[str, Any]:
    return ticket_resource(one.row) | {"holderEmail": one.email}


async def _file(request: web.Request, event_id: int, words: str | None) -> web.StreamResponse:
    database = request.app[DATABASE]
    # Asked for before the first byte: what goes wrong here is still a problem document.
    rows = await reads.attendees(database, event_id, words, 0, CSV_ROWS)
    response = web.StreamResponse(
        headers={
            "Content-Type": f"{CSV}; charset=utf-8",
            "Content-Disposition": f'attachment; filename="attendees-{event_id}.csv"',
        }
    )
    await response.prepare(request)
    if request.method == "HEAD":
        return response
    await response.write(_lines([COLUMNS]))
    while rows:
        await response.write(_lines([_cells(one) for one in rows]))
        if len(rows) < CSV_ROWS:
            break
        rows = await reads.attendees(database, event_id, words, rows[-1].row.id, CSV_ROWS)
    return response


def _cells(one: Attendee) -> list[object]:
    row = one.row
    return [
        row.id,
        row.order_id,
        row.ticket_type_id,
        row.number,
        row.holder_id,
        plain_cell(row.holder_name or ""),
        plain_cell(one.email),
        row.status,
        to_wire(row.issued_at),
        to_wire(row.used_at) if row.used_at else "",
    ]


def _lines(rows: Sequence[Sequence[object]]) -> bytes:
    """RFC 4180."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\r\n").writerows(rows)
    return text.getvalue().encode()


ROUTES = (
    Route(
        method="GET",
        path="/api/events/{eventId}/attendance",
        operation_id="showAttendance",
        summary="Who is in",
        handler=show_attendance,
        access=ORGANIZER_OR_ADMIN,
        ownership=Ownership.EVENT_ORGANIZER_OR_ADMIN,
        answers={200: RouteAnswer(AttendanceResource, "Counts, at most 1 s old.")},
        tag="Door",
    ),
    Route(
        method="GET",
        path="/api/events/{eventId}/attendees",
        operation_id="listAttendees",
        summary="Who has a ticket",
        handler=list_attendees,
        access=ORGANIZER_OR_ADMIN,
        ownership=Ownership.EVENT_ORGANIZER_OR_ADMIN,
        answers={
            200: RouteAnswer(
                AttendeePage, "A page by rising ticket id; with `Accept: text/csv` all as one file."
            )
        },
        tag="Door",
        query=AttendeesQuery,
    ),
)
