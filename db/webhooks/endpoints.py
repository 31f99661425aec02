"""Webhook endpoints in SQL: what owners see and change, whom an event may reach, what the sender must know.

In: ids, canonical URLs, sealed secrets. Out: frozen rows (aware UTC).
Must stay true: an owner reaches only their own endpoints; a deleted one keeps no secret; secrets are stored sealed.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import orjson

from contracts.webhooks.resources import Endpoint
from db.mysql.database import (
    Database,
    Transaction,
    placeholders,
)
from db.rows import Select

ROTATION_HOURS = 24
"""How long the secret before the present one still signs."""


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
    secret: bytes
    previous_secret: bytes | None
    failures: int
    pause: float
    last_success_at: datetime | None


class TooManyEndpoints(Exception):
    """The account has as many endpoints as it may have."""


async def create(
    database: Database,
    user_id: int,
    url: str,
    event_types: Sequence[str],
    sealed: bytes,
    *,
    limit: int,
) -> int:
    """The id of a new endpoint. Raises TooManyEndpoints."""

    async def work(transaction: Transaction) -> int:
        # The account's row orders its requests, so that two at once cannot both be the last allowed one.
        await transaction.fetch("SELECT id FROM users WHERE id = %s FOR UPDATE", user_id)
        rows = await transaction.fetch(
            "SELECT COUNT(*) FROM webhook_endpoints WHERE user_id = %s AND status <> 'DELETED'",
            user_id,
        )
        [[count]] = rows
        if count >= limit:
            raise TooManyEndpoints
        now = await transaction.now()
        moment = now.replace(tzinfo=None)
        types = orjson.dumps(list(event_types)).decode()
        columns = ("user_id", "url", "event_types", "secret", "created_at", "updated_at")
        row = (user_id, url, types, sealed, moment, moment)
        return await transaction.insert("webhook_endpoints", columns, [row])

    return await database.run(work)


_ENDPOINTS = Select(Endpoint)


async def by_id(database: Database, user_id: int, endpoint_id: int) -> Endpoint | None:
    """One's own endpoint, None when there is none of that id."""
    rows = await database.read(
        f"SELECT {_ENDPOINTS.columns} FROM webhook_endpoints "
        "WHERE id = %s AND user_id = %s AND status <> 'DELETED'",
        endpoint_id,
        user_id,
    )
    return _ENDPOINTS.row(rows[0]) if rows else None


async def page(database: Database, user_id: int, after_id: int, limit: int) -> list[Endpoint]:
    """One's own endpoints with ids above `after_id`, by id."""
    rows = await database.read(
        f"SELECT {_ENDPOINTS.columns} FROM webhook_endpoints "
        "WHERE user_id = %s AND status IN ('ACTIVE', 'DISABLED') AND id > %s ORDER BY id LIMIT %s",
        user_id,
        after_id,
        limit,
    )
    return _ENDPOINTS.rows(rows)


async def delete(database: Database, user_id: int, endpoint_id: int) -> bool:
    """Forget an endpoint and its secrets; False when there is none of that id."""
    changed = await database.write(
        "UPDATE webhook_endpoints SET status = 'DELETED', disabled_reason = NULL, secret = '', "
        "previous_secret = NULL, previous_until = NULL, updated_at = UTC_TIMESTAMP(6) "
        "WHERE id = %s AND user_id = %s AND status <> 'DELETED'",
        endpoint_id,
        user_id,
    )
    return changed == 1


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


async def rotate(database: Database, user_id: int, endpoint_id: int, sealed: bytes) -> bool:
    """Put a new secret in place; the old one signs too for 24 h. False when there is none of that id."""
    # MySQL and MariaDB assign from left to right: previous_secret gets the old value.
    changed = await database.write(
        "UPDATE webhook_endpoints SET previous_secret = secret, secret = %s, "
        "previous_until = UTC_TIMESTAMP(6) + INTERVAL %s HOUR, updated_at = UTC_TIMESTAMP(6) "
        "WHERE id = %s AND user_id = %s AND status <> 'DELETED'",
        sealed,
        ROTATION_HOURS,
        endpoint_id,
        user_id,
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


_TARGETS = Select(
    Target,
    "e",
    # A disabled account's endpoints are as good as disabled: what it was to hear, it hears no more.
    status="IF(u.status = 'ACTIVE', e.status, 'DISABLED')",
    previous_secret="IF(e.previous_until > UTC_TIMESTAMP(6), e.previous_secret, NULL)",  # noqa: S106 - an expression, no secret
    pause="GREATEST(0, COALESCE(TIMESTAMPDIFF(MICROSECOND, UTC_TIMESTAMP(6), e.paused_until), 0)) / 1e6",
)


async def targets(database: Database, ids: Sequence[int]) -> list[Target]:
    """What the sender must know of these endpoints now; deleted ones too."""
    if not ids:
        return []
    rows = await database.read(
        f"SELECT {_TARGETS.columns} FROM webhook_endpoints e JOIN users u ON u.id = e.user_id "
        f"WHERE e.id IN ({placeholders(ids)})",
        *ids,
    )
    return _TARGETS.rows(rows)


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
        await transaction.execute(
            "UPDATE webhook_endpoints SET status = 'DISABLED', disabled_reason = %s, "
            "updated_at = UTC_TIMESTAMP(6) WHERE id = %s AND status = 'ACTIVE'",
            health.disable,
            health.endpoint_id,
        )
    elif health.revived:
        await transaction.execute(
            "UPDATE webhook_endpoints SET status = 'ACTIVE', disabled_reason = NULL, "
            "updated_at = UTC_TIMESTAMP(6) WHERE id = %s AND status = 'DISABLED'",
            health.endpoint_id,
        )
