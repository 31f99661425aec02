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
    progress,
    rates_go_on,
    start_processes,
    ticket_types_on_sale,
    verdict,
)
from tests.faults.proof import END_SECONDS
from tests.harness.command_client import CommandClient, command_client
from tests.harness.processes import Process, Processes, running_processes
from tests.harness.servers import Machines, Server, machines
from tests.harness.waiting import eventually

pytestmark = pytest.mark.timeout(300)

QUOTAS = ((60, 20), (3000, 3000))
MANY = 6000
DEADLINE = 20
"""Of commands, in seconds."""


@pytest.fixture(scope="module")
async def own_servers(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Machines]:
    """Three servers of this module's own, migrated."""
    async with machines(tmp_path_factory.mktemp("servers")) as made:
        await migrate(made.scratch.mysql_url)
        yield made


@pytest.fixture(scope="module")
async def own_database(own_servers: Machines) -> AsyncIterator[Database]:
    """A pool on their database."""
    opened = await Database.connect(own_servers.scratch.mysql_url)
    yield opened
    await opened.close()


@pytest.fixture(scope="module")
async def client(own_servers: Machines, own_database: Database) -> AsyncIterator[CommandClient]:
    """A command client on their broker."""
    async with command_client(own_servers.scratch, own_database) as opened:
        yield opened


@pytest.fixture(scope="module")
async def running(
    own_servers: Machines, client: CommandClient, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator["RunningSystem"]:
    """Everybody at work on these servers, through all that happens to them."""
    folder = tmp_path_factory.mktemp("logs")
    settings = {"command_deadline": DEADLINE, "feed_interval": FEED_SECONDS}
    async with running_processes(own_servers.scratch, folder, **settings) as processes:
        made = RunningSystem(
            processes, await start_processes(processes, EVERYBODY + GATEWAYS), folder
        )
        yield made
        assert [one.name for one in made.running.values() if one.child.returncode is not None] == []


class RunningSystem:
    """Running processes and where they write."""

    def __init__(self, processes: Processes, running: dict[str, Process], folder: Path) -> None:
        self.processes, self.running, self.folder = processes, running, folder

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
            self.running[name] = await self.processes.start(name, ready=False, port=port)

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
    own_servers: Machines,
    client: CommandClient,
    own_database: Database,
    running: RunningSystem,
    server: Server,
) -> None:
    """kill -9 and restart: clients see 503 or an answer, the sale goes on by itself."""
    types = await ticket_types_on_sale(client, own_database, *QUOTAS)
    accounts = await buyers(own_database, MANY, f"kill-{server}")
    async with crowd(running.plan(types), accounts, running.folder) as load:
        await progress(load, 60)
        await own_servers.kill(server)
        await progress(load, load.done + 60)
        await rates_go_on(own_database)
        load.enough()
    await verdict(own_database, load, f"kill -9 of {server}")


@pytest.mark.full
async def test_redis_is_flushed_full_and_silent(
    own_servers: Machines, client: CommandClient, own_database: Database, running: RunningSystem
) -> None:
    """Flushed, out of memory, stopped: orders go on, slower, and the sales without a lock are counted."""
    types = await ticket_types_on_sale(client, own_database, *QUOTAS)
    accounts = await buyers(own_database, MANY, "redis")
    redis = Redis.from_url(own_servers.scratch.redis_url)
    async with crowd(running.plan(types), accounts, running.folder) as load:
        await progress(load, 40)
        await redis.flushall()
        await progress(load, load.done + 40)
        refused = await _out_of_memory(redis)
        await redis.config_set("maxmemory", "1mb")
        await progress(load, load.done + 40)
        refused = await _out_of_memory(redis) - refused
        await redis.config_set("maxmemory", "0")
        assert refused, "it was never out of memory"
        own_servers.send("redis", signal.SIGSTOP)
        await progress(load, load.done + 40)
        own_servers.send("redis", signal.SIGCONT)
        await progress(load, load.done + 40)
        load.enough()
    await redis.aclose()
    await verdict(own_database, load, "Redis flushed, out of memory, black-holed")
    without = [
        await running.measured(name, "eventhub_sales_without_lock_total") for name in EVERYBODY[:2]
    ]
    assert sum(without) > 0


async def _out_of_memory(redis: Redis) -> int:
    """How many commands this server has refused for want of memory."""
    refused = (await redis.info("errorstats")).get("errorstat_OOM", {})
    return int(refused.get("count", 0))


@dataclass(frozen=True, slots=True)
class Alarm:
    """What makes the broker raise an alarm, and what ends it (scripts/stack/private_servers/rabbitmq_server.py)."""

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
    own_servers: Machines,
    client: CommandClient,
    own_database: Database,
    running: RunningSystem,
    alarm: Alarm,
) -> None:
    """No disk or memory left blocks publishers: an order is 503 with its id, never a 202 that nobody holds."""
    types = await ticket_types_on_sale(client, own_database, (50,))
    [buyer, *accounts] = await buyers(own_database, 60, f"alarm-{alarm.name}")
    said = {name: len(running.running[name].log.read_text()) for name in GATEWAYS}
    await own_servers.rabbitmqctl(*alarm.raised)
    assert await _alarms(own_servers, alarm.name)
    headers = {"Authorization": f"Bearer {buyer.token}"}
    body = {"items": [{"ticketTypeId": types[0][0], "quantity": 1}]}
    async with (
        aiohttp.ClientSession() as session,
        session.post(
            f"{running.running['gateway-1'].url}/api/orders", json=body, headers=headers
        ) as answer,
    ):
        told = await answer.json(content_type=None)
    assert (answer.status, told["code"]) == (503, "UNAVAILABLE"), told
    assert "Retry-After" in answer.headers
    async with crowd(running.plan(types, patience=20.0), accounts, running.folder) as load:
        await progress(load, 5)
        await own_servers.rabbitmqctl(*alarm.ended)
    await verdict(own_database, load, f"{alarm.name} alarm of the broker")
    assert load.history.counts().get("ok", 0) > 5
    for name in GATEWAYS:
        # The broker reads nothing from who published under an alarm: that must not look like a broker without a pulse.
        assert "no pulse" not in running.running[name].log.read_text()[said[name] :]


async def _alarms(own_servers: Machines, name: str) -> bool:
    """Wait until the broker says that this alarm is on."""

    async def look() -> bool:
        return name in await own_servers.rabbitmqctl("eval", "rabbit_alarm:get_alarms().")

    return await eventually(look, within=END_SECONDS, every=0.5)


@pytest.mark.full
async def test_a_queue_is_deleted_under_its_consumer(
    own_servers: Machines, client: CommandClient, own_database: Database, running: RunningSystem
) -> None:
    """An operator's slip, twice: the queue comes back with its consumer, and orders are taken again.

    What lay on the queue is gone with it: those commands end at their deadline, without effect.
    """
    types = await ticket_types_on_sale(client, own_database, (15_000,))
    accounts = await buyers(own_database, MANY, "deleted")
    rows = await own_database.read("SELECT event_id FROM ticket_types WHERE id = %s", types[0][0])
    queue = f"inventory.{rows[0][0] % 4}"
    plan = running.plan(types, keyed=0.2, wait=1)
    async with crowd(plan, accounts, running.folder) as load:
        await progress(load, 30)
        await own_servers.rabbitmqctl("delete_queue", queue)
        await _sells_again(own_database, types[0][0])
        async with running.without(EVERYBODY[:2]):
            await _accepted(load, plan.clients + 5)
            await own_servers.rabbitmqctl("delete_queue", queue)
        await _sells_again(own_database, types[0][0])
        load.enough()
    await verdict(own_database, load, "a queue deleted under its consumer", deadline=DEADLINE)
    lost = await check(own_database, load.history.operations)
    assert lost, "nothing lay on the queue"
    assert [one for one in lost if not one.endswith("never decided")] == []


async def _accepted(load: BuyerLoad, more: int) -> None:
    """Wait until so many more have been told 202."""
    before = load.history.counts().get("accepted", 0)

    async def look() -> bool:
        return load.history.counts().get("accepted", 0) >= before + more

    await eventually(look, within=END_SECONDS, every=0.05)


async def _sells_again(own_database: Database, type_id: int) -> None:
    sold = await _sold(own_database, type_id)

    async def look() -> bool:
        return await _sold(own_database, type_id) > sold + 20

    await eventually(look, within=END_SECONDS, every=0.2)


async def _sold(own_database: Database, type_id: int) -> int:
    rows = await own_database.read(
        "SELECT COUNT(*) FROM order_details WHERE ticket_type_id = %s", type_id
    )
    return int(rows[0][0])


@pytest.mark.full
async def test_somebody_else_holds_rows(
    client: CommandClient, own_database: Database, running: RunningSystem
) -> None:
    """A session that locks rows against the order, and for longer than the sale waits: slower, nothing else.

    The server counts deadlocks (1213) and waits that were given up (1205): each must have been among them.
    """
    types = await ticket_types_on_sale(client, own_database, *QUOTAS)
    accounts = await buyers(own_database, MANY, "rows")
    rows = await own_database.read("SELECT id, event_id FROM ticket_types ORDER BY id DESC LIMIT 4")
    async with crowd(running.plan(types), accounts, running.folder) as load:
        for metric, hold in (("lock_deadlocks", 0.5), ("lock_timeouts", 3.2)):
            before = await _counted(own_database, metric)
            await eventually(_holds(own_database, rows, hold, metric, before), within=END_SECONDS)
            await progress(load, load.done + 40)
        load.enough()
    await verdict(own_database, load, "row locks held by somebody else")


async def _counted(own_database: Database, metric: str) -> int:
    """One of the server's own counters."""
    select = "SELECT `COUNT` FROM information_schema.INNODB_METRICS WHERE NAME = %s"
    [[count]] = await own_database.read(select, metric)
    return int(count)


def _holds(
    own_database: Database, rows: Sequence[tuple[int, int]], hold: float, metric: str, before: int
) -> Callable[[], Awaitable[bool]]:
    """Hold the rows once, whoever waits for them; whether the metric has moved."""

    async def look() -> bool:
        await own_database.run(_holding(rows, hold))
        return await _counted(own_database, metric) > before

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
