"""Each kind of worker does all its work once before it takes a message, and leaves nothing behind."""

import asyncio
import contextlib
import importlib
from collections.abc import AsyncIterator
from typing import Any, cast

import pytest

from contracts.command_ids import CommandIds
from contracts.messaging.envelope import Codec
from db.messages.outbox import Outbox
from db.mysql.database import Database
from db.redis.clients import quick_client
from tests.harness.accounts import person
from tests.harness.command_client import command_client, place
from tests.harness.scratch import SECRET, Scratch, own_url, scratch_servers
from tests.harness.waiting import eventually
from tests.harness.workers import running_workers
from workers import KINDS
from workers.runtime import self_test
from workers.runtime.process import Worker
from workers.runtime.readiness import NOT_RUN
from workers.runtime.services import Services


@contextlib.asynccontextmanager
async def services_of(places: Scratch, kind: str) -> AsyncIterator[Services]:
    """What a self-test needs of a process, with the rights that its kind has and no other."""
    database = await Database.connect(own_url(places.mysql_url, kind), size=2)
    redis = quick_client(places.redis_url)
    codec = Codec(SECRET)
    yield Services(
        settings=places.settings(process=f"{kind}-1"),
        incarnation="test",
        database=database,
        redis=redis,
        publisher=cast("Any", None),
        intake=cast("Any", None),
        codec=codec,
        command_ids=CommandIds(SECRET),
        outbox=Outbox(codec, kind, 4),
    )
    await redis.aclose()
    await database.close()


def worker_of(services: Services, kind: str) -> Worker:
    """The worker as its process makes it."""
    worker: Worker = importlib.import_module(f"workers.{kind}.__main__").make(services)
    return worker


async def close(services: Services, worker: Worker, kind: str) -> None:
    """Let go of what a worker opened for its jobs: notify's closes its sessions when it ends."""
    if kind == "notify":
        services.stop.set()
        [job] = worker.jobs
        await job(services)


async def rows(database: Database) -> dict[str, int]:
    """How many rows each table holds."""
    tables = await database.read(
        "SELECT table_name FROM information_schema.tables WHERE table_schema = DATABASE()"
    )
    return {
        table: (await database.read(f"SELECT COUNT(*) FROM {table}"))[0][0] for (table,) in tables
    }


@pytest.mark.parametrize("kind", KINDS)
async def test_a_self_test_asks_for_everything_and_leaves_nothing(
    scratch: Scratch, database: Database, kind: str
) -> None:
    """Every message that the worker has a handler for, twice over; no table has a row more."""
    async with services_of(scratch, kind) as services:
        worker = worker_of(services, kind)
        assert worker.scene is not None
        before = await rows(database)
        for _ in range(2):
            asked = await self_test.play(services, worker.handlers, worker.scene)
            assert set(asked) == set(worker.handlers)
        assert await rows(database) == before
        await close(services, worker, kind)


async def test_self_tests_at_once_do_not_wait_for_each_other(
    scratch: Scratch, database: Database
) -> None:
    """Thirty processes of all kinds start in the same moment: no deadlock, no time-out."""
    async with contextlib.AsyncExitStack() as stack:
        plays, opened = [], []
        for kind in KINDS * 5:
            services = await stack.enter_async_context(services_of(scratch, kind))
            worker = worker_of(services, kind)
            assert worker.scene is not None
            opened.append((services, worker, kind))
            plays.append(self_test.play(services, worker.handlers, worker.scene))
        # No more than the pool has sessions for: a scene reads on a second one.
        gate = asyncio.Semaphore(3)

        async def one(play: Any) -> None:
            async with gate:
                await play

        await asyncio.gather(*(one(play) for play in plays))
        for services, worker, kind in opened:
            await close(services, worker, kind)


async def test_a_worker_whose_statements_fail_takes_no_message() -> None:
    """A column is missing: not ready, with the reason; the command waits, and is decided once the column is back."""
    async with scratch_servers() as places:
        database = await Database.connect(places.mysql_url)
        async with command_client(places, database, shards=1) as client:
            organizer, buyer = await person(database, "ORGANIZER"), await person(database)
            async with running_workers(client.settings, "inventory"):
                event_id, [seat] = await client.sale(organizer, 10)
            await database.write("ALTER TABLE order_details RENAME COLUMN command_id TO gone")
            seen: list[Services] = []

            def make(services: Services) -> Worker:
                seen.append(services)
                return worker_of(services, "inventory")

            async with running_workers(client.settings, "inventory", make=make):

                async def failed() -> bool:
                    return bool(seen) and seen[0].readiness.self_test not in (None, NOT_RUN)

                await eventually(failed)
                sent = await client.send(place(buyer, event_id, (seat, 1)))
                missing = await seen[0].readiness.missing(database=True)
                assert "1054" in missing["selfTest"]
                assert seen[0].intake.waiting == 0
                await database.write("ALTER TABLE order_details RENAME COLUMN gone TO command_id")
                outcome = await client.outcome(sent)
            assert outcome.status_code == 201
            assert await seen[0].readiness.missing(database=False) == {}
        await database.close()


async def test_a_worker_that_is_told_to_stop_gives_up_its_self_test() -> None:
    """It ends in time, whatever is wrong with the database."""
    async with scratch_servers() as places:
        database = await Database.connect(places.mysql_url)
        await database.write("DROP TABLE pending_returns")
        async with asyncio.timeout(20), running_workers(places.settings(shards=1), "inventory"):
            await asyncio.sleep(0)
        await database.close()
