"""Tokens of gates: devices at a door, callers of their own kind.

In: a gate's id when it is made; later a token. Out: the token, once; the gate that shows it.
Must stay true: only a holder of the master secret makes one; the table keeps its digest alone; a forged one costs no
read; a revoked gate is refused within `FRESH_SECONDS` by every gateway (while the database is away nobody can revoke
one, and the last answer holds).
"""

import asyncio
import hashlib
import hmac
import os
import time
from collections.abc import Callable

import structlog

from contracts.messaging.signing import MAC_BYTES, Mac, from_text, to_text
from contracts.models import GatePrincipal
from db.mysql.database import Database, is_away
from db.tickets import gates
from db.tickets.gates import GateAccess
from gateway.caching.short_lived import Fresh

PREFIX = "ehg_"
FRESH_SECONDS = 1.0
NOTED_SECONDS = 30.0
"""How often `lastSeenAt` moves."""
KEPT_MAX = 10_000
COPIES_BYTES = 4 << 20
_NONCE_BYTES = 16
_TOKEN_BYTES = 8 + _NONCE_BYTES + MAC_BYTES

log = structlog.get_logger(__name__)


class GateTokens:
    """Makes and opens tokens for one deployment (one master secret)."""

    def __init__(self, secret: str) -> None:
        self._mac = Mac.derived(secret, "eventhub gate token")

    def issue(self, gate_id: int) -> tuple[str, bytes]:
        """(a new token, its digest for the table)."""
        body = gate_id.to_bytes(8, "big") + os.urandom(_NONCE_BYTES)
        token = PREFIX + to_text(body + self._mac.sign(body))
        return token, digest(token)

    def gate_of(self, token: str) -> int | None:
        """The gate that a token was made for, None for anything that we did not make."""
        if not token.startswith(PREFIX):
            return None
        try:
            raw = from_text(token.removeprefix(PREFIX))
        except ValueError:
            return None
        body, mac = raw[:-MAC_BYTES], raw[-MAC_BYTES:]
        if len(raw) != _TOKEN_BYTES or not self._mac.verify(body, mac):
            return None
        return int.from_bytes(body[:8], "big")


def digest(token: str) -> bytes:
    """What the table knows of a token: 128 random bits need no slow hash."""
    return hashlib.sha256(token.encode()).digest()


class GateAuthentication:
    """Who shows a gate's token, as the table has it now."""

    def __init__(self, tokens: GateTokens, database: Callable[[], Database]) -> None:
        """`database`: opened by the time that somebody asks."""
        self.tokens, self._database = tokens, database
        self._fresh: Fresh[int, GateAccess | None] = Fresh(FRESH_SECONDS, COPIES_BYTES, lambda _: 0)
        self._last: dict[int, GateAccess | None] = {}
        self._noted: dict[int, float] = {}
        self._notes: set[asyncio.Task[None]] = set()

    async def authenticate(self, token: str) -> GatePrincipal | None:
        """The gate, None when the token is forged, replaced or revoked. Raises the database's errors."""
        gate_id = self.tokens.gate_of(token)
        if gate_id is None:
            return None
        found = await self._access(gate_id)
        if found is None or found.revoked or not hmac.compare_digest(found.digest, digest(token)):
            return None
        self._note(gate_id)
        return GatePrincipal(gate_id=gate_id, event_id=found.event_id)

    def forget(self, gate_id: int) -> None:
        """Look at it again at its next call: it was revoked here."""
        self._fresh.drop(gate_id)

    async def _access(self, gate_id: int) -> GateAccess | None:
        async def read() -> GateAccess | None:
            return (await gates.access(self._database(), [gate_id])).get(gate_id)

        try:
            found = await self._fresh.get(gate_id, read)
        except Exception as error:
            if not is_away(error) or gate_id not in self._last:
                raise
            return self._last[gate_id]
        if len(self._last) >= KEPT_MAX:
            self._last.clear()
        self._last[gate_id] = found
        return found

    def _note(self, gate_id: int) -> None:
        """Move `lastSeenAt`, now and then, beside the request."""
        now = time.monotonic()
        if now - self._noted.get(gate_id, -NOTED_SECONDS) < NOTED_SECONDS:
            return
        if len(self._noted) >= KEPT_MAX:
            self._noted.clear()
        self._noted[gate_id] = now
        task = asyncio.create_task(self._seen(gate_id))
        self._notes.add(task)
        task.add_done_callback(self._notes.discard)

    async def _seen(self, gate_id: int) -> None:
        try:
            await gates.seen(self._database(), gate_id)
        except Exception as error:
            # Nobody waits for it: the next call notes it again.
            log.info("gate not noted as seen", gate_id=gate_id, error=repr(error))
            self._noted.pop(gate_id, None)
