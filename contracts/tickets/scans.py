"""What happens at the door: a scan, its ruling, the gate that asked.

In: what a gate sends, what admission decides. Out: the result of a scan as the HTTP contract shows it.
Must stay true: a ruling never changes; ADMITTED is said once for a ticket, ever.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from contracts.runtime.times import to_wire
from contracts.tickets.ticket import TicketRow, ticket_resource

SCANS_MAX = 500
"""Scans of one call, and of one transaction."""
GATE_NAME_MAX = 100


class Ruling(StrEnum):
    """What a scan ends in. The last two are for facts that a gate decided alone and told later."""

    ADMITTED = "ADMITTED"
    ALREADY_USED = "ALREADY_USED"
    VOID = "VOID"
    WRONG_EVENT = "WRONG_EVENT"
    UNKNOWN = "UNKNOWN"
    CONFLICT = "CONFLICT"
    VOID_ADMITTED = "VOID_ADMITTED"


CONFLICTS = frozenset({Ruling.CONFLICT, Ruling.VOID_ADMITTED})
"""Somebody was let in who should not have been: a person has to look at it."""


@dataclass(frozen=True, slots=True)
class GateRow:
    """A row of `gates`. Times are aware UTC."""

    id: int
    event_id: int
    name: str
    created_at: datetime
    last_seen_at: datetime | None
    revoked_at: datetime | None


@dataclass(frozen=True, slots=True)
class Admission:
    """The one scan that a ticket was admitted by."""

    scan_id: bytes
    gate_id: int
    gate_name: str
    at: datetime


@dataclass(frozen=True, slots=True)
class ScanResult:
    """A scan and its ruling. `ticket`: of this gate's event; `first`: who let it in, unless this scan did."""

    id: str
    ruling: Ruling
    ticket: TicketRow | None = None
    first: Admission | None = None

    def to_json(self) -> dict[str, Any]:
        """One of the `results` of the contract."""
        result: dict[str, Any] = {"id": self.id, "ruling": str(self.ruling)}
        if self.ticket is not None:
            result["ticket"] = ticket_resource(self.ticket)
        if self.first is not None:
            result["firstGate"] = {"id": self.first.gate_id, "name": self.first.gate_name}
            result["firstAt"] = to_wire(self.first.at)
        return result


def gate_resource(row: GateRow) -> dict[str, Any]:
    """The gate of the contract."""
    return {
        "id": row.id,
        "eventId": row.event_id,
        "name": row.name,
        "createdAt": to_wire(row.created_at),
        "lastSeenAt": to_wire(row.last_seen_at) if row.last_seen_at else None,
        "revokedAt": to_wire(row.revoked_at) if row.revoked_at else None,
    }
