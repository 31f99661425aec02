"""A graceful stop leaves nothing behind that was dealt with: the acknowledgements that waited are sent."""

from collections.abc import AsyncIterator

import pytest

from db.mysql.database import Database
from tests.harness.accounts import person
from tests.harness.command_client import Desk, desk, place, result
from tests.harness.scratch import scratch
from tests.harness.waiting import eventually
from tests.harness.workers import staff
from workers.runtime.acknowledging import Acknowledger


@pytest.fixture(scope="module")
async def counter() -> AsyncIterator[Desk]:
    """A desk on servers of its own; the tests bring the workers."""
    async with scratch() as places:
        database = await Database.connect(places.mysql_url)
        async with desk(places, database) as opened:
            yield opened
        await database.close()


async def left(counter: Desk) -> int:
    """Commands that wait on the shards, delivered before or not."""
    channel = counter.publisher._link.channel
    waiting = 0
    for shard in range(counter.settings.shards):
        queue = await channel.declare_queue(f"inventory.{shard}", passive=True)
        waiting += queue.declaration_result.message_count or 0
    return waiting


async def sold_and_stopped(counter: Desk) -> None:
    """An order is placed, and at once the worker is told to stop: its acknowledgement still waits for company."""
    organizer, buyer = await person(counter.database, "ORGANIZER"), await person(counter.database)
    async with staff(counter.settings, "inventory"):
        event_id, (type_id,) = await counter.sale(organizer, 10)
        result(await counter.ask(place(buyer, event_id, (type_id, 1))))


async def test_what_was_dealt_with_is_not_delivered_again(
    counter: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However long acknowledgements may wait, the stop does not: the next life begins with empty queues."""
    monkeypatch.setattr(Acknowledger.__init__, "__defaults__", (3600.0,))
    await sold_and_stopped(counter)
    assert await left(counter) == 0


async def test_control_without_the_flush_it_comes_again(
    counter: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control: a stop that forgets the waiting acknowledgements leaves their messages on the queue."""

    async def forgotten(_: Acknowledger) -> None:
        return None

    monkeypatch.setattr(Acknowledger.__init__, "__defaults__", (3600.0,))
    monkeypatch.setattr(Acknowledger, "flush", forgotten)
    await sold_and_stopped(counter)
    assert await eventually(lambda: left(counter)) > 0
