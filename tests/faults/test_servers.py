"""The servers themselves die, stop, starve: what is promised to clients holds, and everything goes on afterwards.

On private servers of this module's own; each test ends with the verdict over what clients were told.
"""

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import pytest
from redis.asyncio import Redis

from db.migrate import migrate
from db.mysql.database import Database, Transaction
from scripts.proving.buyers import BuyerLoad, Plan
from scripts.proving.checking import check
from tests.faults.crowd import (
    EVERYBODY,
    FEED_SECONDS,
    GATEWAYS,
    SEED,
    buyers,
    crowd,
    open_shop,
    progress,
    rates_go_on,
    shelves,
    verdict,
)
from tests.faults.proof import END_SECONDS
from tests.harness.desk import Desk, desk
from tests.harness.processes import Process, Processes, processes
from tests.harness.servers import Machines, Server, machines
from tests.harness.waiting import eventually

pytestmark = pytest.mark.timeout(300)

QUOTAS = ((60, 20), (3000, 3000))
MANY = 6000
DEADLINE = 20
"""Of commands, in seconds."""


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
    settings = {"command_deadline": DEADLINE, "feed_interval": FEED_SECONDS}
    async with processes(room.scratch, folder, **settings) as city:
        made = Shop(city, await open_shop(city, EVERYBODY + GATEWAYS), folder)
        yield made
        assert [one.name for one in made.running.values() if one.child.returncode is not None] == []


class Shop:
    """Running processes and where they write."""

    def __init__(self, city: Processes, running: dict[str, Process], folder: Path) -> None:
        self.city, self.running, self.folder = city, running, folder

    def plan(self, types: list[list[int]], **more: object) -> Plan:
        """Buyers at both gateways."""
        urls = [self.running[name].url for name in GATEWAYS]
        return Plan(urls, types, SEED, cancels=0.2, pays=0.3, **more)  # type: ignore[arg-type]  # fields by name

    @contextlib.asynccontextmanager
    async def without(self, names: Sequence[str]) -> AsyncIterator[None]:
        """Kill these for as long as the block lasts."""
        for name in names:
            await self.running[name].kill()
        yield
        for name in names:
            port = self.running[name].port
            self.running[name] = await self.city.start(name, ready=False, port=port)

    async def measured(self, name: str, metric: str) -> float:
        """The sum of a metric of one process."""
        async with (
            aiohttp.ClientSession() as session,
            session.get(self.running[name].metrics_url) as answer,
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
        await rates_go_on(ledger)
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
        refused = await _out_of_memory(redis)
        await redis.config_set("maxmemory", "1mb")
        await progress(load, load.done + 40)
        refused = await _out_of_memory(redis) - refused
        await redis.config_set("maxmemory", "0")
        assert refused, "it was never out of memory"
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


async def _out_of_memory(redis: Redis) -> int:
    """How many commands this server has refused for want of memory."""
    refused = (await redis.info("errorstats")).get("errorstat_OOM", {})
    return int(refused.get("count", 0))


@dataclass(frozen=True, slots=True)
class Alarm:
    """What makes the broker raise an alarm, and what ends it (scripts/stack/rabbitmq_server.py)."""

    name: str
    raised: tuple[str, ...]
    ended: tuple[str, ...]


ALARMS = (
    Alarm("disk", ("set_disk_free_limit", "100000GB"), ("set_disk_free_limit", "200MB")),
    Alarm(
        "memory",
        ("set_vm_memory_high_watermark", "absolute", "1MB"),
        ("set_vm_memory_high_watermark", "absolute", "2GB"),
    ),
)


@pytest.mark.full
@pytest.mark.parametrize("alarm", ALARMS, ids=[one.name for one in ALARMS])
async def test_the_broker_raises_an_alarm(
    room: Machines, clerk: Desk, ledger: Database, shop: Shop, alarm: Alarm
) -> None:
    """No disk or memory left blocks publishers: an order is 503 with its id, never a 202 that nobody holds."""
    types = await shelves(clerk, ledger, (50,))
    [buyer, *people] = await buyers(ledger, 60, f"alarm-{alarm.name}")
    said = {name: len(shop.running[name].log.read_text()) for name in GATEWAYS}
    await room.rabbitmqctl(*alarm.raised)
    assert await _alarms(room, alarm.name)
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
        await room.rabbitmqctl(*alarm.ended)
    await verdict(ledger, load, f"{alarm.name} alarm of the broker")
    assert load.history.counts().get("ok", 0) > 5
    for name in GATEWAYS:
        # The broker reads nothing from who published under an alarm: that must not look like a broker without a pulse.
        assert "no pulse" not in shop.running[name].log.read_text()[said[name] :]


async def _alarms(room: Machines, name: str) -> bool:
    """Wait until the broker says that this alarm is on."""

    async def look() -> bool:
        return name in await room.rabbitmqctl("eval", "rabbit_alarm:get_alarms().")

    return await eventually(look, within=END_SECONDS, every=0.5)


@pytest.mark.full
async def test_a_queue_is_deleted_under_its_consumer(
    room: Machines, clerk: Desk, ledger: Database, shop: Shop
) -> None:
    """An operator's slip, twice: the queue comes back with its consumer, and orders are taken again.

    What lay on the queue is gone with it: those commands end at their deadline, without effect.
    """
    types = await shelves(clerk, ledger, (15_000,))
    people = await buyers(ledger, MANY, "deleted")
    rows = await ledger.read("SELECT event_id FROM ticket_types WHERE id = %s", types[0][0])
    queue = f"inventory.{rows[0][0] % 4}"
    plan = shop.plan(types, keyed=0.2, wait=1)
    async with crowd(plan, people, shop.folder) as load:
        await progress(load, 30)
        await room.rabbitmqctl("delete_queue", queue)
        await _sells_again(ledger, types[0][0])
        async with shop.without(EVERYBODY[:2]):
            await _accepted(load, plan.clients + 5)
            await room.rabbitmqctl("delete_queue", queue)
        await _sells_again(ledger, types[0][0])
        load.enough()
    await verdict(ledger, load, "a queue deleted under its consumer", deadline=DEADLINE)
    lost = await check(ledger, load.history.operations)
    assert lost, "nothing lay on the queue"
    assert [one for one in lost if not one.endswith("never decided")] == []


async def _accepted(load: BuyerLoad, more: int) -> None:
    """Wait until so many more have been told 202."""
    before = load.history.counts().get("accepted", 0)

    async def look() -> bool:
        return load.history.counts().get("accepted", 0) >= before + more

    await eventually(look, within=END_SECONDS, every=0.05)


async def _sells_again(ledger: Database, type_id: int) -> None:
    sold = await _sold(ledger, type_id)

    async def look() -> bool:
        return await _sold(ledger, type_id) > sold + 20

    await eventually(look, within=END_SECONDS, every=0.2)


async def _sold(ledger: Database, type_id: int) -> int:
    rows = await ledger.read(
        "SELECT COUNT(*) FROM order_details WHERE ticket_type_id = %s", type_id
    )
    return int(rows[0][0])


@pytest.mark.full
async def test_somebody_else_holds_rows(clerk: Desk, ledger: Database, shop: Shop) -> None:
    """A session that locks rows against the order, and for longer than the sale waits: slower, nothing else.

    The server counts deadlocks (1213) and waits that were given up (1205): each must have been among them.
    """
    types = await shelves(clerk, ledger, *QUOTAS)
    people = await buyers(ledger, MANY, "rows")
    rows = await ledger.read("SELECT id, event_id FROM ticket_types ORDER BY id DESC LIMIT 4")
    async with crowd(shop.plan(types), people, shop.folder) as load:
        for counter, hold in (("lock_deadlocks", 0.5), ("lock_timeouts", 3.2)):
            before = await _counted(ledger, counter)
            await eventually(_holds(ledger, rows, hold, counter, before), within=END_SECONDS)
            await progress(load, load.done + 40)
        load.enough()
    await verdict(ledger, load, "row locks held by somebody else")


async def _counted(ledger: Database, counter: str) -> int:
    """One of the server's own counters."""
    select = "SELECT `COUNT` FROM information_schema.INNODB_METRICS WHERE NAME = %s"
    [[count]] = await ledger.read(select, counter)
    return int(count)


def _holds(
    ledger: Database, rows: Sequence[tuple[int, int]], hold: float, counter: str, before: int
) -> Callable[[], Awaitable[bool]]:
    """Hold the rows once, whoever waits for them; whether the counter has moved."""

    async def look() -> bool:
        await ledger.run(_holding(rows, hold))
        return await _counted(ledger, counter) > before

    return look


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
