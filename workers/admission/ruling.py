"""What a scan ends in. Pure: no I/O, no clock, no keys.

In: the claims of a code that one of our keys has signed (None: none has), the ticket as it stands (locked), who
admitted it. Out: a ruling each, decided in order on the state as it evolves; what has to be written for all of them.
Must stay true: the decision table, first match wins:

| the code | the ticket | a question ends in | a fact (offline) ends in |
|---|---|---|---|
| not ours | | UNKNOWN | UNKNOWN |
| of another event | | WRONG_EVENT | WRONG_EVENT |
| ours | there is none of that id, or it is another event's | UNKNOWN | UNKNOWN |
| of a lower version | any | VOID | VOID_ADMITTED |
| of this version | VOID | VOID | VOID_ADMITTED |
| of this version | USED | ALREADY_USED | CONFLICT |
| of this version | VALID | ADMITTED | ADMITTED |

The same scan again has the same ruling. A question and a fact of one id are two scans, but for one that was ADMITTED:
a gate that did not hear so and let the guest in all the same has let in nobody else.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from contracts.tickets.codes import TicketClaims
from contracts.tickets.scans import Admission, Ruling, ScanResult
from contracts.tickets.ticket import TicketRow, TicketStatus

_FACTS = {
    Ruling.VOID: Ruling.VOID_ADMITTED,
    Ruling.ALREADY_USED: Ruling.CONFLICT,
}
"""What the same state means for somebody who is in already."""

Key = tuple[int, bytes, bool]
"""(event, the device's id, whether it is a fact)."""


@dataclass(frozen=True, slots=True)
class Asking:
    """The gate that scanned."""

    gate_id: int
    gate_name: str
    event_id: int


@dataclass(frozen=True, slots=True)
class ScanAsked:
    """One scan. `text`: its id as the device wrote it; `at`: never later than now."""

    gate: Asking
    id: bytes
    text: str
    claims: TicketClaims | None
    at: datetime
    offline: bool

    @property
    def key(self) -> Key:
        """What makes it the same scan again."""
        return self.gate.event_id, self.id, self.offline


@dataclass(frozen=True, slots=True)
class Ruled:
    """A scan that was ruled on now."""

    asked: ScanAsked
    ruling: Ruling
    ticket_id: int | None


@dataclass(frozen=True, slots=True)
class Before:
    """A scan that was ruled on earlier."""

    ticket_id: int | None
    ruling: Ruling


class Door:
    """Rules on scans one after the other, and remembers what they changed."""

    def __init__(
        self,
        tickets: Mapping[int, TicketRow],
        admissions: Mapping[int, Admission],
        before: Mapping[Key, Before],
    ) -> None:
        self.tickets, self.admissions = dict(tickets), dict(admissions)
        self._before = dict(before)
        self.new: list[Ruled] = []
        self.used: dict[int, datetime] = {}
        """Tickets that were admitted now, and when."""

    def rule(self, asked: ScanAsked) -> ScanResult:
        """What this scan ends in, given all before it."""
        before = self._again(asked)
        if before is not None:
            return self._result(asked, before.ruling, before.ticket_id)
        ruling, ticket_id = self._judge(asked)
        if ruling is Ruling.ADMITTED and ticket_id is not None:
            self._admit(asked, ticket_id)
        self._before[asked.key] = Before(ticket_id, ruling)
        self.new.append(Ruled(asked, ruling, ticket_id))
        return self._result(asked, ruling, ticket_id)

    def _again(self, asked: ScanAsked) -> Before | None:
        event_id, scan_id, offline = asked.key
        other = self._before.get((event_id, scan_id, not offline))
        if other is not None and other.ruling is Ruling.ADMITTED:
            return other
        return self._before.get(asked.key)

    def _judge(self, asked: ScanAsked) -> tuple[Ruling, int | None]:
        claims = asked.claims
        if claims is None:
            return Ruling.UNKNOWN, None
        if claims.eid != asked.gate.event_id:
            return Ruling.WRONG_EVENT, claims.tid
        ticket = self.tickets.get(claims.tid)
        if ticket is None or ticket.event_id != claims.eid or claims.ver > ticket.version:
            return Ruling.UNKNOWN, None
        ruling = _question(ticket, claims)
        return (_FACTS.get(ruling, ruling) if asked.offline else ruling), ticket.id

    def _admit(self, asked: ScanAsked, ticket_id: int) -> None:
        gate = asked.gate
        self.used[ticket_id] = asked.at
        self.admissions[ticket_id] = Admission(asked.id, gate.gate_id, gate.gate_name, asked.at)
        self.tickets[ticket_id] = replace(
            self.tickets[ticket_id], status=str(TicketStatus.USED), used_at=asked.at
        )

    def _result(self, asked: ScanAsked, ruling: Ruling, ticket_id: int | None) -> ScanResult:
        known = ticket_id if ruling not in (Ruling.WRONG_EVENT, Ruling.UNKNOWN) else None
        ticket = self.tickets.get(known) if known is not None else None
        first = self.admissions.get(known) if known is not None else None
        mine = first is not None and first.scan_id == asked.id
        return ScanResult(asked.text, ruling, ticket, None if mine else first)


def _question(ticket: TicketRow, claims: TicketClaims) -> Ruling:
    if claims.ver < ticket.version or ticket.status == TicketStatus.VOID:
        return Ruling.VOID
    return Ruling.ALREADY_USED if ticket.status == TicketStatus.USED else Ruling.ADMITTED
