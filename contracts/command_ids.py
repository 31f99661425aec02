"""Command ids that need no table: UUID, kind, acceptance time and a MAC over them and the caller.

In: a UUID, a kind, a time, the caller's user id. Out: an opaque string of 54 characters, and back; a token that
lets a browser's EventSource, which sends no Authorization header, listen to one command for a few minutes.
Must stay true: only a holder of the secret can make one; it opens for no other caller; the UUID of a
keyed request depends on caller, key and attempt alone, so every gateway derives the same one, whichever master secret
it was given: its key is the deployment's for ever (`db.messages.derived_keys`).
"""

import os
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from contracts.messaging.signing import (
    MAC_BYTES,
    Mac,
    from_text,
    to_text,
)

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_ID_BYTES = 16 + 8 + MAC_BYTES
STREAM_LIFE = timedelta(minutes=5)
_STREAM_STEP = 60
"""Stream tokens are made for a whole minute and live that much longer: a resource read twice is the same twice."""
_STREAM_BYTES = 8 + 4 + MAC_BYTES
_MICROS_BITS = 56
"""Microseconds since 1970 fit for 2,283 years; the byte before them is the kind."""


@dataclass(frozen=True, slots=True)
class CommandId:
    """An opened command id: which command, when it was accepted (UTC, microseconds), of what kind.

    `kind` is `contracts.commands.KINDS`' number (0: unknown): an undecided command has no row yet
    that could say its type.
    """

    uuid: bytes
    accepted_at: datetime
    kind: int = 0


@dataclass(frozen=True, slots=True)
class StreamAccess:
    """Who may listen to a command by a stream token, and since when (UTC)."""

    user_id: int
    since: datetime


IDEMPOTENCY_PURPOSE = "eventhub idempotency key"


class CommandIds:
    """Makes and opens command ids for one deployment. `idempotency_key`: what keyed requests' UUIDs are derived with;
    None: derived from the master secret, for who makes none."""

    def __init__(self, secret: str, idempotency_key: bytes | None = None) -> None:
        self._mac = Mac.derived(secret, "eventhub command id")
        keyed = Mac.derived(secret, IDEMPOTENCY_PURPOSE)
        self._keyed = Mac((idempotency_key,)) if idempotency_key else keyed
        self._streams = Mac.derived(secret, "eventhub command stream")

    def fresh(self) -> bytes:
        """The UUID of a request without an Idempotency-Key."""
        # RFC 9562 section 5.7 (version 7): milliseconds first, so that the rows of one moment lie together in
        # the tables whose key it is, and a table that does not fit into memory is not read for each of them.
        raw = bytearray((time.time_ns() // 1_000_000).to_bytes(6, "big") + os.urandom(10))
        raw[6] = raw[6] & 0x0F | 0x70
        raw[8] = raw[8] & 0x3F | 0x80
        return bytes(raw)

    def keyed(self, caller: int, key: str, attempt: int) -> bytes:
        """The UUID of the n-th attempt (from 1) of a caller's Idempotency-Key."""
        return self._keyed.sign(b"%d\n%d\n%s" % (caller, attempt, key.encode()))

    def seal(self, command: CommandId, caller: int) -> str:
        """The string that clients see."""
        since = command.accepted_at - EPOCH
        micros = (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds
        body = command.uuid + (command.kind << _MICROS_BITS | micros).to_bytes(8, "big")
        return to_text(body + self._mac.sign(body + b"%d" % caller))

    def open(self, text: str, caller: int) -> CommandId | None:
        """The command behind `text`, or None when it is malformed, forged or somebody else's."""
        try:
            raw = from_text(text)
        except ValueError:
            return None
        if len(raw) != _ID_BYTES:
            return None
        body, mac = raw[:24], raw[24:]
        if not self._mac.verify(body + b"%d" % caller, mac):
            return None
        kind, micros = divmod(int.from_bytes(body[16:], "big"), 1 << _MICROS_BITS)
        return CommandId(body[:16], EPOCH + timedelta(microseconds=micros), kind)

    def seal_stream(self, text: str, caller: int, now: datetime) -> str:
        """A token that opens the event stream of the command `text`, and nothing else, for `STREAM_LIFE`."""
        minute = int((now - EPOCH).total_seconds()) // _STREAM_STEP
        body = caller.to_bytes(8, "big", signed=True) + minute.to_bytes(4, "big")
        return to_text(body + self._streams.sign(body + text.encode()))

    def open_stream(self, text: str, token: str, now: datetime) -> StreamAccess | None:
        """Who was given `token` for the command `text`; None when it is malformed, forged, another's or too old."""
        try:
            raw = from_text(token)
        except ValueError:
            return None
        body, mac = raw[:-MAC_BYTES], raw[-MAC_BYTES:]
        if len(raw) != _STREAM_BYTES or not self._streams.verify(body + text.encode(), mac):
            return None
        since = EPOCH + timedelta(seconds=int.from_bytes(body[8:], "big") * _STREAM_STEP)
        if now - since >= STREAM_LIFE + timedelta(seconds=_STREAM_STEP):
            return None
        return StreamAccess(int.from_bytes(body[:8], "big", signed=True), since)
