"""Tickets come back although the event that brings them is lost, once, whether it comes after all or not."""

from collections.abc import AsyncIterator

import pytest

from contracts.messaging.topology import returns_queue, shard_of
from db.audit import audit
from db.mysql.database import Database
from tests.harness.desk import Desk, desk, place, result
from tests.harness.people import person
from tests.harness.scratch import scratch
from tests.harness.staff import staff
from tests.harness.waiting import eventually
from tests.integration.payments.till import cancel
from workers.inventory import overdue
from workers.runtime.process import Worker
from workers.runtime.services import Services

QUOTA, TAKEN = 10, 3


@pytest.fixture
async def counter() -> AsyncIterator[Desk]:
    """A desk at places of its own, where a return is overdue after a second."""
    async with scratch() as places:
        database = await Database.connect(places.mysql_url)
        async with desk(places, database, returns_overdue=1) as opened:
            yield opened
        await database.close()


async def ended(counter: Desk) -> tuple[int, int]:
    """(event, ticket type) of an order that was cancelled while no inventory worker listened."""
    buyer, organizer = await person(counter.database), await person(counter.database, "ORGANIZER")
    async with staff(counter.settings, "inventory"):
        event_id, [type_id] = await counter.sale(organizer, QUOTA)
        order = result(await counter.ask(place(buyer, event_id, (type_id, TAKEN))))
    async with staff(counter.settings, "order", "relay"):
        result(await counter.ask(cancel(buyer, int(str(order["id"])))))

        async def published() -> bool:
            return await counter.database.read("SELECT COUNT(*) FROM outbox") == [(0,)]

        await eventually(published)
    assert await available(counter, type_id) == QUOTA - TAKEN
    assert await counter.database.read("SELECT order_id FROM pending_returns") == [(order["id"],)]
    return event_id, type_id


async def available(counter: Desk, type_id: int) -> int:
    """Tickets that can be bought."""
    [[count]] = await counter.database.read(
        "SELECT available FROM ticket_types WHERE id = %s", type_id
    )
    return int(count)


async def back(counter: Desk, type_id: int) -> None:
    """Wait until all tickets are on sale again."""

    async def whole() -> bool:
        return await available(counter, type_id) == QUOTA

    await eventually(whole)


async def quiet(counter: Desk) -> None:
    """Every rule of the audit holds, and nothing is under way."""

    async def rested() -> bool:
        return (await audit(counter.database, quiet=True)).ok

    await eventually(rested)


def only_sweeping(_: Services) -> Worker:
    """An inventory worker that hears nothing."""
    return Worker("inventory", {}, jobs=[overdue.OVERDUE])


async def test_a_purged_queue_costs_no_ticket(counter: Desk) -> None:
    """Somebody empties the queue that brings them back: they are missed, and given back without it."""
    event_id, type_id = await ended(counter)
    shard = shard_of(event_id, counter.settings.shards)
    queue = await counter.publisher._link.channel.declare_queue(returns_queue(shard), passive=True)
    purged = await queue.purge()
    assert purged.message_count == 1
    async with staff(counter.settings, "inventory", "relay"):
        await back(counter, type_id)
        await quiet(counter)


async def test_what_is_owed_by_nobody_is_forgotten(counter: Desk) -> None:
    """A worker of the version before gave the tickets back, and knew of no row to delete."""
    _, type_id = await ended(counter)
    [[order]] = await counter.database.read("SELECT order_id FROM pending_returns")
    async with staff(counter.settings, "inventory", "relay"):
        await quiet(counter)
    await counter.database.write(
        "INSERT INTO pending_returns SELECT id, updated_at - INTERVAL 1 MINUTE FROM orders WHERE id = %s",
        order,
    )
    async with staff(counter.settings, "inventory", make=only_sweeping):
        await quiet(counter)
    assert await available(counter, type_id) == QUOTA


async def test_an_event_that_comes_late_brings_nothing_twice(counter: Desk) -> None:
    """The sweep has been faster than the event, which comes after all."""
    _, type_id = await ended(counter)
    async with staff(counter.settings, "inventory", make=only_sweeping):
        await back(counter, type_id)
    async with staff(counter.settings, "inventory", "relay"):
        await quiet(counter)
    assert await available(counter, type_id) == QUOTA
