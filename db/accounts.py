"""Accounts, roles and what changed about them: all SQL of `users`, `roles`, `user_roles`.

In: e-mail addresses in their stored form (see gateway.accounts), password hashes. Out: `Account`s.
Must stay true: every change of status or roles moves `access_changed_at` forward, strictly, by the database's clock; at
least one ACTIVE admin remains.
"""

from datetime import datetime, timedelta
from typing import cast

from contracts.accounts import AccountAccess
from contracts.command_ids import EPOCH
from contracts.models import RoleName
from contracts.times import from_sql, to_sql
from db.mysql import Database


def _micros(moment: datetime) -> int:
    return (from_sql(moment) - EPOCH) // timedelta(microseconds=1)


def _roles(names: str | None) -> tuple[RoleName, ...]:
    # GROUP_CONCAT of a NOT NULL enum-like column; only names of `roles` come out.
    return cast("tuple[RoleName, ...]", tuple(sorted(names.split(",")))) if names else ()


async def changed_since(database: Database, since_micros: int) -> list[AccountAccess]:
    """The accounts whose access changed after that moment (microseconds since 1970); new accounts are no change."""
    since = EPOCH + timedelta(microseconds=max(0, since_micros))
    rows = await database.read(
        "SELECT u.id, u.status, u.access_changed_at, GROUP_CONCAT(r.role_name) FROM users u "
        "LEFT JOIN user_roles ur ON ur.user_id = u.id LEFT JOIN roles r ON r.id = ur.role_id "
        "WHERE u.access_changed_at > %s AND u.access_changed_at <> u.created_at "
        "GROUP BY u.id, u.status, u.access_changed_at",
        to_sql(since),
    )
    return [
        AccountAccess(row[0], row[1] == "ACTIVE", _roles(row[3]), _micros(row[2])) for row in rows
    ]
