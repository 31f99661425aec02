"""The proof is proven: each build without one of its guards is caught, by the very checks the others pass.

Every mutant gets servers of its own: it breaks the books on purpose. Each test has a control with the guard in place.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import aiomysql
import pytest

from contracts.messaging.publisher import Properties
from contracts.messaging.topology import AGAIN_EXCHANGE
from db import stock as stocks
from db.audit import audit
from db.messages.outcomes import find
from db.mysql.database import Database
from db.redis.seat_locks import AlwaysGranted
from tests.faults.mutants import pool_of_old_snapshots, write_what_was_read
from tests.faults.proof import ends, proven
from tests.harness.accounts import Person, person
from tests.harness.command_client import CommandClient, command_client, place, result
from tests.harness.deciders import decider, items
from tests.harness.processes import Processes, running_processes
from tests.harness.scratch import scratch_servers
from tests.harness.waiting import eventually
from tests.harness.workers import running_workers
from tests.integration.payments.payment_client import cancel
from workers.inventory.handlers import HANDLERS


class Bench:
    """A command client, processes and a sale of ten tickets, on scratch servers that nobody else uses."""

    def __init__(
        self, client: CommandClient, processes: Processes, organizer: Person, buyer: Person
    ) -> None:
        self.client, self.processes = client, processes
        self.organizer, self.buyer = organizer, buyer
        self.database = client.database
        self.event_id, self.type_id = 0, 0

    async def order(self, quantity: int = 1) -> bytes:
        wanted = (self.type_id, quantity)
        return await self.client.send(place(self.buyer, self.event_id, wanted))

    async def broken(self, *, quiet: bool = False) -> list[int]:
        """The audit's rules that do not hold."""
        return (await audit(self.database, quiet=quiet)).broken


@asynccontextmanager
async def bench(folder: Path) -> AsyncIterator[Bench]:
    async with AsyncExitStack() as stack:
        scratch = await stack.enter_async_context(scratch_servers())
        database = await Database.connect(scratch.mysql_url)
        stack.push_async_callback(database.close)
        async with (
            command_client(scratch, database) as client,
            running_processes(scratch, folder) as processes,
        ):
            made = Bench(
                client, processes, await person(database, "ORGANIZER"), await person(database)
            )
            async with running_workers(client.settings, "inventory-9"):
                made.event_id, (made.type_id,) = await client.sale(made.organizer, 10)
            yield made


async def empty(client: CommandClient) -> bool:
    """Whether no command waits on a shard."""
    channel = client.publisher._link.channel
    waiting = 0
    for shard in range(client.settings.shards):
        queue = await channel.declare_queue(f"inventory.{shard}", passive=True)
        waiting += queue.declaration_result.message_count or 0
    return waiting == 0


async def rushed(made: Bench) -> None:
    """Three deciders at once, locks always granted, take 63 orders in batches of three for ten tickets."""
    handler = HANDLERS["eventhub.order.place.v1"]

    async def rival(stack: AsyncExitStack) -> None:
        deciding = await decider(stack, made.client.settings, AlwaysGranted())
        for _ in range(7):
            commands = [place(made.buyer, made.event_id, (made.type_id, 1))] * 3
            await deciding.decide(handler, items(made.client, commands))  # type: ignore[arg-type]  # a Decides by its key

    async with AsyncExitStack() as stack:
        await asyncio.gather(*(rival(stack) for _ in range(3)))


async def answered(made: Bench, mutant: str) -> None:
    """An order is placed and its client hears of it."""
    await made.processes.start("inventory-1", mutant=mutant)
    uuid = await made.order()

    async def placed() -> bool:
        rows = await made.database.read("SELECT 1 FROM orders WHERE command_id = %s", uuid)
        return bool(rows)

    await eventually(placed)
    await asyncio.gather(*(process.stop() for process in made.processes.started))


async def survived(made: Bench, mutant: str) -> bytes:
    """The worker dies with an order taken and not written; its next life finds it."""
    life = await made.processes.start(
        "inventory-1", failpoints="worker.written=kill", ready=False, mutant=mutant
    )
    uuid = await made.order()
    await life.died_at("worker.written")
    return uuid


async def relayed(made: Bench, mutant: str) -> None:
    """The relay dies holding the event of a cancelled order; its next life publishes it."""
    async with running_workers(made.client.settings, "inventory", "order"):
        order = result(await made.client.outcome(await made.order(4)))
        # A relay gains its streams one by one: with nothing else in the outbox, what it selects is this event.
        async with running_workers(made.client.settings, "relay"):
            await eventually(lambda: outbox_empty(made.database))
        await made.client.ask(cancel(made.buyer, int(str(order["id"]))))
        life = await made.processes.start(
            "relay-1", failpoints="relay.selected=kill", ready=False, mutant=mutant
        )
        await life.died_at("relay.selected")
        async with running_workers(made.client.settings, "relay", "payment", "notify"):
            await eventually(lambda: outbox_empty(made.database))


async def outbox_empty(database: Database) -> bool:
    rows = await database.read("SELECT COUNT(*) FROM outbox")
    return bool(rows[0][0] == 0)


async def returned(made: Bench, mutant: str) -> None:
    """Of two orders of four one is cancelled; its event comes twice."""
    async with running_workers(made.client.settings, "order"):
        await made.processes.start("inventory-1", mutant=mutant)
        await made.client.outcome(await made.order(4))
        order = result(await made.client.outcome(await made.order(4)))
        await made.client.ask(cancel(made.buyer, int(str(order["id"]))))
        rows = await made.database.read(
            "SELECT body, routing_key FROM outbox WHERE routing_key LIKE 'order.cancelled%%'"
        )
        queue = f"inventory.{made.event_id % 4}.returns"
        channel = made.client.publisher._link.channel

        async def heard() -> bool:
            found = await channel.declare_queue(queue, passive=True)
            return not found.declaration_result.message_count

        # One after the other: taken together they would be one batch, in which an order counts once anyway.
        for _ in range(2):
            await made.client.publisher.publish(AGAIN_EXCHANGE, queue, rows[0][0].encode(), _SINGLE)
            await eventually(heard)
        await asyncio.gather(*(process.stop() for process in made.processes.started))


_SINGLE = Properties("application/cloudevents+json")


@pytest.mark.parametrize("mutant", [False, True], ids=["control", "mutant"])
async def test_without_the_version_check_it_oversells(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mutant: bool
) -> None:
    """The audit's balance (rule 1) does not hold; with the check it does."""
    if mutant:
        monkeypatch.setattr(stocks, "_write", write_what_was_read)
        monkeypatch.setattr(aiomysql, "create_pool", pool_of_old_snapshots)
    async with bench(tmp_path) as made:
        await rushed(made)
        assert (1 in await made.broken()) is mutant


@pytest.mark.full
@pytest.mark.parametrize("mutant", ["", "outcome row"], ids=["control", "mutant"])
async def test_without_the_outcome_row_an_effect_has_no_answer(tmp_path: Path, mutant: str) -> None:
    """The audit's rule 3 does not hold."""
    async with bench(tmp_path) as made:
        await answered(made, mutant)
        assert await made.broken() == ([3] if mutant else [])


@pytest.mark.parametrize("mutant", ["", "ack before commit"], ids=["control", "mutant"])
async def test_acknowledged_too_early_a_command_is_lost(tmp_path: Path, mutant: str) -> None:
    """No queue holds it any more, and no outcome says how it ended."""
    async with bench(tmp_path) as made:
        uuid = await survived(made, mutant)
        async with running_workers(made.client.settings, "inventory-1"):
            later = await made.order()
            assert (await ends(made.database, [later]))[0].status_code == 201
            await eventually(lambda: empty(made.client))
        assert bool(await find(made.database, [uuid])) is not bool(mutant)


@pytest.mark.parametrize("mutant", ["", "mark before publish"], ids=["control", "mutant"])
async def test_marked_before_it_is_published_an_event_is_lost(tmp_path: Path, mutant: str) -> None:
    """The outbox is empty, and the tickets of the cancelled order are not back (rule 6, quiet)."""
    async with bench(tmp_path) as made:
        await relayed(made, mutant)
        if mutant:
            assert await made.broken(quiet=True) == [6]
        else:
            # The relay as well: tickets that come back are news of their own.
            async with running_workers(made.client.settings, "inventory", "relay"):
                await proven(made.database)


@pytest.mark.parametrize("mutant", ["", "returned twice"], ids=["control", "mutant"])
async def test_returned_twice_tickets_are_invented(tmp_path: Path, mutant: str) -> None:
    """The audit's balance does not hold: there are more tickets than the quota."""
    async with bench(tmp_path) as made:
        await returned(made, mutant)
        broken = await made.broken()
        assert (1 in broken) is bool(mutant), broken
