"""A graceful stop leaves nothing behind that was dealt with: the acknowledgements that waited are sent."""

from collections.abc import AsyncIterator

import pytest

from db.mysql.database import Database
from tests.harness.accounts import person
from tests.harness.command_client import CommandClient, command_client, place, result
from tests.harness.scratch import scratch_servers
from tests.harness.waiting import eventually
from tests.harness.workers import running_workers
from workers.runtime.acknowledging import Acknowledger


@pytest.fixture(scope="module")
async def client() -> AsyncIterator[CommandClient]:
    """A command client on servers of its own; the tests bring the workers."""
    async with scratch_servers() as scratch:
        database = await Database.connect(scratch.mysql_url)
        async with command_client(scratch, database) as opened:
            yield opened
        await database.close()


async def left(client: CommandClient) -> int:
    """Commands that wait on the shards, delivered before or not."""
    channel = client.publisher._link.channel
    waiting = 0
    for shard in range(client.settings.shards):
        queue = await channel.declare_queue(f"inventory.{shard}", passive=True)
        waiting += queue.declaration_result.message_count or 0
    return waiting


async def sold_and_stopped(client: CommandClient) -> None:
    """An order is placed, and at once the worker is told to stop: its acknowledgement still waits for company."""
    organizer, buyer = await person(client.database, "ORGANIZER"), await person(client.database)
    async with running_workers(client.settings, "inventory"):
        event_id, (type_id,) = await client.sale(organizer, 10)
        result(await client.ask(place(buyer, event_id, (type_id, 1))))


async def test_what_was_dealt_with_is_not_delivered_again(
    client: CommandClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However long acknowledgements may wait, the stop does not: the next life begins with empty queues."""
    monkeypatch.setattr(Acknowledger.__init__, "__defaults__", (3600.0,))
    await sold_and_stopped(client)
    assert await left(client) == 0


async def test_control_without_the_flush_it_comes_again(
    client: CommandClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control: a stop that forgets the waiting acknowledgements leaves their messages on the queue."""

    async def forgotten(_: Acknowledger) -> None:
        return None

    monkeypatch.setattr(Acknowledger.__init__, "__defaults__", (3600.0,))
    monkeypatch.setattr(Acknowledger, "flush", forgotten)
    await sold_and_stopped(client)
    assert await eventually(lambda: left(client)) > 0
