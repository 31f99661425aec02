"""Sign-ins in SQL: what they are checked against, whom failures lock out, where an account has signed in from.

All SQL of `account_networks` and `login_decoys`, and of the two columns of `users` that count failures.
In: addresses in their stored form, networks (`gateway.http.client_addresses.network_of`). Out: credentials, an account.
Must stay true: wrong passwords lock the pair of account and network; ten times as many lock the account, and that only
for networks that it never signed in from and only once it has signed in from somewhere, so that nobody locks the owner
out from elsewhere; every failure writes two rows, whomever it counts for, so that all take as long. Whoever writes an
account's networks holds its row of `users` first.
"""

from dataclasses import dataclass
from datetime import timedelta

from contracts.accounts import Account
from contracts.runtime.times import to_wire
from db.accounts import accounts, audit_log, refresh_tokens
from db.accounts.audit_log import AuditAction, AuditOrigin
from db.mysql.database import Database, Transaction

ACCOUNT_FACTOR = 10
"""So many times the failures that lock a network lock the account for strange networks."""
DECOYS = 16

_LAPSED = "(locked_until IS NOT NULL AND locked_until <= UTC_TIMESTAMP(6))"


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a sign-in from one network is checked against.

    `locked`: for this network, at this moment; `travelled`: the account has signed in from some network before.
    """

    user_id: int
    password_hash: str
    active: bool
    locked: bool
    travelled: bool


@dataclass(frozen=True, slots=True)
class LockRule:
    """After how many failures a network is locked out, and for how many seconds."""

    after: int
    seconds: int


async def credentials(database: Database, email: str, network: str) -> Credentials | None:
    """What to check a sign-in against, None for an unknown address (stored form)."""
    rows = await database.read(
        "SELECT u.id, u.password_hash, u.status, "
        "COALESCE(n.locked_until > UTC_TIMESTAMP(6), FALSE) OR "
        "(n.signed_in_at IS NULL AND COALESCE(u.locked_until > UTC_TIMESTAMP(6), FALSE)), "
        "EXISTS (SELECT 1 FROM account_networks k WHERE k.user_id = u.id AND k.signed_in_at IS NOT NULL) "
        "FROM users u LEFT JOIN account_networks n ON n.user_id = u.id AND n.network = %s "
        "WHERE u.email = %s",
        network,
        email,
    )
    if not rows:
        return None
    user_id, password_hash, status, locked, travelled = rows[0]
    return Credentials(user_id, password_hash, status == "ACTIVE", bool(locked), bool(travelled))


async def count_failure(
    database: Database, known: Credentials, network: str, rule: LockRule
) -> None:
    """One more wrong password. After a lock has lapsed its count begins anew."""
    locks = "locked_until = IF(failed_login_count >= %s AND %s, UTC_TIMESTAMP(6) + INTERVAL %s SECOND, NULL)"

    async def work(transaction: Transaction) -> None:
        # Assignments run from left to right: the lock is decided on the count with this failure in it.
        transaction.later(
            f"UPDATE users SET failed_login_count = IF({_LAPSED}, 1, failed_login_count + 1), {locks} "
            "WHERE id = %s AND (locked_until IS NULL OR locked_until <= UTC_TIMESTAMP(6))",
            rule.after * ACCOUNT_FACTOR,
            known.travelled,
            rule.seconds,
            known.user_id,
        )
        transaction.later(
            "INSERT INTO account_networks (user_id, network, failures, locked_until, updated_at) "
            "VALUES (%s, %s, 1, IF(1 >= %s, UTC_TIMESTAMP(6) + INTERVAL %s SECOND, NULL), "
            f"UTC_TIMESTAMP(6)) ON DUPLICATE KEY UPDATE failures = IF({_LAPSED}, 1, failures + 1), "
            "locked_until = IF(failures >= %s, UTC_TIMESTAMP(6) + INTERVAL %s SECOND, NULL), "
            "updated_at = UTC_TIMESTAMP(6)",
            known.user_id,
            network,
            *(rule.after, rule.seconds) * 2,
        )
        await transaction.flush()

    await database.run(work)


async def count_decoy(database: Database, number: int) -> None:
    """The writes of a failure that counts for nobody (an unknown, locked or disabled account)."""
    row = number % DECOYS

    async def work(transaction: Transaction) -> None:
        transaction.later("UPDATE login_decoys SET attempts = attempts + 1 WHERE id = %s", row)
        transaction.later(
            "INSERT INTO account_networks (user_id, network, updated_at) "
            "VALUES (%s, '', UTC_TIMESTAMP(6)) ON DUPLICATE KEY UPDATE updated_at = UTC_TIMESTAMP(6)",
            -1 - row,
        )
        await transaction.flush()

    await database.run(work)


async def begin_session(transaction: Transaction, user_id: int, network: str) -> Account | None:
    """Lock the account for a sign-in and forgive this network; None when it is disabled or locked by now."""
    rows = await transaction.fetch(
        "SELECT status, COALESCE(locked_until > UTC_TIMESTAMP(6), FALSE), failed_login_count "
        "FROM users WHERE id = %s FOR UPDATE",
        user_id,
    )
    status, account_locked, failures = rows[0]
    pair = await transaction.fetch(
        "SELECT COALESCE(locked_until > UTC_TIMESTAMP(6), FALSE), signed_in_at IS NOT NULL "
        "FROM account_networks WHERE user_id = %s AND network = %s",
        user_id,
        network,
    )
    network_locked, familiar = pair[0] if pair else (False, False)
    if status != "ACTIVE" or network_locked or (account_locked and not familiar):
        return None
    if failures and not account_locked:
        # A lock that is in force against strangers stays: they do not hold this password.
        await transaction.execute(
            "UPDATE users SET failed_login_count = 0, locked_until = NULL WHERE id = %s", user_id
        )
    note_network(transaction, user_id, network)
    return await accounts.find(transaction, user_id)


def note_network(transaction: Transaction, user_id: int, network: str) -> None:
    """The account's owner is at this network. The caller holds the account's row, or has just made it."""
    transaction.later(
        "INSERT INTO account_networks (user_id, network, signed_in_at, updated_at) "
        "VALUES (%s, %s, UTC_TIMESTAMP(6), UTC_TIMESTAMP(6)) ON DUPLICATE KEY UPDATE failures = 0, "
        "locked_until = NULL, signed_in_at = VALUES(signed_in_at), updated_at = VALUES(updated_at)",
        user_id,
        network,
    )


async def forgive(transaction: Transaction, user_id: int) -> None:
    """Forget an account's failures and lift its locks, everywhere."""
    await transaction.execute(
        "UPDATE users SET failed_login_count = 0, locked_until = NULL WHERE id = %s", user_id
    )
    await transaction.execute(
        "UPDATE account_networks SET failures = 0, locked_until = NULL WHERE user_id = %s", user_id
    )


async def unlock(database: Database, user_id: int, origin: AuditOrigin) -> Account | None:
    """Lift an account's locks for an admin; None for an unknown id."""

    if not await database.read("SELECT id FROM users WHERE id = %s", user_id):
        return None

    async def work(transaction: Transaction) -> Account | None:
        await transaction.fetch("SELECT id FROM users WHERE id = %s FOR UPDATE", user_id)
        before = await accounts.find(transaction, user_id)
        await forgive(transaction, user_id)
        after = await accounts.find(transaction, user_id)
        assert before is not None, "accounts are never deleted"
        if before.locked_until or before.failed_login_count:
            subject = f"user:{user_id}"
            await audit_log.record(
                transaction,
                origin,
                AuditAction.USER_UNLOCKED,
                subject,
                before={
                    "lockedUntil": before.locked_until and to_wire(before.locked_until),
                    "failedLoginCount": before.failed_login_count,
                },
                after={"lockedUntil": None, "failedLoginCount": 0},
            )
        return after

    return await database.run(work)


async def forget_failures(database: Database, keep: timedelta, limit: int) -> int:
    """Delete at most `limit` networks that only ever failed, longer than `keep` ago; how many went."""
    return await database.write(
        "DELETE FROM account_networks WHERE signed_in_at IS NULL "
        "AND updated_at < UTC_TIMESTAMP(6) - INTERVAL %s SECOND "
        "AND (locked_until IS NULL OR locked_until < UTC_TIMESTAMP(6)) ORDER BY updated_at LIMIT %s",
        int(keep.total_seconds()),
        limit,
    )


async def forget_networks(database: Database, keep: timedelta, limit: int) -> int:
    """Delete at most `limit` networks that an account last signed in from longer than `keep` ago; how many went."""
    return await database.write(
        "DELETE FROM account_networks WHERE signed_in_at < UTC_TIMESTAMP(6) - INTERVAL %s SECOND "
        "ORDER BY signed_in_at LIMIT %s",
        int(keep.total_seconds()),
        limit,
    )


async def set_password(transaction: Transaction, user_id: int, password_hash: str) -> None:
    """Give an account another password; its sessions and its lock-out end."""
    await transaction.execute(
        "UPDATE users SET password_hash = %s, updated_at = UTC_TIMESTAMP(6) WHERE id = %s",
        password_hash,
        user_id,
    )
    await forgive(transaction, user_id)
    await refresh_tokens.revoke_all(transaction, user_id)
