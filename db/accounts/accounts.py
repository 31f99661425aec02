"""Accounts, roles and what changed about them: all SQL of `users`, `roles`, `user_roles`, but for `sign_ins`'.

In: e-mail addresses in their stored form (`contracts.accounts.stored_email`), password hashes. Out: `Account`s.
Must stay true: every change of status or roles moves `access_changed_at` forward, strictly, by the database's
clock, and its entry in the audit log is written in the same transaction; at least one ACTIVE admin remains, also when
two admins demote each other at once; who is no active provider any more has no rate in use any more.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Literal, cast

from contracts.accounts import Account, AccountAccess, AccountStatus
from contracts.command_ids import EPOCH
from contracts.models import RoleName
from contracts.runtime.times import from_sql, to_sql
from db.accounts import audit_log, providers
from db.accounts.audit_log import AuditAction, AuditOrigin
from db.mysql.database import (
    Database,
    Row,
    Transaction,
    is_duplicate,
    placeholders,
)
from db.rows import Select

ADMIN_ROLE_ID = 1
"""V1__first_sale.sql."""

_ACCOUNTS = Select(Account, "u", but=("locked_until", "roles"))
_ACCOUNT = (
    f"SELECT {_ACCOUNTS.columns}, IF(u.locked_until > UTC_TIMESTAMP(6), u.locked_until, NULL), "
    "(SELECT MAX(n.locked_until) FROM account_networks n WHERE n.user_id = u.id "
    "AND n.locked_until > UTC_TIMESTAMP(6)), (SELECT GROUP_CONCAT(r.role_name ORDER BY r.id) "
    "FROM user_roles ur JOIN roles r ON r.id = ur.role_id WHERE ur.user_id = u.id) FROM users u "
)


class EmailTaken(Exception):
    """Another account has this address."""


class LastAdmin(Exception):
    """The change would leave no active admin."""


def _roles(names: str | None) -> tuple[RoleName, ...]:
    return cast("tuple[RoleName, ...]", tuple(names.split(","))) if names else ()


def _account(row: Row) -> Account:
    *locks, roles = _ACCOUNTS.rest(row)
    locked_until = max((from_sql(until) for until in locks if until), default=None)
    return replace(_ACCOUNTS.row(row), locked_until=locked_until, roles=_roles(roles))


async def find(reader: Database | Transaction, user_id: int) -> Account | None:
    """The account of that id."""
    fetch = reader.fetch if isinstance(reader, Transaction) else reader.read
    rows = await fetch(_ACCOUNT + "WHERE u.id = %s", user_id)
    return _account(rows[0]) if rows else None


async def find_by_email(database: Database, email: str) -> Account | None:
    """The account of that address (stored form)."""
    rows = await database.read(_ACCOUNT + "WHERE u.email = %s", email)
    return _account(rows[0]) if rows else None


async def verified(transaction: Transaction, user_ids: Iterable[int]) -> set[int]:
    """Those of these accounts that may be given something: active ones. No address is verified otherwise yet."""
    wanted = sorted(set(user_ids))
    rows = await transaction.fetch(
        f"SELECT id FROM users WHERE id IN ({placeholders(wanted)}) AND status = 'ACTIVE'", *wanted
    )
    return {row[0] for row in rows}


async def verified_by_email(database: Database, email: str) -> int | None:
    """The id of the active account with this (normalised) address, None when there is none."""
    rows = await database.read("SELECT id FROM users WHERE email = %s AND status = 'ACTIVE'", email)
    return int(rows[0][0]) if rows else None


async def listed(
    database: Database,
    *,
    email: str | None,
    status: AccountStatus | None,
    after_id: int,
    limit: int,
) -> list[Account]:
    """Up to `limit` accounts by rising id behind `after_id`; address and status filter.

    An address finds all that differ from it in case, accents or width alone: twins stand side by side.
    """
    conditions, values = ["u.id > %s"], cast("list[object]", [after_id])
    if email is not None:
        conditions.append("u.email_folded = %s")
        values.append(email)
    if status is not None:
        conditions.append("u.status = %s")
        values.append(status)
    sql = f"{_ACCOUNT}WHERE {' AND '.join(conditions)} ORDER BY u.id LIMIT %s"
    return [_account(row) for row in await database.read(sql, *values, limit)]


async def create(
    database: Database,
    email: str,
    password_hash: str,
    roles: Sequence[RoleName],
    *,
    given_by: AuditOrigin | None = None,
    then: Callable[[Transaction, int], None] | None = None,
) -> Account:
    """A new ACTIVE account. Raises EmailTaken.

    `given_by`: who gives it these roles, for the audit log; None: it is anybody's who asks. `then`: what else is true
    of the new account, in the same transaction.
    """

    async def work(transaction: Transaction) -> Account:
        now = to_sql(await transaction.now())
        columns = ("email", "password_hash", "access_changed_at", "created_at", "updated_at")
        row = (email, password_hash, now, now, now)
        try:
            user_id = await transaction.insert("users", columns, [row])
        except Exception as error:
            if is_duplicate(error):
                raise EmailTaken(email) from None
            raise
        await _give_roles(transaction, user_id, roles)
        if given_by is not None:
            await _log_roles(transaction, given_by, user_id, (), roles)
        if then is not None:
            then(transaction, user_id)
        account = await find(transaction, user_id)
        assert account is not None
        return account

    return await database.run(work)


async def _log_roles(
    transaction: Transaction,
    origin: AuditOrigin,
    user_id: int,
    before: Sequence[RoleName],
    after: Sequence[RoleName],
) -> None:
    await audit_log.record(
        transaction,
        origin,
        AuditAction.USER_ROLES,
        f"user:{user_id}",
        before={"roles": sorted(before)},
        after={"roles": sorted(after)},
    )


async def _give_roles(transaction: Transaction, user_id: int, roles: Sequence[RoleName]) -> None:
    if roles:
        known: dict[RoleName, int] = dict(
            await transaction.fetch("SELECT role_name, id FROM roles")
        )
        rows = [(user_id, known[role]) for role in sorted(set(roles))]
        await transaction.insert("user_roles", ("user_id", "role_id"), rows)


async def _take_roles(transaction: Transaction, user_id: int, roles: set[RoleName]) -> None:
    # One by one through the whole primary key: a range would lock its neighbours' gap as well.
    for role in sorted(roles):
        await transaction.execute(
            "DELETE FROM user_roles WHERE user_id = %s "
            "AND role_id = (SELECT id FROM roles WHERE role_name = %s)",
            user_id,
            role,
        )


async def replace_hash(database: Database, user_id: int, old: str, new: str) -> None:
    """A stronger hash of the same password, unless the password has changed meanwhile."""
    await database.write(
        "UPDATE users SET password_hash = %s WHERE id = %s AND password_hash = %s",
        new,
        user_id,
        old,
    )


async def set_status(
    database: Database, user_id: int, status: AccountStatus, origin: AuditOrigin
) -> Account | None:
    """Enable or disable; None for an unknown id. Disabling ends every session. Raises LastAdmin."""

    async def work(transaction: Transaction) -> Account | None:
        account = await _lock(transaction, user_id)
        if account is None or account.status == status:
            return account
        if status == "DISABLED":
            if "ADMIN" in account.roles:
                await _require_other_admin(transaction, user_id)
            await transaction.execute(
                "UPDATE refresh_families SET revoked_at = UTC_TIMESTAMP(6) "
                "WHERE user_id = %s AND revoked_at IS NULL",
                user_id,
            )
        await audit_log.record(
            transaction,
            origin,
            AuditAction.USER_STATUS,
            f"user:{user_id}",
            before={"status": account.status},
            after={"status": status},
        )
        changed = await _changed(transaction, user_id, "status = %s, ", status)
        if status == "DISABLED" and "PROVIDER" in account.roles:
            await providers.silence(transaction, user_id)
        return changed

    return await database.run(work)


async def set_roles(
    database: Database, user_id: int, roles: Sequence[RoleName], origin: AuditOrigin
) -> Account | None:
    """Replace all roles; None for an unknown id. Raises LastAdmin."""

    async def work(transaction: Transaction) -> Account | None:
        account = await _lock(transaction, user_id)
        if account is None or set(account.roles) == set(roles):
            return account
        if "ADMIN" in account.roles and "ADMIN" not in roles and account.status == "ACTIVE":
            await _require_other_admin(transaction, user_id)
        await _take_roles(transaction, user_id, set(account.roles) - set(roles))
        await _give_roles(transaction, user_id, sorted(set(roles) - set(account.roles)))
        await _log_roles(transaction, origin, user_id, account.roles, roles)
        changed = await _changed(transaction, user_id, "")
        if "PROVIDER" in account.roles and "PROVIDER" not in roles:
            await providers.silence(transaction, user_id)
        return changed

    return await database.run(work)


async def _lock(transaction: Transaction, user_id: int) -> Account | None:
    # One change of anybody's access at a time: "who else is an admin" cannot be answered for two at once.
    await transaction.fetch("SELECT id FROM roles WHERE id = %s FOR UPDATE", ADMIN_ROLE_ID)
    account = await find(transaction, user_id)
    if account is not None:
        await transaction.fetch("SELECT id FROM users WHERE id = %s FOR UPDATE", user_id)
    return account


async def _require_other_admin(transaction: Transaction, user_id: int) -> None:
    others = await transaction.fetch(
        "SELECT u.id FROM users u JOIN user_roles ur ON ur.user_id = u.id "
        "WHERE ur.role_id = %s AND u.status = 'ACTIVE' AND u.id <> %s LIMIT 1",
        ADMIN_ROLE_ID,
        user_id,
    )
    if not others:
        raise LastAdmin


async def _changed(
    transaction: Transaction,
    user_id: int,
    assignment: Literal["", "status = %s, "],
    *values: object,
) -> Account | None:
    await transaction.execute(
        f"UPDATE users SET {assignment}access_changed_at = GREATEST(UTC_TIMESTAMP(6), "
        "access_changed_at + INTERVAL 1 MICROSECOND), updated_at = UTC_TIMESTAMP(6) WHERE id = %s",
        *values,
        user_id,
    )
    return await find(transaction, user_id)


async def changed_since(database: Database, since_micros: int) -> list[AccountAccess]:
    """The accounts whose access changed after that moment (microseconds since 1970); new accounts are no change."""
    since: datetime = EPOCH + timedelta(microseconds=max(0, since_micros))
    rows = await database.read(
        _ACCOUNT + "WHERE u.access_changed_at > %s AND u.access_changed_at <> u.created_at",
        to_sql(since),
    )
    return [_account(row).access for row in rows]
