"""Short ways to the door without HTTP: a gate, a code, a scan as a command."""

import uuid
from datetime import UTC, datetime
from typing import Any

import rfc8785

from contracts.commands import RecordScans, Scan
from contracts.models import GatePrincipal
from contracts.runtime.times import to_wire
from contracts.tickets.codes import TicketClaims
from db import catalogue as events
from db.tickets import gates, keys, reads
from db.tickets.gates import NewGate
from gateway.resources.gate_calls import _bundle
from tests.harness.accounts import Person
from tests.harness.command_client import FINGERPRINT, CommandClient
from tests.harness.scratch import SECRET

LONG = 30 * 86400


async def new_gate(
    client: CommandClient, organizer: Person, event_id: int, name: str
) -> GatePrincipal:
    """A gate whose token nobody has."""
    new = NewGate(event_id, name, organizer.id)
    row, _ = await gates.create(client.database, new, lambda _: ("", bytes(32)), limit=500)
    return GatePrincipal(gate_id=row.id, event_id=event_id)


async def code_of(client: CommandClient, ticket_id: int) -> str:
    """A ticket's code of this moment."""
    database = client.database
    sealer = keys.key_sealer(SECRET)
    await keys.rotate(database, sealer, LONG)
    [row] = await database.read(
        "SELECT id, event_id, ticket_type_id, version FROM tickets WHERE id = %s", ticket_id
    )
    return (await keys.read(database, sealer)).code(TicketClaims(*row), datetime.now(UTC))


def record(gate: GatePrincipal, *codes: str, offline: bool = False) -> RecordScans:
    """The command for scans of these codes, now."""
    at = to_wire(datetime.now(UTC))
    scans = tuple(
        Scan(id=str(uuid.uuid4()), code=code, scanned_at=at, offline=offline) for code in codes
    )
    return RecordScans(principal=gate, fingerprint=FINGERPRINT, scans=scans)


async def bundle_of(client: CommandClient, event_id: int) -> dict[str, Any]:
    """What the gateway gives a gate, signed."""
    database = client.database
    found = await events.find_event(database, event_id)
    assert found is not None, "an event of the test's own"
    signing = await keys.read(database, keys.key_sealer(SECRET))
    bundle = _bundle(found, await reads.changes(database, event_id, None), signing)
    return bundle | {"signature": signing.detached(rfc8785.dumps(bundle), datetime.now(UTC))}
