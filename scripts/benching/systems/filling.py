"""A database that has seen a million orders, made in a minute: the books of a finished sale, row by row what the
processes would have written.

In: a database with EventHub's tables, how many orders and events. Out: their rows; the audit accepts them.
Must stay true: nothing that is there is changed; two sessions at once, chunk by chunk, so that no transaction grows
large; afterwards the server has written everything down and knows its tables' sizes: what is measured next does not
pay for the filling.
"""

import asyncio
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import aiomysql
import orjson
from tenacity import AsyncRetrying, retry_if_exception, stop_after_attempt

from contracts.commands import ConfirmPayment, CreateQuote, PlaceOrder
from contracts.resources import (
    OrderDetailRow,
    OrderRow,
    PaymentRow,
    order_resource,
    payment_resource,
)
from contracts.runtime.times import to_sql
from db.mysql.database import connection_arguments, is_transient
from scripts.benching.systems import filling_sql as sql

CHUNK = 25_000
SESSIONS = 2
BATCH = 20
"""Orders of a step of the ledger."""
QUOTA = 100_000_000
USERS_MAX = 50_000
SPAN = timedelta(days=2)
"""The orders were placed within it; all of their commands' outcomes are still kept."""
ENDED = timedelta(hours=2)
"""The last of them so long ago: no order is under way."""
LONG_AGO = timedelta(days=60)
OPENS = timedelta(days=30)
FLUSH_SECONDS = 120.0
CLEAN_SHARE = 0.02
GROWING = (
    *("users", "events", "ticket_types", "stock_ledger", "orders", "order_details"),
    *("order_history", "payments", "payment_receipts", "tickets", "command_outcomes"),
)


@dataclass(frozen=True, slots=True)
class Filled:
    """What was made. ticket_types: the ids of the new types, one of each new event."""

    orders: int
    ticket_types: range
    events: range
    seconds: float


async def fill(
    url: str,
    organizer: int,
    *,
    orders: int = 0,
    events: int = 10,
    paid: int = 5,
    quota: int = QUOTA,
) -> Filled:
    """Add `events` events of an organizer with a ticket type each, and finished orders for them, spread evenly.

    `orders` is rounded up to whole batches of each type. paid: of ten orders. Raises the database's errors, ValueError
    when the tickets would not do.
    """
    if not 0 <= paid <= 9:
        raise ValueError("of ten orders none to nine are paid: one is cancelled")
    loop = asyncio.get_running_loop()
    began = loop.time()
    pool = await aiomysql.create_pool(
        **connection_arguments(url), minsize=SESSIONS, maxsize=SESSIONS, autocommit=True,
        init_command="SET time_zone = '+00:00', foreign_key_checks = 0, unique_checks = 0, sql_notes = 0, "
        "sql_mode = 'STRICT_ALL_TABLES,ERROR_FOR_DIVISION_BY_ZERO'",
    )  # fmt: skip
    try:
        parameters = await _parameters(pool, orders, events, paid, quota) | {"organizer": organizer}
        await _numbers(pool, max(parameters["orders"], events, parameters["users"]))
        await _insert_all(pool, parameters, events)
        await settle(pool)
    finally:
        pool.terminate()
        await pool.wait_closed()
    types = range(parameters["first_type"], parameters["first_type"] + events)
    events_made = range(parameters["first_event"], parameters["first_event"] + events)
    return Filled(parameters["orders"], types, events_made, round(loop.time() - began, 1))


_COUNTED = {
    **{"user": "users", "event": "events", "type": "ticket_types"},
    **{"order": "orders", "payment": "payments"},
}


async def _parameters(
    pool: aiomysql.Pool, orders: int, events: int, paid: int, quota: int
) -> dict[str, Any]:
    """What the statements are told; ids go on behind those that are there."""
    steps = -(-orders // (events * BATCH))
    count = steps * events * BATCH
    if steps * BATCH > quota:
        raise ValueError(f"{quota} tickets of a type are not enough for {steps * BATCH} orders")
    users = min(USERS_MAX, count // 10)
    firsts = {f"first_{name}": await _next_id(pool, table) for name, table in _COUNTED.items()}
    now = datetime.now(UTC)
    began = now - ENDED - SPAN
    sold = steps * BATCH * paid // 10
    return firsts | _bodies() | {
        "salt": secrets.token_hex(6),
        "orders": count,
        "types": events,
        "steps": steps,
        "batch": BATCH,
        "paid": paid,
        "sold": sold,
        "returned": BATCH - BATCH * paid // 10,
        "quota": quota,
        "users": users,
        "began": to_sql(began),
        "dense": count * 2 // 3,
        "rest": count - count * 2 // 3,
        "step": int(SPAN.total_seconds() * 1e6) // max(count, 1),
        "long_ago": to_sql(now - LONG_AGO),
        "opens": to_sql(now + OPENS),
    }  # fmt: skip


def _bodies() -> dict[str, str]:
    """What clients were told, with places for the numbers: as long as the real thing, since it is the real thing."""
    now, price = datetime(2030, 1, 1, 12, 0, 0, 123456, UTC), Decimal("49.90")
    order = OrderRow(1, 1, 1234, "PENDING_PAYMENT", price, "USD", now, 1, now, now)
    payment = PaymentRow(
        1, 1, "BTC", Decimal(50000), Decimal("0.000998"), None, "PENDING", now, "fake", now, now, now
    )  # fmt: skip
    parameters = order_resource(order, [OrderDetailRow(12345, 1, price)]) | {
        "id": "@id@",
        "userId": "@user@",
    }
    paid = payment_resource(payment, ()) | {"id": "@id@", "orderId": "@order@"}
    hashed = paid | {"txHash": "0x" + "0" * 64, "status": "CONFIRMED"}
    texts = {"place": parameters, "quote": paid, "confirm": hashed}
    bodies = {f"{kind}_body": orjson.dumps(text).decode() for kind, text in texts.items()}
    for place in ("@id@", "@user@", "@order@"):
        bodies = {kind: text.replace(f'"{place}"', place) for kind, text in bodies.items()}
    types = {"place": PlaceOrder.TYPE, "quote": CreateQuote.TYPE, "confirm": ConfirmPayment.TYPE}
    return bodies | {f"{kind}_type": name for kind, name in types.items()}


async def _insert_all(pool: aiomysql.Pool, parameters: Mapping[str, Any], events: int) -> None:
    steps = parameters["types"] * parameters["steps"]
    await _chunked(pool, sql.CATALOGUE, parameters, events)
    if parameters["orders"]:
        await _chunked(pool, sql.USERS, parameters, parameters["users"])
        await _chunked(pool, sql.LEDGER, parameters, steps)
        rows = (*sql.ORDERS, *sql.PAYMENTS, *sql.TICKETS, *sql.OUTCOMES)
        await _chunked(pool, rows, parameters, parameters["orders"])
        await _run(pool, sql.STOCK, parameters)


async def _chunked(
    pool: aiomysql.Pool, statements: Sequence[str], parameters: Mapping[str, Any], count: int
) -> None:
    """All statements for the numbers below `count`, chunk after chunk, two chunks at once."""
    chunks = iter(range(0, count, CHUNK))

    async def work() -> None:
        for low in chunks:
            await _run(
                pool, statements, {**parameters, "low": low, "high": min(low + CHUNK, count)}
            )

    async with asyncio.TaskGroup() as group:
        for _ in range(SESSIONS):
            group.create_task(work())


async def _numbers(pool: aiomysql.Pool, count: int) -> None:
    await _run(pool, (sql.NO_NUMBERS, *sql.NUMBERS), {})
    have = 8
    while have < count:
        await _run(pool, (sql.MORE_NUMBERS,), {"have": have, "count": count})
        have *= 2


async def settle(pool: aiomysql.Pool) -> None:
    """Drop the helper, learn the tables' sizes, and wait until the server has written its pages down."""
    await _run(pool, (sql.NO_NUMBERS, *(f"ANALYZE TABLE {table}" for table in GROWING)), {})
    async with pool.acquire() as connection, connection.cursor() as cursor:
        before = await _flushing(cursor)
        try:
            # Nothing else makes an idle server write: it would do so in the middle of what is measured.
            await _flush_as(cursor, _AT_ONCE)
            async with asyncio.timeout(FLUSH_SECONDS):
                while await _dirty_share(cursor) > CLEAN_SHARE:
                    await asyncio.sleep(0.2)
        finally:
            await _flush_as(cursor, before)


_AT_ONCE = {
    "innodb_io_capacity_max": 20000,
    "innodb_io_capacity": 20000,
    "innodb_max_dirty_pages_pct_lwm": 0,
    "innodb_max_dirty_pages_pct": 0,
}


async def _flushing(cursor: Any) -> dict[str, Any]:
    """How the server writes its pages now; in the order in which it can be set again: no value above its maximum."""
    names = tuple(reversed(_AT_ONCE))
    await cursor.execute(f"SELECT {', '.join(f'@@GLOBAL.{name}' for name in names)}")
    [values] = await cursor.fetchall()
    return dict(zip(names, values, strict=True))


async def _flush_as(cursor: Any, settings: Mapping[str, Any]) -> None:
    for name, value in settings.items():
        await cursor.execute(f"SET GLOBAL {name} = %s", (value,))


async def _dirty_share(cursor: Any) -> float:
    await cursor.execute(
        "SHOW GLOBAL STATUS WHERE Variable_name IN "
        "('Innodb_buffer_pool_pages_dirty', 'Innodb_buffer_pool_pages_total')"
    )
    pages = {name: int(value) for name, value in await cursor.fetchall()}
    return pages["Innodb_buffer_pool_pages_dirty"] / pages["Innodb_buffer_pool_pages_total"]


async def pages_read(url: str) -> int:
    """Pages that the server has read from its files so far, because its buffer pool did not hold them."""
    connection = await aiomysql.connect(**connection_arguments(url))
    try:
        async with connection.cursor() as cursor:
            await cursor.execute("SHOW GLOBAL STATUS LIKE 'Innodb_pages_read'")
            [(_, count)] = await cursor.fetchall()
            return int(count)
    finally:
        connection.close()


async def _next_id(pool: aiomysql.Pool, table: str) -> int:
    async with pool.acquire() as connection, connection.cursor() as cursor:
        await cursor.execute(f"SELECT COALESCE(MAX(id), 0) + 1 FROM {table}")  # noqa: S608 - our own names
        [[first]] = await cursor.fetchall()
        return int(first)


async def _run(
    pool: aiomysql.Pool, statements: Sequence[str], parameters: Mapping[str, Any]
) -> None:
    async with pool.acquire() as connection, connection.cursor() as cursor:
        for statement in statements:
            # Two chunks at once meet at the borders of their ranges: the server ends one statement of the two.
            async for attempt in AsyncRetrying(
                retry=retry_if_exception(is_transient), stop=stop_after_attempt(10), reraise=True
            ):
                with attempt:
                    await cursor.execute(statement, parameters)
