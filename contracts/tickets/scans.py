"""What happens at the door: a scan, its ruling, the gate that asked.

In: what a gate sends, what admission decides. Out: the result of a scan as the HTTP contract shows it.
Must stay true: a ruling never changes; ADMITTED is said once for a ticket, ever.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints

from contracts.resources import IdNumber, Moment, MomentJson
from contracts.runtime.times import to_wire
from contracts.shapes import Answer, json_writer, shows
from contracts.tickets.ticket import TicketResource, TicketRow, ticket_resource

SCANS_MAX = 500
"""Scans of one call, and of one transaction."""
DeviceId = Annotated[
    str,
    StringConstraints(
        pattern=r"^[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}$"
    ),
    Field(json_schema_extra={"format": "uuid"}, examples=["0b8e0f5c-6a30-4f0f-9a55-0d2a4d3b6f10"]),
]
"""A scan's id: a UUID that the device made."""


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
    """A row of `gates`."""

    id: IdNumber
    event_id: IdNumber
    name: str
    created_at: Moment
    last_seen_at: Moment | None
    revoked_at: Moment | None


@shows(GateRow)
class GateResource(Answer):
    """A device at the door of an event."""


gate_resource = json_writer(GateRow)


class GateName(Answer):
    """A gate as others see it."""

    id: IdNumber
    name: str


class ConflictFacts(Answer):
    """Both entries of a conflict; `firstGate` null: the ticket was admitted by nobody."""

    ruling: Literal["CONFLICT", "VOID_ADMITTED"]
    gate: GateName
    scanned_at: MomentJson
    first_gate: GateName | None
    first_at: MomentJson | None


class TicketConflictResource(TicketResource):
    """A ticket with which somebody was let in who should not have been."""

    conflict: ConflictFacts


class ScanResultResource(Answer):
    """What a scan ended in. `firstGate`, `firstAt`: who admitted the ticket, unless this scan did."""

    id: str
    ruling: Literal[
        "ADMITTED", "ALREADY_USED", "VOID", "WRONG_EVENT", "UNKNOWN", "CONFLICT", "VOID_ADMITTED"
    ]
    ticket: TicketResource | None = None
    first_gate: GateName | None = None
    first_at: MomentJson | None = None


class ScanResults(Answer):
    """One result for each scan, in their order."""

    results: list[ScanResultResource]


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
