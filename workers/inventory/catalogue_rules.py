"""What may become of an event or a ticket type: new ones, merge patches, preconditions, who may do it.

In: rows as they stand and what the caller asked for. Out: the row as it shall be, or the `Problem` that says why not.
Each member alone is checked by the command's own model (`contracts.catalogue`).
Must stay true: start before end; tickets are on sale before the event's end; one currency per event, with no more
decimals than it has; quota never below what orders hold or bought (quota - available, tickets still to come back
included), nor is an event with such tickets hidden or moved into the past; an unchanged row comes back as it was, so
that nothing is written for it. What was right when it was said stays: a patch is judged by what it changes. No I/O, no
clock.

Sources: merge patch: RFC 7396 (null removes a member: it gets its default, or is refused where there is none).
If-Match: RFC 9110 section 13.1.1; only the version part of our tags counts, of weak ones too, because the part
behind the dot moves with every ticket sold.
"""

import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from contracts.catalogue import (
    TYPES_MAX,
    EventMembers,
    EventPatch,
    Members,
    TicketTypeMembers,
    TicketTypePatch,
)
from contracts.commands import CreateEvent, CreateTicketType
from contracts.models import Principal
from contracts.problems import Code, Problem
from contracts.resources import EventRow, TicketTypeRow
from contracts.shapes import from_json
from contracts.standards.currencies import currency_fault, price_fault

MANAGERS = ("ORGANIZER", "ADMIN")
CANCELLED, DRAFT = "CANCELLED", "DRAFT"

_TAG = re.compile(r'\s*(?:W/)?"(?P<tag>[\x21\x23-\x7e\x80-\xff]*)"\s*(?:,|\Z)')
_VERSION = re.compile(r"v(?P<version>\d{1,19})(?:\.\d{1,19})?", re.ASCII)


@dataclass(frozen=True, slots=True)
class TypeSurroundings:
    """What a ticket type must fit: its event's end and visible types, and the currencies that new prices are in."""

    event_end: datetime
    siblings: Sequence[TicketTypeRow]
    currencies: Collection[str]


def may_manage(principal: Principal, event: EventRow | None) -> Problem | None:
    """Why the caller may not change this event (None: there is none), or nothing: 403 before 404, as api.md says."""
    if not principal.has(MANAGERS):
        return Problem(Code.FORBIDDEN, "Only organizers and admins change events.")
    if event is None:
        return Problem(Code.NOT_FOUND, "There is no such event.")
    if not principal.has(("ADMIN",)) and event.organizer_id != principal.user_id:
        return Problem(Code.NOT_FOUND, "There is no such event.")
    return None


def precondition(if_match: str | None, version: int) -> Problem | None:
    """Why an If-Match header forbids to go on: VERSION_CONFLICT, or INVALID when it is malformed."""
    if if_match is None or if_match.strip() == "*":
        return None
    tags, position = [], 0
    while position < len(if_match):
        found = _TAG.match(if_match, position)
        if found is None:
            return Problem(Code.INVALID, "If-Match is no list of entity tags.")
        tags.append(found["tag"])
        position = found.end()
    if not tags:
        return Problem(Code.INVALID, "If-Match is empty.")
    versions = {int(found["version"]) for tag in tags if (found := _VERSION.fullmatch(tag))}
    if version in versions:
        return None
    return Problem(Code.VERSION_CONFLICT, f"It is at version {version} now; read it again.")


def still_open(event: EventRow) -> Problem | None:
    """A cancelled event is final: neither it nor its ticket types change any more."""
    if event.status != CANCELLED:
        return None
    return Problem(Code.SALES_CLOSED, "The event is cancelled and stays as it is.")


def new_event(command: CreateEvent, now: datetime) -> EventRow | Problem:
    """The event to be stored (id 0 until then)."""
    row = EventRow(
        id=0,
        organizer_id=command.principal.user_id,
        **from_json(EventRow, _said(command, EventMembers)),
        version=1,
        created_at=now,
        updated_at=now,
        concealed=command.status == DRAFT,
    )
    return _event_fault(row) or row


def patched_event(
    row: EventRow, patch: EventPatch, types: Sequence[TicketTypeRow], now: datetime
) -> EventRow | Problem:
    """The event after a merge patch; the same row when that changes nothing. `types`: its visible ones."""
    after = replace(row, **from_json(EventRow, patch.values(EventMembers)))
    after = replace(after, concealed=after.status == DRAFT)
    if after == row:
        return row
    refusal = (
        _event_fault(after) or _sales_outlast(row, after, types) or _sold(row, after, types, now)
    )
    return refusal or replace(after, updated_at=now)


def _sales_outlast(
    before: EventRow, after: EventRow, types: Iterable[TicketTypeRow]
) -> Problem | None:
    """Why the event may not end so soon: tickets would be on sale after it."""
    for one in types:
        if _window_fault(one, after.end_time) and not _window_fault(one, before.end_time):
            return _invalid("/endTime", f"lies within the sale of ticket type {one.id}")
    return None


def _sold(
    before: EventRow, after: EventRow, types: Iterable[TicketTypeRow], now: datetime
) -> Problem | None:
    """Why an event whose tickets are held or sold may not become this one."""
    taken = sum(one.quota - one.available for one in types)
    if not taken:
        return None
    if after.status != before.status:
        return Problem(Code.EVENT_HAS_SALES, f"{taken} tickets are held or sold: it stays public.")
    for pointer, old, new in (
        ("/startTime", before.start_time, after.start_time),
        ("/endTime", before.end_time, after.end_time),
    ):
        if new != old and new <= now:
            return _invalid(pointer, "is in the past, and tickets are held or sold")
    return None


def new_ticket_type(
    command: CreateTicketType, around: TypeSurroundings, now: datetime
) -> TicketTypeRow | Problem:
    """The ticket type to be stored (id 0 until then), all of its quota available."""
    if len(around.siblings) >= TYPES_MAX:
        return Problem(Code.INVALID, f"An event has at most {TYPES_MAX} ticket types.")
    row = TicketTypeRow(
        id=0,
        event_id=command.event_id,
        **from_json(TicketTypeRow, _said(command, TicketTypeMembers)),
        available=command.quota,
        version=1,
        created_at=now,
        updated_at=now,
    )
    return _type_fault(None, row, around) or row


def patched_ticket_type(
    row: TicketTypeRow,
    patch: TicketTypePatch,
    around: TypeSurroundings,
    now: datetime,
) -> TicketTypeRow | Problem:
    """The type after a merge patch, `available` moved along with `quota`; the same row when nothing changes."""
    after = replace(row, **from_json(TicketTypeRow, patch.values(TicketTypeMembers)))
    after = replace(after, available=row.available + after.quota - row.quota)
    if after == row:
        return row
    taken = row.quota - row.available
    if after.available < 0:
        return Problem(
            Code.EVENT_HAS_SALES, f"{taken} tickets are held or sold: quota stays above."
        )
    if after.currency != row.currency and taken:
        return Problem(Code.EVENT_HAS_SALES, f"{taken} tickets are held or sold in {row.currency}.")
    return _type_fault(row, after, around) or replace(after, updated_at=now)


def removable(row: TicketTypeRow) -> Problem | None:
    """Why a type may not be deleted: orders hold or bought some of it, or its tickets are still to come back."""
    taken = row.quota - row.available
    if not taken:
        return None
    return Problem(Code.EVENT_HAS_SALES, f"{taken} tickets of it are held or sold.")


def _event_fault(row: EventRow) -> Problem | None:
    if row.start_time < row.end_time:
        return None
    return _invalid("/endTime", "is not after startTime")


def _type_fault(
    before: TicketTypeRow | None, row: TicketTypeRow, around: TypeSurroundings
) -> Problem | None:
    """What is wrong with a type, new (`before` None) or changed."""
    others = {one.currency for one in around.siblings if one.id != row.id}
    if others - {row.currency}:
        return _invalid("/currency", f"is not {min(others)}, as the event's other types are")
    if before is None or before.currency != row.currency:
        fault = currency_fault(row.currency, around.currencies)
        if fault:
            return _invalid("/currency", fault)
    if before is None or (before.currency, before.price) != (row.currency, row.price):
        fault = price_fault(row.price, row.currency)
        if fault:
            return _invalid("/price", fault)
    if row.sales_start and row.sales_end and row.sales_start >= row.sales_end:
        return _invalid("/salesEnd", "is not after salesStart")
    if before and (before.sales_start, before.sales_end) == (row.sales_start, row.sales_end):
        return None
    return _window_fault(row, around.event_end)


def _window_fault(row: TicketTypeRow, event_end: datetime) -> Problem | None:
    if row.sales_start is not None and row.sales_start >= event_end:
        return _invalid("/salesStart", "is not before the event's end")
    if row.sales_end is not None and row.sales_end > event_end:
        return _invalid("/salesEnd", "is after the event's end")
    return None


def _said(command: Members, members: type[Members]) -> dict[str, Any]:
    """What a command says of a new one, by field name."""
    return {name: getattr(command, name) for name in members.model_fields}


def _invalid(pointer: str, reason: str) -> Problem:
    return Problem(Code.INVALID, f"{pointer.lstrip('/')} {reason}.", errors=((pointer, reason),))
