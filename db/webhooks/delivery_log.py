"""The delivery log as owners read it, what they may ask for again, and how long it is kept.

In: an endpoint (whose owner was checked), ids, cursors. Out: frozen rows (aware UTC), counts.
Must stay true: asking again never makes a second delivery of the same event; old rows go in small bites, by id.
"""

from collections.abc import Sequence

from contracts.webhooks.resources import LoggedAttempt, LoggedDelivery
from db.mysql.database import (
    Database,
    Transaction,
    placeholders,
)
from db.rows import Select
from db.webhooks.deliveries import NewDelivery, add

DELIVERED_DAYS = 7
"""How long a delivery stays in the log after it succeeded."""
FAILED_DAYS = 30
SWEEP_ROWS = 500


# What somebody waits for is due a day ago, to go before all others: its owner reads "now".
_LOGGED = Select(
    LoggedDelivery,
    last_status_code="status_code",
    last_error="error",
    next_attempt_at="GREATEST(next_attempt_at, updated_at)",
)
_ATTEMPTS = Select(LoggedAttempt)


async def page(
    database: Database, endpoint_id: int, before_id: int | None, limit: int
) -> list[LoggedDelivery]:
    """The newest deliveries of an endpoint, below `before_id`, newest first."""
    rows = await database.read(
        f"SELECT {_LOGGED.columns} FROM webhook_deliveries WHERE endpoint_id = %s AND id < %s "
        "ORDER BY id DESC LIMIT %s",
        endpoint_id,
        before_id if before_id is not None else 2**63 - 1,
        limit,
    )
    return _LOGGED.rows(rows)


async def by_id(database: Database, endpoint_id: int, delivery_id: int) -> LoggedDelivery | None:
    """One delivery of an endpoint, None when it has none of that id."""
    rows = await database.read(
        f"SELECT {_LOGGED.columns} FROM webhook_deliveries WHERE id = %s AND endpoint_id = %s",
        delivery_id,
        endpoint_id,
    )
    return _LOGGED.row(rows[0]) if rows else None


async def by_event(transaction: Transaction, endpoint_id: int, event_id: str) -> LoggedDelivery:
    """The delivery of an event to an endpoint. Raises IndexError when there is none."""
    rows = await transaction.fetch(
        f"SELECT {_LOGGED.columns} FROM webhook_deliveries WHERE endpoint_id = %s AND event_id = %s",
        endpoint_id,
        event_id,
    )
    return _LOGGED.row(rows[0])


async def attempts(database: Database, delivery_id: int) -> list[LoggedAttempt]:
    """Every attempt of a delivery, first to last."""
    rows = await database.read(
        f"SELECT {_ATTEMPTS.columns} FROM webhook_attempts WHERE delivery_id = %s ORDER BY number",
        delivery_id,
    )
    return _ATTEMPTS.rows(rows)


async def resend(database: Database, endpoint_id: int, delivery_id: int) -> LoggedDelivery | None:
    """Send a delivery again, now, in a round of its own; None when there is none of that id.

    It goes out of turn and before all others (somebody waits for it), a pause of the endpoint ends, and what
    waited behind it waits no longer.
    """

    async def work(transaction: Transaction) -> None:
        changed = await transaction.execute(
            "UPDATE webhook_deliveries SET status = 'PENDING', ordered = FALSE, tries = 0, "
            "first_try_at = NULL, delivered_at = NULL, next_attempt_at = UTC_TIMESTAMP(6) - INTERVAL 1 DAY, "
            "updated_at = UTC_TIMESTAMP(6) WHERE id = %s AND endpoint_id = %s",
            delivery_id,
            endpoint_id,
        )
        if not changed:
            return
        await end_pause(transaction, endpoint_id)
        behind = await transaction.fetch(
            "SELECT b.id FROM webhook_deliveries a JOIN webhook_deliveries b "
            "ON b.endpoint_id = a.endpoint_id AND b.status = 'PENDING' AND b.aggregate = a.aggregate "
            "AND b.ordered AND b.tries = 0 AND b.id <> a.id WHERE a.id = %s",
            delivery_id,
        )
        if behind:
            await transaction.execute(
                "UPDATE webhook_deliveries SET next_attempt_at = UTC_TIMESTAMP(6) "
                f"WHERE id IN ({placeholders(behind)}) AND status = 'PENDING'",
                *sorted(id_ for (id_,) in behind),
            )

    await database.run(work)
    return await by_id(database, endpoint_id, delivery_id)


async def ping(database: Database, endpoint_id: int, new: NewDelivery) -> LoggedDelivery:
    """Write a ping down, due before all others; a pause of the endpoint ends."""

    async def work(transaction: Transaction) -> LoggedDelivery:
        await add(transaction, [new])
        await end_pause(transaction, endpoint_id)
        return await by_event(transaction, endpoint_id, new.event_id)

    return await database.run(work)


async def end_pause(transaction: Transaction, endpoint_id: int) -> None:
    """Somebody wants to know now whether the endpoint answers."""
    await transaction.execute(
        "UPDATE webhook_endpoints SET paused_until = NULL, failures = 0 WHERE id = %s", endpoint_id
    )


async def sweep(database: Database) -> int:
    """Forget a bite of what is older than it is kept for; how many deliveries that were."""
    old: list[int] = []
    for status, days in (("DELIVERED", DELIVERED_DAYS), ("FAILED", FAILED_DAYS)):
        rows = await database.read(
            "SELECT id FROM webhook_deliveries WHERE status = %s "
            "AND updated_at < UTC_TIMESTAMP(6) - INTERVAL %s DAY ORDER BY updated_at LIMIT %s",
            status,
            days,
            SWEEP_ROWS,
        )
        old += [id_ for (id_,) in rows]
    rows = await database.read(
        "SELECT d.id FROM webhook_endpoints e JOIN webhook_deliveries d ON d.endpoint_id = e.id "
        "AND d.status <> 'PENDING' WHERE e.status = 'DELETED' LIMIT %s",
        SWEEP_ROWS,
    )
    await _forget(database, sorted({*old, *(id_ for (id_,) in rows)}))
    return len(old) + len(rows)


async def _forget(database: Database, ids: Sequence[int]) -> None:
    async def work(transaction: Transaction) -> None:
        marks = placeholders(ids)
        for table, column in (("webhook_attempts", "delivery_id"), ("webhook_deliveries", "id")):
            await transaction.execute(f"DELETE FROM {table} WHERE {column} IN ({marks})", *ids)

    if ids:
        await database.run(work)
