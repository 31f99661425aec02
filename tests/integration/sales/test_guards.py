"""What keeps the promise. Version without lock holds; lock without version holds; neither must oversell.

Three deciders with connections of their own decide 300 orders for 100 tickets at the same time, in small batches.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import aiomysql
import pytest

from db import stock as stocks
from db.mysql.database import Database
from db.redis.seat_locks import AlwaysGranted, Seats
from tests.faults.mutants import pool_of_old_snapshots, write_what_was_read
from tests.harness.accounts import person
from tests.harness.command_client import CommandClient, command_client, place
from tests.harness.deciders import decider, items
from tests.harness.scratch import scratch_servers
from tests.harness.workers import running_workers
from workers.inventory.handlers import HANDLERS

TICKETS, ORDERS, BATCH = 100, 300, 5


@pytest.fixture
async def place_of_its_own() -> AsyncIterator[CommandClient]:
    """A command client on a scratch system that nobody audits: these tests break it on purpose."""
    async with scratch_servers() as scratch:
        database = await Database.connect(scratch.mysql_url)
        async with command_client(scratch, database, shards=1) as opened:
            yield opened
        await database.close()


async def sold(client: CommandClient, seats: Seats | None) -> int:
    """How many tickets 300 orders of one get out of 100."""
    database = client.database
    organizer, buyer = await person(database, "ORGANIZER"), await person(database)
    async with running_workers(client.settings, "inventory"):
        event_id, (type_id,) = await client.sale(organizer, TICKETS)
    handler = HANDLERS["eventhub.order.place.v1"]

    async def rival(stack: AsyncExitStack) -> None:
        deciding = await decider(stack, client.settings, seats)
        for _ in range(ORDERS // 3 // BATCH):
            batch = items(client, [place(buyer, event_id, (type_id, 1))] * BATCH)
            await deciding.decide(handler, batch)  # type: ignore[arg-type]  # a Decides by its key
            await deciding.settle()

    async with AsyncExitStack() as stack:
        await asyncio.gather(*(rival(stack) for _ in range(3)))
    rows = await database.read(
        "SELECT COALESCE(SUM(quantity), 0) FROM order_details WHERE ticket_type_id = %s", type_id
    )
    return int(rows[0][0])


async def test_the_version_alone_keeps_the_promise(place_of_its_own: CommandClient) -> None:
    """With a lock that is always granted exactly 100 are sold."""
    assert await sold(place_of_its_own, AlwaysGranted()) == TICKETS


async def test_lock_and_version_together(place_of_its_own: CommandClient) -> None:
    """As in production: never more than 100 (an order may be told 429 and come again)."""
    assert 0 < await sold(place_of_its_own, None) <= TICKETS


async def test_control_without_version_and_lock_it_oversells(
    place_of_its_own: CommandClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control: both guards off must sell more than there is, else the tests above prove nothing."""
    # It deletes from the ledger, which no worker may: here the worker has every right.
    monkeypatch.setattr("tests.harness.scratch.own_url", lambda url, kind: url)
    monkeypatch.setattr(stocks, "_write", write_what_was_read)
    monkeypatch.setattr(aiomysql, "create_pool", pool_of_old_snapshots)
    assert await sold(place_of_its_own, AlwaysGranted()) > TICKETS
