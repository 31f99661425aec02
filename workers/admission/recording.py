"""RecordScans: what gates have scanned is ruled on and kept.

In: commands in the order they came, at most 500 scans together. Out: a decision each; TicketAdmitted, TicketConflict.
Must stay true: the tickets of all scans are locked first, ids ascending, and only then is anything read; scans, tickets
and events are written in this one transaction; a revoked gate's scans are refused whole.
"""

import uuid
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from contracts.commands import RecordScans
from contracts.events import TicketAdmitted, TicketConflict
from contracts.problems import Code, Problem
from contracts.runtime.times import from_wire, to_wire
from contracts.tickets.codes import TicketClaims, TicketKeys
from contracts.tickets.scans import CONFLICTS, Admission, Ruling
from contracts.tickets.ticket import ticket_resource
from db.messages.outbox import NewEvent
from db.tickets import gates, scans, tickets
from db.tickets.keyring import Keyring
from db.tickets.scans import NewScan
from db.tickets.tickets import TicketOwners
from workers.admission.metrics import RULINGS
from workers.admission.ruling import Asking, Before, Door, Ruled, ScanAsked
from workers.runtime.handlers import Context, Decision, Received, rejected, succeeded

_REVOKED = rejected(Problem(Code.FORBIDDEN, "This gate was revoked."))

Commands = Sequence[Received[RecordScans]]


@dataclass(frozen=True, slots=True)
class _Opened:
    """A command's scans, their codes read. Empty `asked`: the gate was revoked."""

    command: Received[RecordScans]
    asked: list[ScanAsked]


@dataclass(frozen=True, slots=True)
class _Scene:
    """What the batch found and locked."""

    door: Door
    opened: list[_Opened]
    owners: Mapping[int, TicketOwners]


def recorder(keyring: Keyring) -> Callable[[Context, Commands], Awaitable[list[Decision]]]:
    """The handler of RecordScans with these keys."""

    async def record_scans(context: Context, commands: Commands) -> list[Decision]:
        keys = await keyring.keys_for(scan.code for one in commands for scan in one.message.scans)
        scene = await _look(context, commands, _claims(keys, commands))
        decisions = [_decide(one, scene, context.now) for one in scene.opened]
        _write(context, scene.door)
        for ruled in scene.door.new:
            RULINGS.labels(str(ruled.ruling)).inc()
        return decisions

    return record_scans


def _claims(keys: TicketKeys, commands: Commands) -> dict[str, TicketClaims | None]:
    """Each code's claims: a code that is scanned twice is verified once."""
    codes = {scan.code for one in commands for scan in one.message.scans}
    return {code: keys.verify(code) for code in codes}


async def _look(
    context: Context, commands: Commands, claims: Mapping[str, TicketClaims | None]
) -> _Scene:
    """Lock the tickets, then read: one round trip for all of it."""
    transaction = context.transaction
    wanted = {
        found.tid
        for one in commands
        for scan in one.message.scans
        if (found := claims[scan.code]) and found.eid == one.message.principal.event_id
    }
    keys = {
        (one.message.principal.event_id, uuid.UUID(scan.id).bytes)
        for one in commands
        for scan in one.message.scans
    }
    if wanted:
        # In this order: what is read behind the locks sees all that was committed under them.
        transaction.read_ahead(
            tickets.lock_query(wanted),
            tickets.owners_query(wanted),
            scans.admissions_query(wanted),
            *scans.stored_queries(keys),
        )
    working = await gates.working(transaction, (one.message.principal.gate_id for one in commands))
    locked = await tickets.lock(transaction, wanted)
    owners = await tickets.owners(transaction, wanted)
    admissions = await scans.admissions(transaction, wanted)
    before = {
        key: Before(one.ticket_id, one.ruling)
        for key, one in (await scans.stored(transaction, keys)).items()
    }
    opened = [_open(one, working, claims, context.now) for one in commands]
    return _Scene(Door(locked, admissions, before), opened, owners)


def _open(
    one: Received[RecordScans],
    working: Mapping[int, tuple[int, str]],
    claims: Mapping[str, TicketClaims | None],
    now: datetime,
) -> _Opened:
    gate = one.message.principal
    event_id, name = working.get(gate.gate_id, (0, ""))
    if event_id != gate.event_id:
        return _Opened(one, [])
    asking = Asking(gate.gate_id, name, event_id)
    return _Opened(
        one,
        [
            ScanAsked(
                gate=asking,
                id=uuid.UUID(scan.id).bytes,
                text=scan.id,
                claims=claims[scan.code],
                at=min(from_wire(scan.scanned_at), now),
                offline=scan.offline,
            )
            for scan in one.message.scans
        ],
    )


def _decide(opened: _Opened, scene: _Scene, now: datetime) -> Decision:
    if not opened.asked:
        return _REVOKED
    door, so_far = scene.door, len(scene.door.new)
    results = [door.rule(asked).to_json() for asked in opened.asked]
    events = [
        event
        for ruled in door.new[so_far:]
        if (event := _event(ruled, door, scene.owners)) is not None
    ]
    return succeeded(200, {"results": results}, events=events)


def _event(ruled: Ruled, door: Door, owners: Mapping[int, TicketOwners]) -> NewEvent | None:
    told = ruled.ruling is Ruling.ADMITTED or ruled.ruling in CONFLICTS
    if ruled.ticket_id is None or not told:
        return None
    ticket, concerned = door.tickets[ruled.ticket_id], owners[ruled.ticket_id]
    about = {
        "ticket": ticket_resource(ticket),
        "buyer_id": concerned.buyer_id,
        "organizer_id": concerned.organizer_id,
    }
    event: TicketAdmitted | TicketConflict
    if ruled.ruling is Ruling.ADMITTED:
        event = TicketAdmitted(
            gate_id=ruled.asked.gate.gate_id, scanned_at=to_wire(ruled.asked.at), **about
        )
    else:
        event = TicketConflict(conflict=_conflict(ruled, door.admissions.get(ticket.id)), **about)
    return NewEvent(event, f"ticket:{ticket.id}", ticket.version, ticket.event_id)


def _conflict(ruled: Ruled, first: Admission | None) -> dict[str, object]:
    gate = ruled.asked.gate
    return {
        "ruling": str(ruled.ruling),
        "gate": {"id": gate.gate_id, "name": gate.gate_name},
        "scannedAt": to_wire(ruled.asked.at),
        "firstGate": {"id": first.gate_id, "name": first.gate_name} if first else None,
        "firstAt": to_wire(first.at) if first else None,
    }


def _write(context: Context, door: Door) -> None:
    """Tickets that were used, and every scan."""
    transaction, now = context.transaction, context.now
    used = [(door.tickets[ticket_id], at) for ticket_id, at in sorted(door.used.items())]
    tickets.use(transaction, used, now)
    new = [
        NewScan(
            event_id=ruled.asked.gate.event_id,
            id=ruled.asked.id,
            offline=ruled.asked.offline,
            gate_id=ruled.asked.gate.gate_id,
            ticket_id=ruled.ticket_id,
            version=ruled.asked.claims.ver if ruled.asked.claims and ruled.ticket_id else None,
            ruling=ruled.ruling,
            scanned_at=ruled.asked.at,
        )
        for ruled in door.new
    ]
    scans.add(transaction, new, now)
