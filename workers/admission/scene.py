"""Admission's self-test: a made-up gate lets a made-up ticket in, and what is wrong with the next scans is found out.

In: the sealer of the real keys, which are read and sign nothing. Out: every ruling that writes or reads rows was given.
Must stay true: the codes are signed by a key that nobody keeps, so that the self-test needs none to be there yet.
"""

import secrets
import uuid
from dataclasses import replace
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from contracts.commands import RecordScans, Scan
from contracts.messaging.sealing import Sealer
from contracts.models import GatePrincipal
from contracts.runtime.times import to_sql, to_wire
from contracts.tickets.codes import TicketClaims, TicketKey, TicketKeys
from contracts.tickets.scans import Ruling
from db.tickets import keys
from db.tickets.keyring import Keyring
from workers.admission.handlers import handlers
from workers.runtime.made_up import MadeUp, issued_tickets, unpaid_order
from workers.runtime.self_test import NAME, SelfTestFailed, Stage


async def scene(sealer: Sealer, stage: Stage) -> None:
    """Everything that admission is asked for, once."""
    await keys.read(stage.services.database, sealer)
    private = Ed25519PrivateKey.generate()
    own = TicketKeys([TicketKey(NAME, private.public_key(), stage.now, private)])
    stage = replace(stage, handlers=handlers(_OwnKeys(stage.services.database, sealer, own)))
    made = await unpaid_order(stage)
    ticket_id, *_ = await issued_tickets(stage, made)
    claims = TicketClaims(ticket_id, made.event.id, made.line.ticket_type_id, 1)
    code = own.code(claims, stage.now)
    gate = await _gate(stage, made)
    for offline, wanted in (
        (False, [Ruling.ADMITTED, Ruling.ALREADY_USED]),
        (True, [Ruling.CONFLICT, Ruling.CONFLICT]),
    ):
        scans = tuple(_scan(stage, code, offline) for _ in wanted)
        told = await stage.grant(RecordScans, gate, scans=scans)
        rulings: list[Any] = [one["ruling"] for one in told["results"]]
        if rulings != wanted:
            raise SelfTestFailed(f"scans end in {rulings}")


class _OwnKeys(Keyring):
    """Keys of the self-test's own."""

    def __init__(self, database: Any, sealer: Sealer, own: TicketKeys) -> None:
        super().__init__(database, sealer)
        self._own = own

    async def keys(self) -> TicketKeys:
        """The self-test's."""
        return self._own


def _scan(stage: Stage, code: str, offline: bool) -> Scan:
    return Scan(id=str(uuid.uuid4()), code=code, scanned_at=to_wire(stage.now), offline=offline)


async def _gate(stage: Stage, made: MadeUp) -> GatePrincipal:
    """A gate whose token nobody has."""
    columns = ("event_id", "name", "token_digest", "created_by", "created_at")
    organizer = made.organizer.user_id
    row = (made.event.id, NAME, secrets.token_bytes(32), organizer, to_sql(stage.now))
    gate_id = await stage.transaction.insert("gates", columns, [row])
    return GatePrincipal(gate_id=gate_id, event_id=made.event.id)
