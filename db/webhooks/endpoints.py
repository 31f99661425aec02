"""Webhook endpoints in SQL: what owners see, whom an event may reach, what the sender must know and notes.

In: ids, how attempts went. Out: frozen rows (aware UTC).
Must stay true: an owner reaches only their own endpoints; an endpoint becomes ACTIVE only by what the receiver at its
present URL answered. What owners change is in `db.webhooks.changes`.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import orjson

from contracts.webhooks.resources import Endpoint
from db.mysql.database import (
    Database,
    Transaction,
    placeholders,
)
from db.rows import Select


@dataclass(frozen=True, slots=True)
class Listener:
    """An active endpoint of an active account, to be asked whether it may hear an event."""

    endpoint_id: int
    user_id: int
    roles: frozenset[str]
    event_types: frozenset[str]


@dataclass(frozen=True, slots=True)
class Target:
    """An endpoint as the sender sees it. `pause`: seconds for which nothing is sent to it."""

    id: int
    user_id: int
    url: str
    status: str
    failures: int
    pause: float
    last_success_at: datetime | None
    secrets: tuple[bytes, ...] = ()
    """Sealed, the newest first; those that were replaced sign for another day."""


_ENDPOINTS = Select(Endpoint, verified="verified_at IS NOT NULL")
_BY_ID = (
    f"SELECT {_ENDPOINTS.columns} FROM webhook_endpoints "
    "WHERE id = %s AND user_id = %s AND status <> 'DELETED'"
)


async def by_id(database: Database, user_id: int, endpoint_id: int) -> Endpoint | None:
    """One's own endpoint, None when there is none of that id."""
    rows = await database.read(_BY_ID, endpoint_id, user_id)
    return _ENDPOINTS.row(rows[0]) if rows else None


async def locked(transaction: Transaction, user_id: int, endpoint_id: int) -> Endpoint | None:
    """The same, the row locked: to be changed by its owner."""
    rows = await transaction.fetch(f"{_BY_ID} FOR UPDATE", endpoint_id, user_id)
    return _ENDPOINTS.row(rows[0]) if rows else None


async def page(database: Database, user_id: int, after_id: int, limit: int) -> list[Endpoint]:
    """One's own endpoints with ids above `after_id`, by id."""
    rows = await database.read(
        f"SELECT {_ENDPOINTS.columns} FROM webhook_endpoints "
        "WHERE user_id = %s AND status IN ('PENDING', 'ACTIVE', 'DISABLED') AND id > %s "
        "ORDER BY id LIMIT %s",
        user_id,
        after_id,
        limit,
    )
    return _ENDPOINTS.rows(rows)


async def forget_deleted(database: Database, keep: timedelta, limit: int) -> int:
    """Delete at most `limit` endpoints that were given up longer than `keep` ago; only those without deliveries."""
    rows = await database.read(
        "SELECT e.id FROM webhook_endpoints e WHERE e.status = 'DELETED' "
        "AND e.updated_at < UTC_TIMESTAMP(6) - INTERVAL %s SECOND "
        "AND NOT EXISTS (SELECT 1 FROM webhook_deliveries d WHERE d.endpoint_id = e.id) "
        "ORDER BY e.updated_at LIMIT %s",
        int(keep.total_seconds()),
        limit,
    )
    if not rows:
        return 0
    ids = [id_ for (id_,) in rows]
    return await database.write(
        f"DELETE FROM webhook_endpoints WHERE id IN ({placeholders(ids)})", *ids
    )


async def forget_old_secrets(database: Database, limit: int) -> int:
    """Delete at most `limit` replaced secrets that sign no more."""
    return await _forget(database, "webhook_old_secrets", "valid_until < UTC_TIMESTAMP(6)", limit)


async def forget_pings(database: Database, limit: int) -> int:
    """Delete at most `limit` notes of pings that count no more."""
    over = "created_at < UTC_TIMESTAMP(6) - INTERVAL 1 HOUR"
    return await _forget(database, "webhook_pings", over, limit)


async def _forget(database: Database, table: str, over: str, limit: int) -> int:
    column = over.partition(" ")[0]
    found = await database.read(
        f"SELECT id FROM {table} WHERE {over} ORDER BY {column} LIMIT %s", limit
    )
    if not found:
        return 0
    ids = sorted(id_ for (id_,) in found)
    return await database.write(f"DELETE FROM {table} WHERE id IN ({placeholders(ids)})", *ids)


@dataclass(frozen=True, slots=True)
class SealedSecret:
    """A row of `table` with a sealed secret; its key is bound to `user_id`."""

    table: str
    id: int
    user_id: int
    secret: bytes


_SEALED = {
    "webhook_endpoints": "SELECT e.id, e.user_id, e.secret FROM webhook_endpoints e "
    "WHERE e.id > %s AND e.status <> 'DELETED' ORDER BY e.id LIMIT %s",
    "webhook_old_secrets": "SELECT o.id, e.user_id, o.secret FROM webhook_old_secrets o "
    "JOIN webhook_endpoints e ON e.id = o.endpoint_id WHERE o.id > %s ORDER BY o.id LIMIT %s",
}
SEALED_TABLES = tuple(_SEALED)
"""Where secrets are kept: those that sign, and those that were replaced and still sign."""


async def sealed(database: Database, table: str, after_id: int, limit: int) -> list[SealedSecret]:
    """The secrets of all accounts' endpoints in one of the `SEALED_TABLES` with ids above `after_id`, by id."""
    rows = await database.read(_SEALED[table], after_id, limit)
    return [SealedSecret(table, *row) for row in rows]


async def reseal(database: Database, old: SealedSecret, secret: bytes) -> bool:
    """Put the same secret in place, sealed anew; False when it has changed meanwhile."""
    assert old.table in _SEALED, old.table
    changed = await database.write(
        f"UPDATE {old.table} SET secret = %s WHERE id = %s AND secret = %s",
        secret,
        old.id,
        old.secret,
    )
    return changed == 1


_WITH_ENDPOINTS = (
    "SELECT user_id FROM webhook_endpoints WHERE status = 'ACTIVE' AND user_id IN ({}) UNION ALL "
    "SELECT e.user_id FROM roles r JOIN user_roles m ON m.role_id = r.id "
    "JOIN webhook_endpoints e ON e.user_id = m.user_id AND e.status = 'ACTIVE' "
    "WHERE r.role_name = 'ADMIN'"
)
_LISTENERS = (
    "SELECT e.id, e.user_id, e.event_types, GROUP_CONCAT(r.role_name) FROM webhook_endpoints e "
    "JOIN users u ON u.id = e.user_id AND u.status = 'ACTIVE' "
    "LEFT JOIN user_roles m ON m.user_id = e.user_id LEFT JOIN roles r ON r.id = m.role_id "
    "WHERE e.status = 'ACTIVE' AND e.user_id IN ({}) "
    "GROUP BY e.id, e.user_id, e.event_types ORDER BY e.id"
)


async def listeners(database: Database, user_ids: Iterable[int]) -> list[Listener]:
    """Active endpoints of these accounts (one at least) and of all admins, with the roles held now, by id.

    Asked for each batch of events, whose hundred buyers have no endpoint as a rule: who has one at all is found in
    the indexes alone, and roles are joined for those few. One query for both cost three times as much.
    """
    wanted = sorted(set(user_ids))
    found = await database.read(_WITH_ENDPOINTS.format(placeholders(wanted)), *wanted)
    if not found:
        return []
    accounts = sorted({user_id for (user_id,) in found})
    rows = await database.read(_LISTENERS.format(placeholders(accounts)), *accounts)
    return [
        Listener(id_, user, frozenset((roles or "").split(",")), frozenset(orjson.loads(types)))
        for id_, user, types, roles in rows
    ]


async def listening_holders(database: Database, event_id: int, *, void: bool) -> frozenset[int]:
    """The accounts with an active endpoint that hold a ticket of this event; `void`: a void one counts too."""
    rows = await database.read(
        "SELECT DISTINCT e.user_id FROM tickets t JOIN webhook_endpoints e ON e.user_id = t.holder_id "
        "WHERE t.event_id = %s AND (t.status <> 'VOID' OR %s) AND e.status = 'ACTIVE'",
        event_id,
        void,
    )
    return frozenset(user_id for (user_id,) in rows)


_TARGETS = Select(
    Target,
    "e",
    but=("secrets",),
    # A disabled account's endpoints are as good as disabled: what it was to hear, it hears no more.
    status="IF(u.status = 'ACTIVE', e.status, 'DISABLED')",
    pause="GREATEST(0, COALESCE(TIMESTAMPDIFF(MICROSECOND, UTC_TIMESTAMP(6), e.paused_until), 0)) / 1e6",
)


async def targets(database: Database, ids: Sequence[int]) -> list[Target]:
    """What the sender must know of these endpoints now; deleted ones too."""
    if not ids:
        return []
    rows = await database.read(
        f"SELECT {_TARGETS.columns}, e.secret FROM webhook_endpoints e JOIN users u ON u.id = e.user_id "
        f"WHERE e.id IN ({placeholders(ids)})",
        *ids,
    )
    old = await _old_secrets(database, ids)
    return [replace(_TARGETS.row(row), secrets=(*_TARGETS.rest(row), *old[row[0]])) for row in rows]


async def _old_secrets(database: Database, ids: Sequence[int]) -> dict[int, list[bytes]]:
    """What was replaced within the last day, by endpoint, the newest first."""
    rows = await database.read(
        "SELECT endpoint_id, secret FROM webhook_old_secrets "
        f"WHERE endpoint_id IN ({placeholders(ids)}) AND valid_until > UTC_TIMESTAMP(6) "
        "ORDER BY id DESC",
        *ids,
    )
    found: dict[int, list[bytes]] = defaultdict(list)
    for endpoint_id, secret in rows:
        found[endpoint_id].append(secret)
    return found


@dataclass(frozen=True, slots=True)
class Health:
    """How an endpoint has been doing, after a round of attempts. `pause` in seconds from now."""

    endpoint_id: int
    failures: int
    pause: float
    succeeded: bool
    """Something got through in this round."""
    revived: bool
    """It was something that somebody had asked for: a disabled endpoint is active again."""
    agreed: str | None
    """The URL whose receiver answered a ping: if it still is the endpoint's, it may be sent to from now on."""
    disable: str | None
    """GONE or FAILING: send nothing more by itself."""


async def note_health(transaction: Transaction, health: Health) -> None:
    """Remember how an endpoint is doing."""
    await transaction.execute(
        "UPDATE webhook_endpoints SET failures = %s, "
        "paused_until = IF(%s > 0, UTC_TIMESTAMP(6) + INTERVAL %s MICROSECOND, NULL), "
        "last_success_at = IF(%s, UTC_TIMESTAMP(6), last_success_at) WHERE id = %s",
        health.failures,
        health.pause,
        round(health.pause * 1e6),
        health.succeeded,
        health.endpoint_id,
    )
    if health.disable is not None:
        # Who said that it wants nothing more has to be asked again before anything is sent.
        await transaction.execute(
            "UPDATE webhook_endpoints SET status = 'DISABLED', disabled_reason = %s, "
            "verified_at = IF(%s = 'GONE', NULL, verified_at), updated_at = UTC_TIMESTAMP(6) "
            "WHERE id = %s AND status IN ('PENDING', 'ACTIVE')",
            health.disable,
            health.disable,
            health.endpoint_id,
        )
        return
    if health.agreed is not None:
        await _agree(transaction, health.endpoint_id, health.agreed)
    if health.revived:
        await transaction.execute(
            "UPDATE webhook_endpoints SET status = 'ACTIVE', disabled_reason = NULL, "
            "updated_at = UTC_TIMESTAMP(6) "
            "WHERE id = %s AND status = 'DISABLED' AND disabled_reason <> 'OWNER'",
            health.endpoint_id,
        )


async def _agree(transaction: Transaction, endpoint_id: int, url: str) -> None:
    """A ping was answered. An endpoint that its owner switched off stays off until they switch it on."""
    await transaction.execute(
        "UPDATE webhook_endpoints SET verified_at = UTC_TIMESTAMP(6), "
        "updated_at = IF(status = 'PENDING', UTC_TIMESTAMP(6), updated_at), "
        "status = IF(status = 'PENDING', 'ACTIVE', status) "
        "WHERE id = %s AND url = %s AND status <> 'DELETED'",
        endpoint_id,
        url,
    )
