"""Webhook deliveries in SQL: written down once, found when due, closed with how they went.

In: events' bodies per endpoint; results of attempts. Out: frozen rows (aware UTC).
Must stay true: one event is one delivery per endpoint, however often it is seen; a pending delivery has a time for
its next attempt, a closed one has none; nothing is locked by range (the sender's writes name their rows).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from contracts.runtime.times import from_sql, to_sql
from db.mysql.database import (
    Database,
    Transaction,
    placeholders,
)
from db.rows import Select

ERROR_LENGTH_MAX = 255
AHEAD_OF_ALL_DAYS = 1
"""How far back the due time of a delivery lies that goes before all others."""


@dataclass(frozen=True, slots=True)
class NewDelivery:
    """An event for an endpoint. `sequence` rises within `aggregate`; `body` is what will be signed."""

    endpoint_id: int
    event_id: str
    event_type: str
    aggregate: str
    sequence: int
    body: str
    ordered: bool = True


@dataclass(frozen=True, slots=True)
class QueuedDelivery:
    """A pending delivery, as far as deciding its turn goes."""

    id: int
    aggregate: str
    sequence: int
    ordered: bool
    next_attempt_at: datetime
    first_try_at: datetime | None


@dataclass(frozen=True, slots=True)
class DueDelivery:
    """A pending delivery, ready to be sent."""

    id: int
    endpoint_id: int
    event_id: str
    event_type: str
    aggregate: str
    sequence: int
    ordered: bool
    body: str
    attempts: int
    tries: int
    first_try_at: datetime | None
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Closing:
    """What an attempt led to: DELIVERED, FAILED (for good), or PENDING with `delay` seconds to the next one."""

    delivery: DueDelivery
    status: str
    delay: float | None
    started_at: datetime
    duration_ms: int
    status_code: int | None
    error: str | None


_NEW_COLUMNS = (
    "endpoint_id, event_id, event_type, aggregate, sequence, body, ordered, "
    "next_attempt_at, created_at, updated_at"
)


async def add(transaction: Transaction, new: Sequence[NewDelivery]) -> None:
    """Write deliveries down, due at once (out of turn: before all others); those that are there stay as they are."""
    if not new:
        return
    one = (
        "(%s,%s,%s,%s,%s,%s,%s, UTC_TIMESTAMP(6) - INTERVAL %s DAY, "
        "UTC_TIMESTAMP(6), UTC_TIMESTAMP(6))"
    )
    values = [
        (
            n.endpoint_id,
            n.event_id,
            n.event_type,
            n.aggregate,
            n.sequence,
            n.body,
            n.ordered,
            0 if n.ordered else AHEAD_OF_ALL_DAYS,
        )
        for n in new
    ]
    await transaction.execute(
        f"INSERT INTO webhook_deliveries ({_NEW_COLUMNS}) VALUES {','.join([one] * len(values))} "
        "ON DUPLICATE KEY UPDATE id = id",
        *[value for row in values for value in row],
    )


async def due_endpoints(database: Database) -> list[int]:
    """The endpoints that have a delivery due now (an index skip-scan: the cost is per endpoint)."""
    rows = await database.read(
        "SELECT endpoint_id, MIN(next_attempt_at) AS earliest FROM webhook_deliveries "
        "WHERE status = 'PENDING' GROUP BY endpoint_id HAVING earliest <= UTC_TIMESTAMP(6)"
    )
    return [endpoint_id for endpoint_id, _ in rows]


_WAITING = Select(QueuedDelivery)


async def due(
    database: Database, endpoint_id: int, known: Sequence[int], limit: int
) -> tuple[datetime, list[QueuedDelivery]]:
    """(the database's time, the deliveries of an endpoint that may matter now).

    At most `limit` due ones that the caller does not know yet, and everything pending of their aggregates.
    """
    parameters: list[object] = [endpoint_id]
    unknown = ""
    if known:
        unknown = f"AND id NOT IN ({placeholders(known)}) "
        parameters += known
    rows = await database.read(
        f"SELECT {_WAITING.columns}, UTC_TIMESTAMP(6) FROM webhook_deliveries "
        "WHERE status = 'PENDING' AND endpoint_id = %s AND next_attempt_at <= UTC_TIMESTAMP(6) "
        f"{unknown}ORDER BY next_attempt_at, id LIMIT %s",
        *parameters,
        limit,
    )
    if not rows:
        return datetime.min, []
    [now] = _WAITING.rest(rows[0])
    due_now = _WAITING.rows(rows)
    aggregates = sorted({one.aggregate for one in due_now})
    others = await database.read(
        f"SELECT {_WAITING.columns} FROM webhook_deliveries WHERE endpoint_id = %s "
        f"AND status = 'PENDING' AND aggregate IN ({placeholders(aggregates)})",
        endpoint_id,
        *aggregates,
    )
    found = {one.id: one for one in (*due_now, *_WAITING.rows(others))}
    return from_sql(now), list(found.values())


_DUE = Select(DueDelivery)


async def load(database: Database, ids: Sequence[int]) -> list[DueDelivery]:
    """These deliveries as far as they are still pending, in the order of `ids`."""
    if not ids:
        return []
    rows = await database.read(
        f"SELECT {_DUE.columns} FROM webhook_deliveries "
        f"WHERE id IN ({placeholders(ids)}) AND status = 'PENDING'",
        *ids,
    )
    found = {one.id: one for one in _DUE.rows(rows)}
    return [found[one] for one in ids if one in found]


async def postpone(database: Database, until: dict[int, datetime]) -> None:
    """Let deliveries wait until the given times (they stand behind another that is being retried)."""
    by_time: dict[datetime, list[int]] = {}
    for delivery_id, moment in until.items():
        by_time.setdefault(moment, []).append(delivery_id)

    async def work(transaction: Transaction) -> None:
        for moment, ids in sorted(by_time.items()):
            await transaction.execute(
                f"UPDATE webhook_deliveries SET next_attempt_at = %s WHERE id IN ({placeholders(ids)}) "
                "AND status = 'PENDING' AND ordered",
                to_sql(moment),
                *sorted(ids),
            )

    await database.run(work)


async def abandon(database: Database, ids: Sequence[int], reason: str) -> None:
    """Close deliveries that nobody will send any more."""
    if ids:
        await database.write(
            "UPDATE webhook_deliveries SET status = 'FAILED', next_attempt_at = NULL, error = %s, "
            f"updated_at = UTC_TIMESTAMP(6) WHERE id IN ({placeholders(ids)}) AND status = 'PENDING'",
            reason,
            *sorted(ids),
        )


async def close(transaction: Transaction, closings: Sequence[Closing]) -> None:
    """Write down how attempts went, and the attempts themselves."""
    delivered: dict[int | None, list[int]] = {}
    for one in sorted(closings, key=lambda c: c.delivery.id):
        if one.status == "DELIVERED":
            delivered.setdefault(one.status_code, []).append(one.delivery.id)
        else:
            await _put_back(transaction, one)
    for status_code, ids in delivered.items():
        await transaction.execute(
            "UPDATE webhook_deliveries SET status = 'DELIVERED', next_attempt_at = NULL, "
            "status_code = %s, error = NULL, attempts = attempts + 1, tries = tries + 1, "
            "first_try_at = COALESCE(first_try_at, UTC_TIMESTAMP(6)), delivered_at = UTC_TIMESTAMP(6), "
            f"updated_at = UTC_TIMESTAMP(6) WHERE id IN ({placeholders(ids)})",
            status_code,
            *ids,
        )
    await _log_attempts(transaction, closings)


async def _put_back(transaction: Transaction, closing: Closing) -> None:
    microseconds = None if closing.delay is None else round(closing.delay * 1e6)
    before = closing.delivery
    # Asked for again while the attempt was under way: then its new round stays as it is, due at once.
    changed = await transaction.execute(
        "UPDATE webhook_deliveries SET status = %s, "
        "next_attempt_at = UTC_TIMESTAMP(6) + INTERVAL %s MICROSECOND, status_code = %s, error = %s, "
        "attempts = attempts + 1, tries = tries + 1, "
        "first_try_at = COALESCE(first_try_at, UTC_TIMESTAMP(6)), updated_at = UTC_TIMESTAMP(6) "
        "WHERE id = %s AND status = 'PENDING' AND ordered = %s AND tries = %s",
        closing.status,
        microseconds,
        closing.status_code,
        closing.error,
        before.id,
        before.ordered,
        before.tries,
    )
    if not changed:
        await transaction.execute(
            "UPDATE webhook_deliveries SET attempts = attempts + 1 WHERE id = %s AND status = 'PENDING'",
            before.id,
        )


async def _log_attempts(transaction: Transaction, closings: Sequence[Closing]) -> None:
    one = "(%s,%s,%s,%s,%s,%s)"
    values = [
        (
            c.delivery.id,
            c.delivery.attempts + 1,
            to_sql(c.started_at),
            c.duration_ms,
            c.status_code,
            c.error,
        )
        for c in closings
    ]
    await transaction.execute(
        "INSERT INTO webhook_attempts (delivery_id, number, started_at, duration_ms, status_code, error) "
        f"VALUES {','.join([one] * len(values))} ON DUPLICATE KEY UPDATE number = number",
        *[value for row in values for value in row],
    )
