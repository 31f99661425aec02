"""Sessions and their refresh tokens: rotation, and the alarm when a spent token comes back. All SQL of `refresh_*`.

In: SHA-256 hashes of tokens. Out: the account a token still speaks for, and which session it is (a family is one).
Must stay true: a token works once, and again for 10 s (two tabs, an answer that was lost); one that comes back later
ends its whole family (the thief and the robbed hold tokens of one family, and nobody can tell which is which); families
are locked, so no rotation slips past it.

Source: RFC 9700 (OAuth 2.0 Security Best Current Practice), section 4.14.2, refresh token rotation.
"""

import secrets
from dataclasses import dataclass
from datetime import timedelta

from contracts.accounts import Account, EndedSession
from contracts.command_ids import EPOCH
from contracts.runtime.times import from_sql, to_sql
from db.accounts import accounts
from db.mysql.database import Database, Transaction

GRACE_SECONDS = 10
"""So long after its first use a token still gives a pair."""
ADDRESS_LENGTH_MAX, USER_AGENT_LENGTH_MAX = 45, 255


@dataclass(frozen=True, slots=True)
class Device:
    """Where a session is used from, as its owner will see it."""

    address: str | None = None
    user_agent: str | None = None

    @property
    def columns(self) -> tuple[str | None, str | None]:
        """Both, cut to what their columns hold."""
        address, agent = self.address, self.user_agent
        return address and address[:ADDRESS_LENGTH_MAX], agent and agent[:USER_AGENT_LENGTH_MAX]


@dataclass(frozen=True, slots=True)
class NextToken:
    """What takes a spent token's place; `lifetime` in seconds."""

    token_hash: bytes
    lifetime: int


@dataclass(frozen=True, slots=True)
class Rotation:
    """What became of a token that was shown: the account it speaks for (None: none), its session if it is known,
    and whether that session has been ended by it."""

    account: Account | None = None
    session_id: int | None = None
    revoked: bool = False


async def start_family(
    transaction: Transaction, user_id: int, first: NextToken, device: Device
) -> int:
    """A sign-in's first token; the id of its session."""
    family = secrets.token_bytes(16)
    now = await transaction.now()
    columns = ("id", "user_id", "expires_at", "created_at", "last_used_at", "address", "user_agent")
    expires, at = to_sql(now + timedelta(seconds=first.lifetime)), to_sql(now)
    row = (family, user_id, expires, at, at, *device.columns)
    session_id = await transaction.insert("refresh_families", columns, [row])
    await _add(transaction, family, first)
    return session_id


async def _add(transaction: Transaction, family: bytes, token: NextToken) -> None:
    now = await transaction.now()
    expires = to_sql(now + timedelta(seconds=token.lifetime))
    columns = ("token_hash", "family_id", "expires_at", "created_at")
    row = (token.token_hash, family, expires, to_sql(now))
    await transaction.insert("refresh_tokens", columns, [row])


async def rotate(
    database: Database, spent_hash: bytes, following: NextToken, device: Device
) -> Rotation:
    """Spend a token and put the next in its place. No account comes back when it is unknown, expired, revoked, of a
    disabled account, or was spent before and not just now (which ends its session)."""

    async def work(transaction: Transaction) -> Rotation:
        found = await _lock_family(transaction, spent_hash)
        if found is None:
            return Rotation()
        family, user_id, session_id = found
        state = await transaction.fetch(
            "SELECT COALESCE(spent_at <= UTC_TIMESTAMP(6) - INTERVAL %s SECOND, FALSE), "
            "expires_at > UTC_TIMESTAMP(6) FROM refresh_tokens WHERE token_hash = %s FOR UPDATE",
            GRACE_SECONDS,
            spent_hash,
        )
        reused, alive = state[0]
        if reused:
            await _revoke(transaction, family)
            return Rotation(None, session_id, revoked=True)
        account = await accounts.find(transaction, user_id)
        if not alive or account is None or account.status != "ACTIVE":
            return Rotation(None, session_id)
        # The first use counts: a token that is shown again and again does not live on by it.
        await transaction.execute(
            "UPDATE refresh_tokens SET spent_at = UTC_TIMESTAMP(6) "
            "WHERE token_hash = %s AND spent_at IS NULL",
            spent_hash,
        )
        await _add(transaction, family, following)
        await _use(transaction, family, following.lifetime, device)
        return Rotation(account, session_id)

    return await database.run(work)


async def _use(transaction: Transaction, family: bytes, lifetime: int, device: Device) -> None:
    await transaction.execute(
        "UPDATE refresh_families SET expires_at = UTC_TIMESTAMP(6) + INTERVAL %s SECOND, "
        "last_used_at = UTC_TIMESTAMP(6), address = %s, user_agent = %s WHERE id = %s",
        lifetime,
        *device.columns,
        family,
    )


async def _lock_family(
    transaction: Transaction, token_hash: bytes
) -> tuple[bytes, int, int] | None:
    """(family, user, session) of a token whose family lives, locked."""
    # Found without a lock, then locked by its key: a guessed token must not lock a gap.
    found = await transaction.fetch(
        "SELECT family_id FROM refresh_tokens WHERE token_hash = %s", token_hash
    )
    if not found:
        return None
    [[family]] = found
    rows = await transaction.fetch(
        "SELECT user_id, revoked_at, session_id FROM refresh_families WHERE id = %s FOR UPDATE",
        family,
    )
    live = [(user_id, session_id) for user_id, revoked_at, session_id in rows if revoked_at is None]
    return (family, *live[0]) if live else None


async def _revoke(transaction: Transaction, family: bytes) -> None:
    await transaction.execute(
        "UPDATE refresh_families SET revoked_at = UTC_TIMESTAMP(6) "
        "WHERE id = %s AND revoked_at IS NULL",
        family,
    )


async def end_session_of(database: Database, token_hash: bytes, user_id: int) -> int | None:
    """Sign out: end the session of a token of this account and say which it is. An unknown or foreign token, or one
    whose session has ended, changes nothing: None."""

    async def work(transaction: Transaction) -> int | None:
        found = await _lock_family(transaction, token_hash)
        if found is None or found[1] != user_id:
            return None
        await _revoke(transaction, found[0])
        return found[2]

    return await database.run(work)


async def revoke_all(transaction: Transaction, user_id: int) -> None:
    """End every session of an account."""
    await transaction.execute(
        "UPDATE refresh_families SET revoked_at = UTC_TIMESTAMP(6) "
        "WHERE user_id = %s AND revoked_at IS NULL",
        user_id,
    )


async def ended_since(database: Database, since_micros: int) -> list[EndedSession]:
    """The sessions that ended after that moment (microseconds since 1970)."""
    since = EPOCH + timedelta(microseconds=max(0, since_micros))
    rows = await database.read(
        "SELECT session_id, revoked_at FROM refresh_families WHERE revoked_at > %s", to_sql(since)
    )
    micros = timedelta(microseconds=1)
    return [EndedSession(row[0], (from_sql(row[1]) - EPOCH) // micros) for row in rows]


async def forget_families(database: Database, keep: timedelta, limit: int) -> int:
    """Delete at most `limit` families whose newest token expired longer than `keep` ago; how many went."""
    return await database.write(
        "DELETE FROM refresh_families WHERE expires_at < UTC_TIMESTAMP(6) - INTERVAL %s SECOND "
        "ORDER BY expires_at LIMIT %s",
        int(keep.total_seconds()),
        limit,
    )


async def forget_tokens(database: Database, keep: timedelta, limit: int) -> int:
    """Delete at most `limit` tokens that expired longer than `keep` ago; how many went.

    Their families may live on: one that is refreshed again and again leaves a spent token each time.
    """
    return await database.write(
        "DELETE FROM refresh_tokens WHERE expires_at < UTC_TIMESTAMP(6) - INTERVAL %s SECOND "
        "ORDER BY expires_at LIMIT %s",
        int(keep.total_seconds()),
        limit,
    )
