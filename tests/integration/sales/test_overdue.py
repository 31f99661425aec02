"""Tickets come back although the event that brings them is lost, once, whether it comes after all or not."""

from collections.abc import AsyncIterator

import pytest

from contracts.messaging.topology import returns_queue, shard_of
from db.audit import audit
from db.mysql.database import Database
from tests.harness.accounts import person
from tests.harness.command_client import CommandClient, command_client, place, result
from tests.harness.scratch import scratch_servers
from tests.harness.waiting import eventually
from tests.harness.workers import running_workers
from tests.integration.payments.payment_client import cancel
from workers.inventory import overdue
from workers.runtime.process import Worker
from workers.runtime.services import Services

QUOTA, TAKEN = 10, 3


@pytest.fixture
async def client() -> AsyncIterator[CommandClient]:
    """A command client at scratch servers of its own, where a return is overdue after a second."""
    async with scratch_servers() as scratch:
        database = await Database.connect(scratch.mysql_url)
        async with command_client(scratch, database, returns_overdue=1) as opened:
            yield opened
        await database.close()


async def ended(client: CommandClient) -> tuple[int, int]:
    """(event, ticket type) of an order that was cancelled while no inventory worker listened."""
    buyer, organizer = await person(client.database), await person(client.database, "ORGANIZER")
    async with running_workers(client.settings, "inventory"):
        event_id, [type_id] = await client.sale(organizer, QUOTA)
        order = result(await client.ask(place(buyer, event_id, (type_id, TAKEN))))
    async with running_workers(client.settings, "order", "relay"):
        result(await client.ask(cancel(buyer, int(str(order["id"])))))

        async def published() -> bool:
            return await client.database.read("SELECT COUNT(*) FROM outbox") == [(0,)]

        await eventually(published)
    assert await available(client, type_id) == QUOTA - TAKEN
    assert await client.database.read("SELECT order_id FROM pending_returns") == [(order["id"],)]
    return event_id, type_id


async def available(client: CommandClient, type_id: int) -> int:
    """Tickets that can be bought."""
    [[count]] = await client.database.read(
        "SELECT available FROM ticket_types WHERE id = %s", type_id
    )
    return int(count)


async def back(client: CommandClient, type_id: int) -> None:
    """Wait until all tickets are on sale again."""

    async def whole() -> bool:
        return await available(client, type_id) == QUOTA

    await eventually(whole)


async def quiet(client: CommandClient) -> None:
    """Every rule of the audit holds, and nothing is under way."""

    async def rested() -> bool:
        return (await audit(client.database, quiet=True)).ok

    await eventually(rested)


def only_sweeping(_: Services) -> Worker:
    """An inventory worker that hears nothing."""
    return Worker("inventory", {}, jobs=[overdue.OVERDUE])


async def test_a_purged_queue_costs_no_ticket(client: CommandClient) -> None:
    """Somebody empties the queue that brings them back: they are missed, and given back without it."""
    event_id, type_id = await ended(client)
    shard = shard_of(event_id, client.settings.shards)
    queue = await client.publisher._link.channel.declare_queue(returns_queue(shard), passive=True)
    purged = await queue.purge()
    assert purged.message_count == 1
    async with running_workers(client.settings, "inventory", "relay"):
        await back(client, type_id)
        await quiet(client)


async def test_what_is_owed_by_nobody_is_forgotten(client: CommandClient) -> None:
    """A worker of the version before gave the tickets back, and knew of no row to delete."""
    _, type_id = await ended(client)
    [[order]] = await client.database.read("SELECT order_id FROM pending_returns")
    async with running_workers(client.settings, "inventory", "relay"):
        await quiet(client)
    await client.database.write(
        "INSERT INTO pending_returns SELECT id, updated_at - INTERVAL 1 MINUTE FROM orders WHERE id = %s",
        order,
    )
    async with running_workers(client.settings, "inventory", make=only_sweeping):
        await quiet(client)
    assert await available(client, type_id) == QUOTA


async def test_an_event_that_comes_late_brings_nothing_twice(client: CommandClient) -> None:
    """The sweep has been faster than the event, which comes after all."""
    _, type_id = await ended(client)
    async with running_workers(client.settings, "inventory", make=only_sweeping):
        await back(client, type_id)
    async with running_workers(client.settings, "inventory", "relay"):
        await quiet(client)
    assert await available(client, type_id) == QUOTA
