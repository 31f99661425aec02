"""What the locks are for: whoever decides second decides on what the first has left, not on an old snapshot."""

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from db import catalogue_writes, orders
from db import stock as stocks
from db.catalogue_writes import LockedEvent
from db.mysql.database import Database, Transaction
from db.stock import EventState
from tests.harness.scratch import scratch_servers
from tests.integration.locking.concurrent_deciders import Step, race, sql
from tests.integration.locking.rows import NOW, Rows, command, make_rows


@pytest.fixture
async def rows() -> AsyncIterator[Rows]:
    """Rows in a database of this test's own: it leaves them changed."""
    async with scratch_servers() as scratch:
        database = await Database.connect(scratch.mysql_url)
        yield await make_rows(database)
        await database.close()


def seen(found: list[Any], look: Step) -> Step:
    """A step whose result is kept."""

    async def step(transaction: Transaction) -> object:
        found.append(await look(transaction))
        return found[-1]

    return step


def manage(event: int) -> Step:
    """The lock of every command on an event."""
    return lambda transaction: catalogue_writes.lock(transaction, [event])


async def test_an_order_waits_for_a_cancellation_and_sees_it(rows: Rows) -> None:
    """PlaceOrder and ConfirmPayment share the event's row: a cancelled event sells nothing more."""
    event = rows.events[0]
    found: list[dict[int, EventState]] = []
    cancel = [manage(event), sql("UPDATE events SET status = 'CANCELLED' WHERE id = %s", event)]
    look = seen(found, lambda transaction: stocks.share_events(transaction, [event]))
    assert await race(rows.database, cancel, [look]) == [None, None]
    assert found[0][event].cancelled


async def test_a_cancellation_waits_for_a_payment_and_sees_it(rows: Rows) -> None:
    """CancelEvent begins with the row that ConfirmPayment shares: the paid order stands against it."""
    event, order = rows.events[0], rows.orders[0]
    found: list[bool] = []
    pay = [
        lambda transaction: stocks.share_events(transaction, [event]),
        lambda transaction: orders.lock(transaction, [order]),
        sql("UPDATE orders SET status = 'CONFIRMED' WHERE id = %s", order),
    ]
    paid = seen(found, lambda transaction: catalogue_writes.has_confirmed_order(transaction, event))
    assert await race(rows.database, pay, [manage(event), paid]) == [None, None]
    assert found == [True]


async def test_a_second_type_sees_the_first(rows: Rows) -> None:
    """So two at once cannot bring two currencies into one event."""
    event = rows.events[0]
    before: list[dict[int, LockedEvent]] = []
    after: list[dict[int, LockedEvent]] = []

    async def create(transaction: Transaction) -> object:
        one = before[0][event].visible[0]
        return await catalogue_writes.insert_ticket_type(
            transaction, replace(one, version=1, created_at=NOW), command()
        )

    first = [seen(before, manage(event)), create]
    assert await race(rows.database, first, [seen(after, manage(event))]) == [None, None]
    assert len(after[0][event].visible) == len(before[0][event].visible) + 1


async def test_a_quota_change_sees_what_was_sold_meanwhile(rows: Rows) -> None:
    """UpdateTicketType holds the type: available is what the batch before it has left."""
    event, ticket_type = rows.events[0], rows.types[0]
    found: list[dict[int, LockedEvent]] = []

    async def sell(transaction: Transaction) -> object:
        stock = await stocks.read(transaction, [ticket_type], lock=True)
        return stocks.take(transaction, stock, {ticket_type: 40}, NOW)

    lock = seen(found, lambda t: catalogue_writes.lock(t, [event], [ticket_type]))
    assert await race(rows.database, [sell, sql("DO 0")], [lock]) == [None, None]
    assert found[0][event].types[ticket_type].available == 60
