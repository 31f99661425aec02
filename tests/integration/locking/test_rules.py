"""Each locking rule of the design as a duel: what it forbids deadlocks (1213), what we do does not."""

from collections.abc import AsyncIterator, Sequence

import pytest

from db import catalogue_writes, orders, payments
from db import stock as stocks
from db.mysql.database import Database, Transaction
from tests.harness.scratch import scratch_servers
from tests.integration.locking.concurrent_deciders import Step, deadlocked, race, sql
from tests.integration.locking.rows import (
    NOW,
    TABLES,
    Rows,
    insert_payment,
    make_rows,
    new_order,
)


@pytest.fixture(scope="module")
async def rows() -> AsyncIterator[Rows]:
    """Rows in a database that nobody audits."""
    async with scratch_servers() as scratch:
        database = await Database.connect(scratch.mysql_url)
        yield await make_rows(database)
        await database.close()


# -- our steps: the functions that the workers run ----------------------------------------------------


def share_event(*ids: int) -> Step:
    """PlaceOrder, CreateQuote, ConfirmPayment."""
    return lambda transaction: stocks.share_events(transaction, ids)


def lock_event(*ids: int) -> Step:
    """UpdateEvent, CancelEvent, the ticket-type commands."""
    return lambda transaction: catalogue_writes.lock(transaction, ids)


def lock_types(*ids: int) -> Step:
    """AddItems, returns."""
    return lambda transaction: stocks.read(transaction, ids, lock=True)


def lock_orders(*ids: int) -> Step:
    """AddItems, CancelOrder, ConfirmPayment."""
    return lambda transaction: orders.lock(transaction, ids)


def lock_payments(*ids: int) -> Step:
    """ConfirmPayment."""
    return lambda transaction: payments.lock(transaction, ids)


def take(ticket_type: int) -> Step:
    """The conditional UPDATE of a batch, with its ledger row."""

    async def step(transaction: Transaction) -> object:
        [[version]] = await transaction.fetch(
            "SELECT version FROM ticket_types WHERE id = %s FOR UPDATE", ticket_type
        )
        stock = await stocks.read(transaction, [ticket_type], lock=True)
        assert stock[ticket_type].version == version
        return stocks.take(transaction, stock, {ticket_type: 1}, NOW)

    return step


def place(user: int, event: int, ticket_type: int) -> Step:
    """The rows of a new order: INSERTs with foreign keys to event, order and type."""
    return lambda transaction: orders.insert(
        transaction, [new_order(user, event, ticket_type)], NOW
    )


# -- what the rules forbid -----------------------------------------------------------------------------


def hold(table: str, row: int, how: str = "FOR UPDATE") -> Step:
    """One row by its primary key."""
    return sql(f"SELECT id FROM {table} WHERE id = %s {how}", row)


def touch(table: str, row: int) -> Step:
    """A change of one row."""
    return sql(f"UPDATE {table} SET version = version + 1 WHERE id = %s", row)


PAIRS = [(a, b) for number, a in enumerate(TABLES) for b in TABLES[number + 1 :]]


def _ours(table: str, *ids: int) -> Step:
    return {
        "events": lock_event,
        "ticket_types": lock_types,
        "orders": lock_orders,
        "payments": lock_payments,
    }[table](*ids)


@pytest.mark.parametrize(("upper", "lower"), PAIRS)
async def test_one_order_of_tables(rows: Rows, upper: str, lower: str) -> None:
    """Events before ticket types before orders before payments: against each other they die, in order they wait."""
    high, low = rows.of(upper)[0], rows.of(lower)[0]
    down, up = [hold(upper, high), hold(lower, low)], [hold(lower, low), hold(upper, high)]
    assert deadlocked(await race(rows.database, down, up))
    ours = [_ours(upper, high), _ours(lower, low)]
    assert await race(rows.database, ours, ours) == [None, None]


@pytest.mark.parametrize("table", TABLES)
async def test_ids_ascending(rows: Rows, table: str) -> None:
    """The same two rows in opposite orders die; asked for in any order, our lists lock the lower id first."""
    low, high = rows.of(table)
    assert deadlocked(
        await race(
            rows.database,
            [hold(table, low), hold(table, high)],
            [hold(table, high), hold(table, low)],
        )
    )
    assert await race(
        rows.database, [_ours(table, low), _ours(table, high, low)], [_ours(table, high, low)]
    ) == [None, None]


async def test_a_list_is_locked_by_primary_key(rows: Rows) -> None:
    """A list found through another index locks in that index's order; FORCE INDEX (PRIMARY) does not."""
    low, high = rows.orders
    await rows.database.write(
        "UPDATE orders SET expires_at = expires_at + INTERVAL %s SECOND WHERE id = %s", 60, low
    )
    by_deadline = sql(
        "SELECT id FROM orders FORCE INDEX (ix_orders_expiry) WHERE status = 'PENDING_PAYMENT' "
        "AND expires_at > '2026-01-01' AND id IN (%s, %s) ORDER BY expires_at FOR UPDATE",
        low,
        high,
    )
    # The later deadline belongs to the lower id: the list holds `high` and waits for `low`.
    assert deadlocked(
        await race(rows.database, [lock_orders(low), lock_orders(high)], [by_deadline])
    )
    assert await race(
        rows.database, [lock_orders(low), lock_orders(high)], [lock_orders(high, low)]
    ) == [None, None]


async def test_who_changes_an_event_locks_it_first(rows: Rows) -> None:
    """Two that share a row and then change it wait for each other; one that locks it waits for the other's end."""
    event = rows.events[0]
    share = hold("events", event, "LOCK IN SHARE MODE")
    assert deadlocked(
        await race(rows.database, [share, touch("events", event)], [share, touch("events", event)])
    )
    cancel = [lock_event(event), touch("events", event)]
    order = [share_event(event), place(rows.user, event, rows.types[0])]
    assert await race(rows.database, cancel, order) == [None, None]
    assert await race(rows.database, order, cancel) == [None, None]
    assert await race(rows.database, cancel, cancel) == [None, None]


async def test_stock_moves_before_lines_are_written(rows: Rows) -> None:
    """An INSERT shares its parents' rows: two that insert first cannot change the ticket type any more."""
    event, ticket_type = rows.events[0], rows.types[0]
    lines = place(rows.user, event, ticket_type)
    wrong: Sequence[Step] = [lines, touch("ticket_types", ticket_type)]
    assert deadlocked(await race(rows.database, wrong, wrong))
    ours: Sequence[Step] = [share_event(event), take(ticket_type), lines]
    assert await race(rows.database, ours, ours) == [None, None]


async def test_an_order_is_locked_before_its_payment_is_written(rows: Rows) -> None:
    """A payment's INSERT shares its order: two quotes that lock the order only afterwards die."""
    order = rows.orders[0]

    def late(asset: str) -> list[Step]:
        return [sql(*insert_payment(order, asset)), touch("orders", order)]

    assert deadlocked(await race(rows.database, late("A"), late("B")))
    ours = [[lock_orders(order), *late(asset)] for asset in ("C", "D")]
    assert await race(rows.database, *ours) == [None, None]


async def test_nobody_locks_a_range(rows: Rows) -> None:
    """A sweep that locks what its index finds dies with one that changes an order it holds; ours locks by id."""
    order = rows.orders[0]
    extend = sql(
        "UPDATE orders SET expires_at = expires_at + INTERVAL 1 SECOND WHERE id = %s", order
    )
    sweep = sql(
        "SELECT id FROM orders FORCE INDEX (ix_orders_expiry) WHERE status = 'PENDING_PAYMENT' "
        "AND expires_at <= '2030-01-01' FOR UPDATE"
    )
    assert deadlocked(await race(rows.database, [lock_orders(order), extend], [sweep]))

    async def ours(transaction: Transaction) -> object:
        ids = await orders.past_deadline(rows.database, 200)
        assert order in ids
        return await orders.lock(transaction, ids, skip_locked=True)

    assert await race(rows.database, [lock_orders(order), extend], [ours]) == [None, None]


async def test_nobody_locks_what_may_be_missing(rows: Rows) -> None:
    """Two that find nothing FOR UPDATE share the gap and cannot insert; two that insert at once: the second waits."""
    look = sql("SELECT name FROM leases WHERE kind = 'job' AND name = 'x' FOR UPDATE")

    def insert(holder: str) -> Step:
        return sql(
            "INSERT INTO leases (kind, name, holder, incarnation, expires_at) "
            "VALUES ('job', 'x', %s, 'i', '2026-05-01') "
            "ON DUPLICATE KEY UPDATE holder = VALUES(holder)",
            holder,
        )

    remove = sql("DELETE FROM leases WHERE kind = 'job'")
    assert deadlocked(await race(rows.database, [look, insert("a")], [look, insert("b")]))
    await rows.database.run(remove)
    done = sql("DO 0")
    assert await race(rows.database, [insert("a"), done], [insert("b"), done]) == [None, None]
