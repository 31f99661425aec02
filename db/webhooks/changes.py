"""What an owner does to their webhook endpoints, in SQL: make one, change it, change its secret, delete it.

In: an account, canonical URLs, sealed secrets. Out: rows changed, and the ping that a receiver must answer first.
Must stay true: an endpoint is PENDING until the receiver at its present URL has answered a ping, so a new URL is asked
anew; every secret that was replaced signs for another 24 hours, however often it is replaced; a deleted endpoint keeps
no secret. `note` is run in the transaction of the change: an answer that is kept for an Idempotency-Key is kept with
its effect or not at all.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import orjson

from contracts.webhooks.resources import Endpoint
from db.mysql.database import Database, Transaction
from db.webhooks.deliveries import abandon_unordered
from db.webhooks.endpoints import locked
from db.webhooks.pings import add_ping, lock_account, reserve_ping

ROTATION_HOURS = 24
"""How long a secret signs after it was replaced."""
OLD_SECRETS_MAX = 20
"""Replaced secrets that sign beside the present one: each is a signature in every message."""

Note = Callable[[Transaction, int], None]
"""Given the transaction and the endpoint's id: what else is written with the change."""


class TooManyEndpoints(Exception):
    """The account has as many endpoints as it may have."""


class TooManySecrets(Exception):
    """So many replaced secrets still sign. `retry_after`: seconds until the oldest of them is over."""

    def __init__(self, retry_after: int) -> None:
        super().__init__(retry_after)
        self.retry_after = max(1, retry_after)


@dataclass(frozen=True, slots=True)
class EndpointChange:
    """What an owner wants to be different; None: as it is."""

    url: str | None = None
    event_types: Sequence[str] | None = None
    status: str | None = None
    """ACTIVE or DISABLED."""


@dataclass(frozen=True, slots=True)
class EndpointState:
    """What follows from a change. `ask`: a ping goes out."""

    status: str
    disabled_reason: str | None
    verified: bool
    ask: bool


def state_after(before: Endpoint, change: EndpointChange) -> EndpointState:
    """The rule: nothing is ACTIVE whose receiver has not agreed, and only its owner switches it off or on here."""
    moved = change.url is not None and change.url != before.url
    verified = before.verified and not moved
    wanted = change.status or ("DISABLED" if before.status == "DISABLED" else "ACTIVE")
    if wanted == "DISABLED":
        return EndpointState("DISABLED", before.disabled_reason or "OWNER", verified, ask=False)
    if verified:
        return EndpointState("ACTIVE", None, verified=True, ask=False)
    asked_already = before.status == "PENDING" and not moved
    return EndpointState("PENDING", None, verified=False, ask=not asked_already)


async def create(
    database: Database,
    user_id: int,
    url: str,
    event_types: Sequence[str],
    sealed: bytes,
    *,
    limit: int,
    note: Note | None = None,
) -> int:
    """The id of a new endpoint; its first ping is due at once. Raises TooManyEndpoints, PingsUsedUp."""

    async def work(transaction: Transaction) -> int:
        await lock_account(transaction, user_id)
        rows = await transaction.fetch(
            "SELECT COUNT(*) FROM webhook_endpoints WHERE user_id = %s AND status <> 'DELETED'",
            user_id,
        )
        if rows[0][0] >= limit:
            raise TooManyEndpoints
        now = await transaction.now()
        moment = now.replace(tzinfo=None)
        types = orjson.dumps(list(event_types)).decode()
        columns = ("user_id", "url", "event_types", "secret", "created_at", "updated_at")
        row = (user_id, url, types, sealed, moment, moment)
        endpoint_id = await transaction.insert("webhook_endpoints", columns, [row])
        await reserve_ping(transaction, user_id, endpoint_id)
        await add_ping(transaction, endpoint_id)
        if note is not None:
            note(transaction, endpoint_id)
        return endpoint_id

    return await database.run(work)


async def change(
    database: Database, user_id: int, endpoint_id: int, wanted: EndpointChange
) -> bool:
    """Change an endpoint; False when there is none of that id. Raises PingsUsedUp."""

    async def work(transaction: Transaction) -> bool:
        await lock_account(transaction, user_id)
        before = await locked(transaction, user_id, endpoint_id)
        if before is None:
            return False
        after = state_after(before, wanted)
        if after.ask:
            await reserve_ping(transaction, user_id, endpoint_id)
        await _write(transaction, before, wanted, after)
        if after.ask:
            # What somebody had asked the old URL for is none of the new one's business.
            await abandon_unordered(transaction, endpoint_id, "the URL is another one")
            await add_ping(transaction, endpoint_id)
        return True

    return await database.run(work)


async def _write(
    transaction: Transaction, before: Endpoint, wanted: EndpointChange, after: EndpointState
) -> None:
    types = before.event_types if wanted.event_types is None else wanted.event_types
    await transaction.execute(
        "UPDATE webhook_endpoints SET url = %s, event_types = %s, status = %s, disabled_reason = %s, "
        "verified_at = IF(%s, verified_at, NULL), failures = IF(%s, 0, failures), "
        "paused_until = IF(%s, NULL, paused_until), updated_at = UTC_TIMESTAMP(6) WHERE id = %s",
        wanted.url or before.url,
        orjson.dumps(list(types)).decode(),
        after.status,
        after.disabled_reason,
        after.verified,
        after.ask,
        after.ask,
        before.id,
    )


async def rotate(
    database: Database, user_id: int, endpoint_id: int, sealed: bytes, note: Note | None = None
) -> bool:
    """Put a new secret in place; the old one signs too for 24 h. False when there is none of that id.

    Raises TooManySecrets.
    """

    async def work(transaction: Transaction) -> bool:
        if await locked(transaction, user_id, endpoint_id) is None:
            return False
        await _check_old_secrets(transaction, endpoint_id)
        await transaction.execute(
            "INSERT INTO webhook_old_secrets (endpoint_id, secret, valid_until) "
            "SELECT id, secret, UTC_TIMESTAMP(6) + INTERVAL %s HOUR FROM webhook_endpoints WHERE id = %s",
            ROTATION_HOURS,
            endpoint_id,
        )
        await transaction.execute(
            "UPDATE webhook_endpoints SET secret = %s, updated_at = UTC_TIMESTAMP(6) WHERE id = %s",
            sealed,
            endpoint_id,
        )
        if note is not None:
            note(transaction, endpoint_id)
        return True

    return await database.run(work)


async def _check_old_secrets(transaction: Transaction, endpoint_id: int) -> None:
    rows = await transaction.fetch(
        "SELECT COUNT(*), TIMESTAMPDIFF(SECOND, UTC_TIMESTAMP(6), MIN(valid_until)) + 1 "
        "FROM webhook_old_secrets WHERE endpoint_id = %s AND valid_until > UTC_TIMESTAMP(6)",
        endpoint_id,
    )
    if rows[0][0] >= OLD_SECRETS_MAX:
        raise TooManySecrets(int(rows[0][1]))


async def delete(database: Database, user_id: int, endpoint_id: int) -> bool:
    """Forget an endpoint and its secrets; False when there is none of that id."""

    async def work(transaction: Transaction) -> bool:
        changed = await transaction.execute(
            "UPDATE webhook_endpoints SET status = 'DELETED', disabled_reason = NULL, "
            "verified_at = NULL, secret = '', updated_at = UTC_TIMESTAMP(6) "
            "WHERE id = %s AND user_id = %s AND status <> 'DELETED'",
            endpoint_id,
            user_id,
        )
        if changed:
            await transaction.execute(
                "DELETE FROM webhook_old_secrets WHERE endpoint_id = %s", endpoint_id
            )
        return changed == 1

    return await database.run(work)
