"""What may become of an event or a ticket type: checks of new ones, merge patches, preconditions, who may do it.

In: rows as they stand and what the caller asked for. Out: the row as it shall be, or the `Problem` that says why not.
Must stay true: start before end; one currency per event; price at least 0.01; quota never below what orders hold or
bought (quota - available, tickets still to come back included); an unchanged row comes back as it was, so that nothing
is written for it. No I/O, no clock.

Sources: merge patch: RFC 7396 (null removes a member: it gets its default, or is refused where there is none).
If-Match: RFC 9110 section 13.1.1; only the version part of our tags counts, of weak ones too, because the part
behind the dot moves with every ticket sold.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

from contracts.commands import CreateEvent, CreateTicketType
from contracts.models import Principal
from contracts.problems import Code, Problem
from contracts.resources import EventRow, TicketTypeRow
from contracts.runtime.times import from_wire

MANAGERS = ("ORGANIZER", "ADMIN")
NAME_MAX = 200
DESCRIPTION_MAX = 10_000
PRICE_MIN, PRICE_MAX = Decimal("0.01"), Decimal("999999999.99")
QUOTA_MAX = 10_000_000
PER_ORDER_MAX = 1_000_000
PER_ORDER_DEFAULT = 10
CURRENCY_DEFAULT = "USD"
TYPES_MAX = 200
"""Ticket types of one event: EventChanged and EventCancelled carry them all and must fit a message (512 KiB)."""
YEAR_MIN = 1970

_AMOUNT = re.compile(r"(0|[1-9]\d{0,15})(\.\d{1,2})?", re.ASCII)
_CURRENCY = re.compile(r"[A-Z]{3}", re.ASCII)
_TAG = re.compile(r'\s*(?:W/)?"(?P<tag>[\x21\x23-\x7e\x80-\xff]*)"\s*(?:,|\Z)')
_VERSION = re.compile(r"v(?P<version>\d{1,19})(?:\.\d{1,19})?", re.ASCII)
_REQUIRED: Final = object()


@dataclass(frozen=True, slots=True)
class Member:
    """A JSON member: the row's attribute, how its value is read (ValueError: why not), what null stands for."""

    attribute: str
    read: Callable[[object], Any]
    null: Any = _REQUIRED


def _text(least: int, most: int) -> Callable[[object], str]:
    def read(value: object) -> str:
        if not isinstance(value, str) or not least <= len(value) <= most:
            raise ValueError(f"is not a text of {least} to {most} characters")
        if least and not value.strip():
            raise ValueError("is blank")
        return value

    return read


def _moment(value: object) -> datetime:
    try:
        if not isinstance(value, str):
            raise ValueError
        moment = from_wire(value)
    except (ValueError, OverflowError):
        raise ValueError("is no RFC 3339 time with an offset") from None
    if moment.year < YEAR_MIN:
        raise ValueError(f"is before {YEAR_MIN}")
    return moment


def _price(value: object) -> Decimal:
    if not isinstance(value, str) or not _AMOUNT.fullmatch(value):
        raise ValueError("is no decimal text with at most two decimals")
    price = Decimal(value)
    if not PRICE_MIN <= price <= PRICE_MAX:
        raise ValueError(f"is not between {PRICE_MIN} and {PRICE_MAX}")
    return price


def _currency(value: object) -> str:
    if not isinstance(value, str) or not _CURRENCY.fullmatch(value):
        raise ValueError("is no currency code of three capital letters")
    return value


def _count(least: int, most: int) -> Callable[[object], int]:
    def read(value: object) -> int:
        if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
            raise ValueError(f"is not a whole number from {least} to {most}")
        return value

    return read


EVENT_MEMBERS: Mapping[str, Member] = {
    "name": Member("name", _text(1, NAME_MAX)),
    "description": Member("description", _text(0, DESCRIPTION_MAX), None),
    "venue": Member("venue", _text(0, NAME_MAX), None),
    "startTime": Member("start_time", _moment),
    "endTime": Member("end_time", _moment),
}
TICKET_TYPE_MEMBERS: Mapping[str, Member] = {
    "name": Member("name", _text(1, NAME_MAX)),
    "price": Member("price", _price),
    "currency": Member("currency", _currency, CURRENCY_DEFAULT),
    "quota": Member("quota", _count(0, QUOTA_MAX)),
    "maxPerOrder": Member("max_per_order", _count(1, PER_ORDER_MAX), PER_ORDER_DEFAULT),
    "salesStart": Member("sales_start", _moment, None),
    "salesEnd": Member("sales_end", _moment, None),
}


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
    if event.status == "PUBLISHED":
        return None
    return Problem(Code.SALES_CLOSED, "The event is cancelled and stays as it is.")


def new_event(command: CreateEvent, now: datetime) -> EventRow | Problem:
    """The event to be stored (id 0 until then)."""
    values = _read(EVENT_MEMBERS, _sent(command.to_json(), EVENT_MEMBERS))
    if isinstance(values, Problem):
        return values
    row = EventRow(
        id=0,
        organizer_id=command.principal.user_id,
        **values,
        status="PUBLISHED",
        version=1,
        created_at=now,
        updated_at=now,
    )
    return _event_fault(row) or row


def patched_event(row: EventRow, patch: Mapping[str, object], now: datetime) -> EventRow | Problem:
    """The event after a merge patch; the same row when that changes nothing."""
    values = _read(EVENT_MEMBERS, patch)
    if isinstance(values, Problem):
        return values
    after = replace(row, **values)
    if after == row:
        return row
    return _event_fault(after) or replace(after, updated_at=now)


def new_ticket_type(
    command: CreateTicketType, siblings: Iterable[TicketTypeRow], now: datetime
) -> TicketTypeRow | Problem:
    """The ticket type to be stored (id 0 until then), all of its quota available. `siblings`: those already there."""
    siblings = list(siblings)
    if len(siblings) >= TYPES_MAX:
        return Problem(Code.INVALID, f"An event has at most {TYPES_MAX} ticket types.")
    values = _read(TICKET_TYPE_MEMBERS, _sent(command.to_json(), TICKET_TYPE_MEMBERS))
    if isinstance(values, Problem):
        return values
    if values["quota"] < 1:
        return _invalid([("/quota", "is not at least 1")])
    row = TicketTypeRow(
        id=0,
        event_id=command.event_id,
        **values,
        available=values["quota"],
        version=1,
        created_at=now,
        updated_at=now,
    )
    return _type_fault(row, siblings) or row


def patched_ticket_type(
    row: TicketTypeRow,
    patch: Mapping[str, object],
    siblings: Iterable[TicketTypeRow],
    now: datetime,
) -> TicketTypeRow | Problem:
    """The type after a merge patch, `available` moved along with `quota`; the same row when nothing changes."""
    values = _read(TICKET_TYPE_MEMBERS, patch)
    if isinstance(values, Problem):
        return values
    after = replace(row, **values)
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
    return _type_fault(after, siblings) or replace(after, updated_at=now)


def removable(row: TicketTypeRow) -> Problem | None:
    """Why a type may not be deleted: orders hold or bought some of it, or its tickets are still to come back."""
    taken = row.quota - row.available
    if not taken:
        return None
    return Problem(Code.EVENT_HAS_SALES, f"{taken} tickets of it are held or sold.")


def _event_fault(row: EventRow) -> Problem | None:
    if row.start_time < row.end_time:
        return None
    return _invalid([("/endTime", "is not after startTime")])


def _type_fault(row: TicketTypeRow, siblings: Iterable[TicketTypeRow]) -> Problem | None:
    others = {one.currency for one in siblings if one.id != row.id}
    if others - {row.currency}:
        return _invalid([("/currency", f"is not {min(others)}, as the event's other types are")])
    if row.sales_start and row.sales_end and row.sales_start >= row.sales_end:
        return _invalid([("/salesEnd", "is not after salesStart")])
    return None


def _sent(body: Mapping[str, object], members: Mapping[str, Member]) -> dict[str, object]:
    return {name: body[name] for name in members}


def _read(members: Mapping[str, Member], sent: Mapping[str, object]) -> dict[str, Any] | Problem:
    """Attribute values of the members that were sent, or INVALID naming every member that is wrong."""
    values: dict[str, Any] = {}
    errors: list[tuple[str, str]] = []
    for name, value in sent.items():
        member = members.get(name)
        if member is None:
            errors.append((f"/{_escaped(name)}", "is not known here"))
        elif value is None and member.null is _REQUIRED:
            errors.append((f"/{name}", "cannot be removed"))
        else:
            try:
                values[member.attribute] = member.null if value is None else member.read(value)
            except ValueError as error:
                errors.append((f"/{name}", str(error)))
    return _invalid(errors) if errors else values


def _escaped(name: str) -> str:
    """A member name inside a JSON pointer (RFC 6901), cut to a sane length."""
    return name[:64].replace("~", "~0").replace("/", "~1")


def _invalid(errors: list[tuple[str, str]]) -> Problem:
    pointer, reason = errors[0]
    return Problem(Code.INVALID, f"{pointer.lstrip('/')} {reason}.", errors=tuple(errors))
