"""Refresh tokens: families, rotation, and the alarm when a spent token comes back. All SQL of `refresh_*`.

In: SHA-256 hashes of tokens. Out: the account a token still speaks for.
Must stay true: a token works once; a token that comes back after it was spent ends its whole family (the thief
and the robbed hold tokens of one family, and nobody can tell which is which); families are locked, so no
rotation slips past it.

Source: RFC 9700 (OAuth 2.0 Security Best Current Practice), section 4.14.2, refresh token rotation.
"""

import secrets
from datetime import timedelta

from contracts.accounts import Account
from contracts.runtime.times import to_sql
from db.accounts import accounts
from db.mysql.database import Database, Transaction


async def start_family(
    transaction: Transaction, user_id: int, token_hash: bytes, lifetime: int
) -> None:
    """A sign-in's first token. `lifetime` in seconds."""
    family = secrets.token_bytes(16)
    now = await transaction.now()
    columns = ("id", "user_id", "expires_at", "created_at")
    expires = to_sql(now + timedelta(seconds=lifetime))
    await transaction.insert("refresh_families", columns, [(family, user_id, expires, to_sql(now))])
    await _add(transaction, family, token_hash, lifetime)


async def _add(transaction: Transaction, family: bytes, token_hash: bytes, lifetime: int) -> None:
    now = await transaction.now()
    expires = to_sql(now + timedelta(seconds=lifetime))
    columns = ("token_hash", "family_id", "expires_at", "created_at")
    await transaction.insert(
        "refresh_tokens", columns, [(token_hash, family, expires, to_sql(now))]
    )


async def rotate(
    database: Database, spent_hash: bytes, fresh_hash: bytes, lifetime: int
) -> Account | None:
    """Spend a token and put the next in its place: the account, or None when the token is unknown, expired,
    revoked, of a disabled account, or spent before (which revokes its family)."""

    async def work(transaction: Transaction) -> Account | None:
        found = await _lock_family(transaction, spent_hash)
        if found is None:
            return None
        family, user_id = found
        state = await transaction.fetch(
            "SELECT spent_at IS NOT NULL, expires_at > UTC_TIMESTAMP(6) FROM refresh_tokens "
            "WHERE token_hash = %s FOR UPDATE",
            spent_hash,
        )
        spent, alive = state[0]
        if spent:
            await _revoke(transaction, family)
            return None
        account = await accounts.find(transaction, user_id)
        if not alive or account is None or account.status != "ACTIVE":
            return None
        await transaction.execute(
            "UPDATE refresh_tokens SET spent_at = UTC_TIMESTAMP(6) WHERE token_hash = %s",
            spent_hash,
        )
        await _add(transaction, family, fresh_hash, lifetime)
        await transaction.execute(
            "UPDATE refresh_families SET expires_at = UTC_TIMESTAMP(6) + INTERVAL %s SECOND "
            "WHERE id = %s",
            lifetime,
            family,
        )
        return account

    return await database.run(work)


async def _lock_family(transaction: Transaction, token_hash: bytes) -> tuple[bytes, int] | None:
    """(family, user) of a token whose family lives, locked."""
    # Found without a lock, then locked by its key: a guessed token must not lock a gap.
    found = await transaction.fetch(
        "SELECT family_id FROM refresh_tokens WHERE token_hash = %s", token_hash
    )
    if not found:
        return None
    [[family]] = found
    rows = await transaction.fetch(
        "SELECT user_id, revoked_at FROM refresh_families WHERE id = %s FOR UPDATE", family
    )
    live = [user_id for user_id, revoked_at in rows if revoked_at is None]
    return (family, live[0]) if live else None


async def _revoke(transaction: Transaction, family: bytes) -> None:
    await transaction.execute(
        "UPDATE refresh_families SET revoked_at = UTC_TIMESTAMP(6) "
        "WHERE id = %s AND revoked_at IS NULL",
        family,
    )


async def revoke_family_of(database: Database, token_hash: bytes, user_id: int) -> None:
    """Sign out: end the family of a token of this account. An unknown or foreign token changes nothing."""
    await database.write(
        "UPDATE refresh_families f JOIN refresh_tokens t ON t.family_id = f.id "
        "SET f.revoked_at = UTC_TIMESTAMP(6) "
        "WHERE t.token_hash = %s AND f.user_id = %s AND f.revoked_at IS NULL",
        token_hash,
        user_id,
    )


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
