"""The statements of the simulated workers, each as what it does to rows.

In: a session, the statement's parameters in their order. Out: rows as the driver gives them, or a count.
Must stay true: which rows are locked, and which are read from the snapshot, is as in the SQL of the named function.
"""

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import orjson

from db import holdings, orders, returns, stock
from db.messages import outbox, outcomes
from db.mysql.database import Row, Statement, Transaction
from tests.faults.simulation.store import Change, Maker, Query, Session, naive


async def _clock(session: Session, _: str, __: list[Any]) -> list[Row]:
    return [(session.store.now().replace(tzinfo=None),)]


async def _events(session: Session, sql: str, ids: list[Any]) -> list[Row]:
    if "SHARE MODE" not in sql:
        return [
            (one["id"], one["organizer_id"]) for one in session.plain("events") if one["id"] in ids
        ]
    for event_id in ids:
        await session.lock("events", event_id, shared=True)
    rows = [one for one in session.current("events") if one["id"] in ids]
    return _as_json(
        (one["id"], one["organizer_id"], one["end_time"], one["cancelled"], 0, 0, one["name"])
        for one in rows
    )


def _as_json(rows: Iterable[tuple[Any, ...]]) -> list[Row]:
    """Rows as JSON_ARRAY gives them: numbers as they are, prices and times as text."""
    return [(orjson.dumps([_json_value(value) for value in row]).decode(),) for row in rows]


def _json_value(value: Any) -> Any:
    if isinstance(value, Decimal):
        return str(value)
    return value.isoformat(" ", "microseconds") if isinstance(value, datetime) else value


_TYPE = (
    "id", "event_id", "price", "currency", "quota",
    "available", "max_per_order", "max_per_user", "sales_start", "sales_end", "version",
)  # fmt: skip


async def _types(session: Session, sql: str, ids: list[Any]) -> list[Row]:
    if "FOR UPDATE" in sql:
        for type_id in ids:
            await session.lock("ticket_types", type_id)
    rows = session.current("ticket_types") if "FOR UPDATE" in sql else session.plain("ticket_types")
    return _as_json(
        (*(one[name] for name in _TYPE), False, one["name"]) for one in rows if one["id"] in ids
    )


async def _no_limits(_: Session, __: str, ___: list[Any]) -> list[Row]:
    """No simulated type has a limit per person."""
    return []


async def _shortage(session: Session, _: str, ids: list[Any]) -> list[Row]:
    found: list[Row] = []
    unpaid = {
        one["id"]: one for one in session.plain("orders") if one["status"] == "PENDING_PAYMENT"
    }
    for type_id in ids:
        lines = [
            one
            for one in session.plain("order_details")
            if one["ticket_type_id"] == type_id and one["order_id"] in unpaid
        ]
        if lines:
            ends = min(unpaid[one["order_id"]]["expires_at"] for one in lines)
            found.append((type_id, Decimal(sum(one["quantity"] for one in lines)), ends))
    return found


_ORDER = (
    "id", "user_id", "event_id", "status", "total_cost",
    "currency", "expires_at", "version", "created_at", "updated_at", "items_version", "event_name",
)  # fmt: skip


async def _orders(session: Session, sql: str, ids: list[Any]) -> list[Row]:
    free = []
    for order_id in ids:
        if "SKIP LOCKED" in sql and not session.free(("orders", order_id), False):
            continue
        await session.lock("orders", order_id)
        free.append(order_id)
    return [
        tuple(one[name] for name in _ORDER)
        for one in session.current("orders")
        if one["id"] in free
    ]


async def _details(session: Session, _: str, ids: list[Any]) -> list[Row]:
    names = (
        "order_id", "ticket_type_id", "quantity", "unit_price", "items_version", "ticket_type_name",
        "id",
    )  # fmt: skip
    return [
        tuple(one[name] for name in names)
        for one in session.plain("order_details")
        if one["order_id"] in ids
    ]


async def _unreturned(session: Session, sql: str, ids: list[Any]) -> list[Row]:
    if "FOR UPDATE" in sql:
        return await _still(session, ids)
    ended = {
        one["id"] for one in session.plain("orders") if one["status"] in ("CANCELLED", "EXPIRED")
    }
    names = ("id", "order_id", "ticket_type_id", "quantity")
    return [
        tuple(one[name] for name in names)
        for one in session.plain("order_details")
        if one["order_id"] in ids and one["order_id"] in ended and one["returned_version"] is None
    ]


async def _still(session: Session, ids: list[Any]) -> list[Row]:
    for line in ids:
        await session.lock("order_details", line)
    rows = session.current("order_details")
    return [(one["id"],) for one in rows if one["id"] in ids and one["returned_version"] is None]


async def _overdue(session: Session, _: str, __: list[Any]) -> list[Row]:
    now = session.store.now().replace(tzinfo=None)
    rows = session.plain("orders")
    return [
        (one["id"],)
        for one in rows
        if one["status"] == "PENDING_PAYMENT" and one["expires_at"] <= now
    ]


async def _overdue_returns(session: Session, _: str, values: list[Any]) -> list[Row]:
    seconds, limit = values
    ended = session.store.now().replace(tzinfo=None) - timedelta(seconds=seconds)
    rows = [one for one in session.plain("pending_returns") if one["ended_at"] <= ended]
    rows.sort(key=lambda one: one["ended_at"])
    return [(one["order_id"],) for one in rows[:limit]]


async def _settled(session: Session, parameters: list[Any]) -> int:
    settled = set(orjson.loads(parameters[0]))
    rows = [one for one in session.current("pending_returns") if one["order_id"] in settled]
    for row in rows:
        await session.lock("pending_returns", row["id"])
        session.drop("pending_returns", row["id"])
    return len(rows)


async def _outcomes(session: Session, sql: str, ids: list[Any]) -> list[Row]:
    names = sql[len("SELECT ") : sql.index(" FROM")].split(",")
    return [
        tuple(one[name] for name in names)
        for one in session.plain("command_outcomes")
        if one["id"] in ids
    ]


async def _pending(session: Session, _: str, values: list[Any]) -> list[Row]:
    *streams, limit = values
    names = ("id", "stream", "aggregate", "routing_key", "body")
    rows = [one for one in session.plain("outbox") if one["stream"] in streams]
    return [tuple(one[name] for name in names) for one in rows[:limit]]


def steps(values: list[Any]) -> list[tuple[int, int, int]]:
    """(ticket type, delta, version read) of each step in the parameters of a stock UPDATE.

    They come as deltas (id and value each), the time, the ids, versions and deltas again (id and value each).
    """
    count = (len(values) - 1) // 7
    deltas, versions = values[: 2 * count], values[3 * count + 1 :][: 2 * count]
    return list(zip(deltas[0::2], deltas[1::2], versions[1::2], strict=True))


async def _step(session: Session, values: list[Any]) -> int:
    changed = 0
    for type_id, delta, version in steps(values):
        await session.lock("ticket_types", type_id)
        row = next(one for one in session.current("ticket_types") if one["id"] == type_id)
        available = row["available"] + delta
        if row["version"] == version and available >= 0:
            session.put("ticket_types", row, available=available, version=version + 1)
            changed += 1
    return changed


async def _move(session: Session, values: list[Any]) -> int:
    to, at, *ids, pending, version = values
    count = 0
    for order_id in ids:
        await session.lock("orders", order_id)
        row = next(one for one in session.current("orders") if one["id"] == order_id)
        if row["status"] == pending and row["version"] == version:
            session.put("orders", row, status=to, version=version + 1, updated_at=naive(at))
            count += 1
    return count


async def _return(session: Session, values: list[Any]) -> int:
    version, at, *ids = values
    count = 0
    for row in session.current("order_details"):
        if row["id"] in ids and row["returned_version"] is None:
            session.put("order_details", row, returned_version=version, updated_at=naive(at))
            count += 1
    return count


async def _published(session: Session, parameters: list[Any]) -> int:
    sent = orjson.loads(parameters[0])
    for row_id in sent:
        session.drop("outbox", row_id)
    return len(sent)


async def alive(_: Session, __: str, ___: list[Any]) -> list[Row]:
    """The answer of a database that is there."""
    return [(1,)]


QUERIES: dict[Maker, Query] = {
    Transaction.now: _clock,
    stock.share_events: _events,
    orders._organizers: _events,
    stock.read: _types,
    stock.shortages: _shortage,
    stock.unreturned: _unreturned,
    orders.lock: _orders,
    orders.details: _details,
    orders.past_deadline: _overdue,
    returns.overdue: _overdue_returns,
    holdings.read: _no_limits,
    outcomes.find: _outcomes,
    outbox.pending: _pending,
}
STATEMENTS: dict[Maker, Change] = {
    stock._write: _step,
    stock.mark_returned: _return,
    orders.end: _move,
    outbox.published: _published,
    returns.settle: _settled,
}


def _held_queries(parameters: Sequence[Any]) -> list[Statement]:
    """Every query of `holdings.ticket_query` with these parameters: accounts, then types."""
    return [
        holdings.ticket_query([(user, 0) for user in parameters[:border]], parameters[border:])
        for border in range(1, len(parameters))
    ]


AHEAD: tuple[tuple[Callable[[Sequence[Any]], list[Statement]], Maker], ...] = (
    (lambda ids: [stock.share_query(ids)], stock.share_events),
    (lambda ids: [stock.read_query(ids, lock=True)], stock.read),
    (lambda ids: [stock.read_query(ids, lock=False)], stock.read),
    (_held_queries, holdings.read),
)
