"""Keys of ticket codes in SQL: made, read, rotated, forgotten.

In: the database, the master secret's sealer, how long a key signs. Out: `contracts.tickets.codes.TicketKeys`.
Must stay true: a new key is published for `PUBLISHED_SECONDS` before it signs (but for the first, and where the key
before cannot be opened); a key verifies as long as an event is to come whose tickets it may have signed; a private
half is sealed, and gone once it signs no more; whoever rotates at the same time agrees (the generation is unique).
"""

import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta

import pymysql.err
import structlog
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from contracts.messaging.sealing import Sealer, UnreadableSecret
from contracts.runtime.times import from_sql, to_sql
from contracts.tickets.codes import TicketKey, TicketKeys
from db.mysql.database import Database, Transaction, is_duplicate

log = structlog.get_logger(__name__)

PUBLISHED_SECONDS = 3600
"""As long as the public key set may be kept by whoever fetched it."""
LINGER_SECONDS = 600
"""A replaced key's private half stays so long: a process may still hold the list of before."""
EVENTS_OVER_DAYS = 7
"""A code is looked at for a while after its event."""
_KID_BYTES = 6


def key_sealer(master_secret: str) -> Sealer:
    """What seals private keys in one deployment."""
    return Sealer(master_secret, "eventhub ticket keys")


@dataclass(frozen=True, slots=True)
class _Newest:
    """The newest key of the table."""

    generation: int
    signs_from: datetime
    usable: bool


async def read(database: Database, sealer: Sealer) -> TicketKeys:
    """All keys that verify; those that may sign are open."""
    rows = await database.read(
        "SELECT kid, public_key, private_key, signs_from FROM ticket_keys ORDER BY generation"
    )
    return TicketKeys(
        TicketKey(
            kid,
            Ed25519PublicKey.from_public_bytes(public),
            from_sql(signs_from),
            _open(sealer, kid, sealed),
        )
        for kid, public, sealed, signs_from in rows
    )


def _open(sealer: Sealer, kid: str, sealed: bytes) -> Ed25519PrivateKey | None:
    if not sealed:
        return None
    try:
        return Ed25519PrivateKey.from_private_bytes(sealer.open(sealed, kid))
    except UnreadableSecret:
        log.warning("a ticket key cannot be opened with this master secret", kid=kid)
        return None


async def reseal(database: Database, sealer: Sealer) -> int:
    """Seal private halves that are under an older master secret under the first; how many were."""
    rows = await database.read(
        "SELECT kid, private_key FROM ticket_keys WHERE private_key <> '' ORDER BY generation"
    )
    resealed = 0
    for kid, sealed in rows:
        try:
            fresh = sealer.renewed(sealed, kid)
        except UnreadableSecret:
            log.error("a ticket key cannot be opened with this master secret", kid=kid)
            continue
        if fresh is not None:
            # By what it was: a half that was forgotten meanwhile stays forgotten.
            resealed += await database.write(
                "UPDATE ticket_keys SET private_key = %s WHERE kid = %s AND private_key = %s",
                fresh,
                kid,
                sealed,
            )
    return resealed


def next_signs_from(newest: _Newest | None, now: datetime, rotation: int) -> datetime | None:
    """When a key that is made now may sign; None while none is due. `rotation`: seconds that a key signs."""
    if newest is None or not newest.usable:
        return now
    published = timedelta(seconds=PUBLISHED_SECONDS)
    due = newest.signs_from + timedelta(seconds=rotation) - published
    return now + published if now >= due else None


async def make_first(database: Database, sealer: Sealer, rotation: int) -> bool:
    """Make the very first key unless there is one; whether this did. Needs no right to delete any."""
    if await database.read("SELECT 1 FROM ticket_keys LIMIT 1"):
        return False
    return await rotate(database, sealer, rotation)


async def rotate(database: Database, sealer: Sealer, rotation: int) -> bool:
    """Make the next key if one is due, forget what signs or verifies no more; whether one was made."""

    async def work(transaction: Transaction) -> bool:
        now = await transaction.now()
        newest = await _newest(transaction, sealer)
        await _forget(transaction)
        signs_from = next_signs_from(newest, now, rotation)
        if signs_from is None:
            return False
        await _make(transaction, sealer, newest, signs_from, now)
        return True

    try:
        made = await database.run(work)
    except pymysql.err.IntegrityError as error:
        if not is_duplicate(error):
            raise
        return False  # Somebody else has just made it.
    if made:
        log.info("ticket key made")
    return made


async def _newest(transaction: Transaction, sealer: Sealer) -> _Newest | None:
    rows = await transaction.fetch(
        "SELECT generation, signs_from, kid, private_key FROM ticket_keys ORDER BY generation DESC LIMIT 1"
    )
    if not rows:
        return None
    generation, signs_from, kid, sealed = rows[0]
    usable = _open(sealer, kid, sealed) is not None
    return _Newest(generation, from_sql(signs_from), usable)


async def _make(
    transaction: Transaction,
    sealer: Sealer,
    newest: _Newest | None,
    signs_from: datetime,
    now: datetime,
) -> None:
    key = Ed25519PrivateKey.generate()
    kid = secrets.token_urlsafe(_KID_BYTES)
    if newest is not None:
        transaction.later(
            "UPDATE ticket_keys SET retired_at = %s WHERE generation = %s",
            to_sql(signs_from),
            newest.generation,
        )
    columns = ("kid", "generation", "public_key", "private_key", "signs_from", "created_at")
    row = (
        kid,
        newest.generation + 1 if newest else 1,
        key.public_key().public_bytes_raw(),
        sealer.seal(key.private_bytes_raw(), kid),
        to_sql(signs_from),
        to_sql(now),
    )
    await transaction.insert("ticket_keys", columns, [row])


async def _forget(transaction: Transaction) -> None:
    """Private halves of keys that were replaced a while ago; keys whose events are all over."""
    await transaction.execute(
        "UPDATE ticket_keys SET private_key = '' WHERE private_key <> '' "
        "AND retired_at < UTC_TIMESTAMP(6) - INTERVAL %s SECOND",
        LINGER_SECONDS,
    )
    # Found by a plain read: a condition on events inside a DELETE would lock them.
    rows = await transaction.fetch(
        "SELECT k.kid FROM ticket_keys k WHERE k.retired_at < UTC_TIMESTAMP(6) - INTERVAL %s DAY "
        "AND NOT EXISTS (SELECT 1 FROM events e WHERE e.created_at <= k.retired_at "
        "AND e.end_time > UTC_TIMESTAMP(6) - INTERVAL %s DAY)",
        EVENTS_OVER_DAYS,
        EVENTS_OVER_DAYS,
    )
    for row in rows:
        transaction.later("DELETE FROM ticket_keys WHERE kid = %s", row[0])
