"""Models of tickets and of the door as the gateway shows them, for OpenAPI and its tests."""

from typing import Annotated, Literal

from pydantic import Field

from gateway.http.responses import IdNumber, Moment, ResponseModel

RulingName = Literal[
    "ADMITTED", "ALREADY_USED", "VOID", "WRONG_EVENT", "UNKNOWN", "CONFLICT", "VOID_ADMITTED"
]
Count = Annotated[int, Field(ge=0)]


class TicketResource(ResponseModel):
    """One place, held by somebody. `number` counts the places of its line in the order."""

    id: IdNumber
    order_id: IdNumber
    event_id: IdNumber
    ticket_type_id: IdNumber
    number: IdNumber
    holder_id: IdNumber
    holder_name: str | None
    status: Literal["VALID", "USED", "VOID"]
    version: IdNumber
    issued_at: Moment
    used_at: Moment | None


class Ticket(TicketResource):
    """A ticket as a reader sees it. `code`: null for all but its holder and admins, and of a void ticket."""

    code: str | None


class TicketPage(ResponseModel):
    """A page of tickets."""

    data: list[Ticket]
    next_cursor: str | None
    has_more: bool


class Attendee(TicketResource):
    """A ticket with its holder's address."""

    holder_email: str


class AttendeePage(ResponseModel):
    """A page of attendees by rising ticket id."""

    data: list[Attendee]
    next_cursor: str | None
    has_more: bool


class TicketsIssuedResource(ResponseModel):
    """Which tickets an order got."""

    order_id: IdNumber
    event_id: IdNumber
    user_id: IdNumber
    ticket_ids: list[IdNumber]


class GateName(ResponseModel):
    """A gate as others see it."""

    id: IdNumber
    name: str


class ConflictFacts(ResponseModel):
    """Both entries of a conflict; `firstGate` null: the ticket was admitted by nobody."""

    ruling: Literal["CONFLICT", "VOID_ADMITTED"]
    gate: GateName
    scanned_at: Moment
    first_gate: GateName | None
    first_at: Moment | None


class TicketConflictResource(TicketResource):
    """A ticket with which somebody was let in who should not have been."""

    conflict: ConflictFacts


class Gate(ResponseModel):
    """A device at the door of an event."""

    id: IdNumber
    event_id: IdNumber
    name: str
    created_at: Moment
    last_seen_at: Moment | None
    revoked_at: Moment | None


class CreatedGate(Gate):
    """A new gate. `token` is shown here and never again."""

    token: Annotated[str, Field(pattern=r"^ehg_", examples=["ehg_AAAAAAAAABGq2uYzqfQ"])]


class GatePage(ResponseModel):
    """A page of gates by rising id."""

    data: list[Gate]
    next_cursor: str | None
    has_more: bool


class ScanResultResource(ResponseModel):
    """What a scan ended in. `firstGate`, `firstAt`: who admitted the ticket, unless this scan did."""

    id: str
    ruling: RulingName
    ticket: TicketResource | None = None
    first_gate: GateName | None = None
    first_at: Moment | None = None


class ScanResults(ResponseModel):
    """One result for each scan, in their order."""

    results: list[ScanResultResource]


class Jwk(ResponseModel):
    """A public key (RFC 7517, RFC 8037)."""

    kty: Literal["OKP"]
    crv: Literal["Ed25519"]
    x: str
    kid: str
    alg: Literal["EdDSA"]
    use: Literal["sig"]


class JwkSet(ResponseModel):
    """The public keys that verify."""

    keys: list[Jwk]


class BundleEvent(ResponseModel):
    """The event at whose door the gate stands."""

    id: IdNumber
    name: str
    venue: str | None
    start_time: Moment
    end_time: Moment
    status: str


class BundleType(ResponseModel):
    """A ticket type, to be shown."""

    id: IdNumber
    name: str


class Bundle(ResponseModel):
    """What a device needs to decide without a network.

    `void`: pairs of a ticket and the highest version whose codes are void. `signature`: a detached JWS over the
    RFC 8785 form of all other members.
    """

    event: BundleEvent
    ticket_types: list[BundleType]
    keys: list[Jwk]
    as_of: str
    used: list[IdNumber]
    void: list[Annotated[list[Count], Field(min_length=2, max_length=2)]]
    signature: str


class TypeAttendance(ResponseModel):
    """Tickets of one type."""

    ticket_type_id: IdNumber
    issued: Count
    used: Count
    void: Count


class GateAttendance(ResponseModel):
    """One gate's scans, by ruling."""

    gate_id: IdNumber
    name: str
    admitted: Count
    refused: Count
    conflicts: Count


class ConflictEntry(ResponseModel):
    """A conflict, to be looked at."""

    ticket_id: IdNumber
    ruling: Literal["CONFLICT", "VOID_ADMITTED"]
    gate: GateName
    scanned_at: Moment
    first_gate: GateName | None
    first_at: Moment | None


class Attendance(ResponseModel):
    """Who is in. `recentConflicts`: the last fifty."""

    issued: Count
    used: Count
    void: Count
    by_type: list[TypeAttendance]
    by_gate: list[GateAttendance]
    conflicts: Count
    recent_conflicts: list[ConflictEntry]
