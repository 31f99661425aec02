"""The audit log: who changed roles, statuses, locks, providers, rates, who paused a sale.

All SQL of `audit_log`, `audit_log_addresses`.

In: what was done, in the transaction that does it. Out: entries, the newest first.
Must stay true: an entry is there exactly when the thing it tells of is; entries are inserted and read, and no statement
changes or deletes one; they hold ids, never a mail address or a person's name. The network address stands in a table
of its own, so that forgetting it touches no entry.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

import orjson

from contracts.runtime.times import to_sql
from db.mysql.database import Database, Transaction
from db.rows import Select

Values = Mapping[str, Any]
ADDRESS_LENGTH_MAX = 45


class AuditAction(StrEnum):
    """What can be done that is worth a line for ever. Words only ever get added."""

    USER_ROLES = "user.roles"
    USER_STATUS = "user.status"
    USER_UNLOCKED = "user.unlocked"
    PROVIDER_ADDED = "provider.added"
    PROVIDER_ROTATED = "provider.rotated"
    PROVIDER_REMOVED = "provider.removed"
    PROVIDER_ASSETS = "provider.assets"
    RATE_ACCEPTED = "rate.accepted"
    EVENT_PAUSED = "event.paused"


@dataclass(frozen=True, slots=True)
class AuditOrigin:
    """Who does it, by which request, from where. `actor_id` None: an operator on the machine."""

    actor_id: int | None
    request_id: str | None = None
    address: str | None = None


OPERATOR = AuditOrigin(None)


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One line. `value_before`, `value_after`: JSON objects, None where there was or is nothing.

    `address` stands in a table of its own.
    """

    id: int
    at: datetime
    actor_id: int | None
    action: str
    subject: str
    value_before: dict[str, Any] | None
    value_after: dict[str, Any] | None
    request_id: str | None
    address: str | None


_ENTRIES = Select(AuditEntry, "l", address="a.address")


@dataclass(frozen=True, slots=True)
class AuditFilter:
    """Which entries are wanted; None: whatever. `since` included, `until` not."""

    actor_id: int | None = None
    subject: str | None = None
    action: str | None = None
    since: datetime | None = None
    until: datetime | None = None


async def record(
    transaction: Transaction,
    origin: AuditOrigin,
    action: AuditAction,
    subject: str,
    *,
    before: Values | None = None,
    after: Values | None = None,
) -> None:
    """Write an entry that becomes true with the transaction. `subject`: like `user:12`."""
    at = to_sql(await transaction.now())
    columns = (
        "at", "actor_id", "action", "subject", "value_before", "value_after", "request_id"
    )  # fmt: skip
    row = (at, origin.actor_id, str(action), subject, _text(before), _text(after))
    entry_id = await transaction.insert("audit_log", columns, [(*row, origin.request_id)])
    if origin.address:
        addressed = (entry_id, origin.address[:ADDRESS_LENGTH_MAX], at)
        transaction.insert_later("audit_log_addresses", ("entry_id", "address", "at"), [addressed])


def _text(values: Values | None) -> str | None:
    return None if values is None else orjson.dumps(dict(values)).decode()


async def page(
    database: Database, wanted: AuditFilter, *, below: int | None, limit: int
) -> list[AuditEntry]:
    """The newest entries with ids under `below` that fit."""
    conditions: list[str] = []
    values: list[object] = []
    for condition, value in (
        ("l.id < %s", below),
        ("l.actor_id = %s", wanted.actor_id),
        ("l.subject = %s", wanted.subject),
        ("l.action = %s", wanted.action),
        ("l.at >= %s", to_sql(wanted.since) if wanted.since else None),
        ("l.at < %s", to_sql(wanted.until) if wanted.until else None),
    ):
        if value is not None:
            conditions.append(condition)
            values.append(value)
    where = f"WHERE {' AND '.join(conditions)} " if conditions else ""
    rows = await database.read(
        f"SELECT {_ENTRIES.columns} FROM audit_log l "
        f"LEFT JOIN audit_log_addresses a ON a.entry_id = l.id {where}ORDER BY l.id DESC LIMIT %s",
        *values,
        limit,
    )
    return _ENTRIES.rows(rows)


async def forget_addresses(database: Database, keep: timedelta, limit: int) -> int:
    """Forget at most `limit` network addresses older than `keep`; how many went. The entries stay as they are."""
    return await database.write(
        "DELETE FROM audit_log_addresses WHERE at < UTC_TIMESTAMP(6) - INTERVAL %s SECOND "
        "ORDER BY at LIMIT %s",
        int(keep.total_seconds()),
        limit,
    )
