"""The servers themselves die, stop, starve: what is promised to clients holds, and everything goes on afterwards.

On private servers of this module's own; each test ends with the verdict over what clients were told.
"""

import asyncio
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path

import aiohttp
import pytest
from redis.asyncio import Redis

from db.migrate import migrate
from db.mysql import Database, Transaction
from scripts.proving.buyers import Plan
from tests.faults.crowd import (
    EVERYBODY,
    GATEWAYS,
    SEED,
    buyers,
    crowd,
    note,
    open_shop,
    progress,
    shelves,
    verdict,
)
from tests.faults.proof import END_SECONDS, proven
from tests.harness.desk import Desk, desk
from tests.harness.processes import Process, Processes, processes
from tests.harness.servers import Machines, Server, machines
from tests.harness.waiting import eventually

pytestmark = pytest.mark.timeout(300)

QUOTAS = ((60, 20), (3000, 3000))
MANY = 6000


@pytest.fixture(scope="module")
async def room(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Machines]:
    """Three servers of this module's own, migrated."""
    async with machines(tmp_path_factory.mktemp("servers")) as made:
        await migrate(made.scratch.mysql_url)
        yield made


@pytest.fixture(scope="module")
async def ledger(room: Machines) -> AsyncIterator[Database]:
    """A pool on their database."""
    opened = await Database.connect(room.scratch.mysql_url)
    yield opened
    await opened.close()


@pytest.fixture(scope="module")
async def clerk(room: Machines, ledger: Database) -> AsyncIterator[Desk]:
    """A desk on their broker."""
    async with desk(room.scratch, ledger) as opened:
        yield opened


@pytest.fixture(scope="module")
async def shop(
    room: Machines, clerk: Desk, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator["Shop"]:
    """Everybody at work on these servers, through all that happens to them."""
    folder = tmp_path_factory.mktemp("shop")
    async with processes(room.scratch, folder, command_deadline=20) as city:
        yield Shop(city, await open_shop(city, EVERYBODY + GATEWAYS), folder)
        assert [one.name for one in city.started if one.child.returncode is not None] == []


class Shop:
    """Running processes and where they write."""

    def __init__(self, city: Processes, running: dict[str, Process], folder: Path) -> None:
        self.city, self.running, self.folder = city, running, folder

    def plan(self, types: list[list[int]], **more: object) -> Plan:
        """Buyers at both gateways."""
        urls = [self.running[name].url for name in GATEWAYS]
        return Plan(urls, types, SEED, cancels=0.2, pays=0.3, **more)  # type: ignore[arg-type]  # fields by name

    async def measured(self, name: str, metric: str) -> float:
        """The sum of a metric of one process."""
        async with (
            aiohttp.ClientSession() as session,
            session.get(f"{self.running[name].url}/metrics") as answer,
        ):
            lines = (await answer.text()).splitlines()
        return sum(float(line.split()[-1]) for line in lines if line.startswith(metric))


@pytest.mark.full
@pytest.mark.parametrize("server", ["mysql", "rabbitmq", "redis"])
async def test_a_server_is_killed_under_load(
    room: Machines, clerk: Desk, ledger: Database, shop: Shop, server: Server
) -> None:
    """kill -9 and restart: clients see 503 or an answer, the sale goes on by itself."""
    types = await shelves(clerk, ledger, *QUOTAS)
    people = await buyers(ledger, MANY, f"kill-{server}")
    async with crowd(shop.plan(types), people, shop.folder) as load:
        await progress(load, 60)
        await room.kill(server)
        await progress(load, load.done + 60)
        load.enough()
    await verdict(ledger, load, f"kill -9 of {server}")


@pytest.mark.full
async def test_redis_is_flushed_full_and_silent(
    room: Machines, clerk: Desk, ledger: Database, shop: Shop
) -> None:
    """Flushed, out of memory, stopped: orders go on, slower, and the sales without a lock are counted."""
    types = await shelves(clerk, ledger, *QUOTAS)
    people = await buyers(ledger, MANY, "redis")
    redis = Redis.from_url(room.scratch.redis_url)
    async with crowd(shop.plan(types), people, shop.folder) as load:
        await progress(load, 40)
        await redis.flushall()
        await progress(load, load.done + 40)
        await redis.config_set("maxmemory", "1mb")
        await progress(load, load.done + 40)
        await redis.config_set("maxmemory", "0")
        room.send("redis", signal.SIGSTOP)
        await progress(load, load.done + 40)
        room.send("redis", signal.SIGCONT)
        await progress(load, load.done + 40)
        load.enough()
    await redis.aclose()
    await verdict(ledger, load, "Redis flushed, out of memory, black-holed")
    without = [
        await shop.measured(name, "eventhub_sales_without_lock_total") for name in EVERYBODY[:2]
    ]
    assert sum(without) > 0


@pytest.mark.full
async def test_the_broker_raises_an_alarm(
    room: Machines, clerk: Desk, ledger: Database, shop: Shop
) -> None:
    """A full disk blocks publishers: an order is 503 with its id, never a 202 that nobody holds."""
    types = await shelves(clerk, ledger, (50,))
    [buyer, *people] = await buyers(ledger, 60, "alarm")
    await room.rabbitmqctl("set_disk_free_limit", "100000GB")
    headers = {"Authorization": f"Bearer {buyer.token}"}
    body = {"items": [{"ticketTypeId": types[0][0], "quantity": 1}]}
    async with (
        aiohttp.ClientSession() as session,
        session.post(
            f"{shop.running['gateway-1'].url}/api/orders", json=body, headers=headers
        ) as answer,
    ):
        told = await answer.json(content_type=None)
    assert (answer.status, told["code"]) == (503, "UNAVAILABLE"), told
    assert "Retry-After" in answer.headers
    async with crowd(shop.plan(types, patience=20.0), people, shop.folder) as load:
        await progress(load, 5)
        await room.rabbitmqctl("set_disk_free_limit", "200MB")
    await verdict(ledger, load, "disk alarm of the broker")
    assert load.history.counts().get("ok", 0) > 5


@pytest.mark.full
async def test_a_queue_is_deleted_under_its_consumer(
    room: Machines, clerk: Desk, ledger: Database, shop: Shop
) -> None:
    """An operator's slip: the queue comes back with its consumer, and orders are taken again."""
    types = await shelves(clerk, ledger, (15_000,))
    people = await buyers(ledger, MANY, "deleted")
    rows = await ledger.read("SELECT event_id FROM ticket_types WHERE id = %s", types[0][0])
    queue = f"inventory.{rows[0][0] % 4}"
    async with crowd(shop.plan(types), people, shop.folder) as load:
        await progress(load, 30)
        await room.rabbitmqctl("delete_queue", queue)
        sold = await _sold(ledger, types[0][0])

        async def sells_again() -> bool:
            return await _sold(ledger, types[0][0]) > sold + 20

        await eventually(sells_again, within=END_SECONDS, every=0.2)
        load.enough()
    # What lay on the deleted queue is gone with it: those commands end at their deadline, without effect.
    await proven(ledger)
    note("a queue deleted under its consumer", load.history.counts())


async def _sold(ledger: Database, type_id: int) -> int:
    rows = await ledger.read(
        "SELECT COUNT(*) FROM order_details WHERE ticket_type_id = %s", type_id
    )
    return int(rows[0][0])


@pytest.mark.full
async def test_somebody_else_holds_rows(clerk: Desk, ledger: Database, shop: Shop) -> None:
    """A session that locks rows against the order, and for longer than the sale waits: slower, nothing else."""
    types = await shelves(clerk, ledger, *QUOTAS)
    people = await buyers(ledger, MANY, "rows")
    rows = await ledger.read("SELECT id, event_id FROM ticket_types ORDER BY id DESC LIMIT 4")
    async with crowd(shop.plan(types), people, shop.folder) as load:
        for hold in (0.5, 3.2):
            await ledger.run(_holding(rows, hold))
            await progress(load, load.done + 40)
        load.enough()
    await verdict(ledger, load, "row locks held by somebody else")


def _holding(
    rows: Sequence[tuple[int, int]], seconds: float
) -> Callable[[Transaction], Awaitable[None]]:
    """Work that holds ticket types, when briefly then their events as well: a deadlock's victim may be we."""

    async def work(transaction: Transaction) -> None:
        for type_id, event_id in rows:
            await transaction.fetch("SELECT 1 FROM ticket_types WHERE id = %s FOR UPDATE", type_id)
            if seconds < 1:
                # Types before events is the wrong order.
                await transaction.fetch("SELECT 1 FROM events WHERE id = %s FOR UPDATE", event_id)
        await asyncio.sleep(seconds)

    return work
