"""SIGTERM to processes under a steady load, and nobody notices: no dead letter, no second effect, no lie.

Whether a process ended within its time is its own word: a worker whose nine seconds (workers/runtime/process.py) were
not enough says so and still ends with 0.
"""

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from statistics import median
from types import SimpleNamespace
from typing import Any

import aiohttp
import pytest
from structlog.testing import capture_logs

from contracts.webhooks.messages import PING
from db.mysql.database import Database
from scripts.benching.systems.system import System
from scripts.soaking.audience import Heard, receiving, reporting
from scripts.soaking.shoppers import Shoppers, make_events_on_sale
from tests.faults.crowd import EVERYBODY, GATEWAYS, SEED, note, start_processes
from tests.faults.proof import END_SECONDS, proven
from tests.harness.processes import Process, Processes, running_processes
from tests.harness.scratch import JWT_KEYS, Scratch
from tests.harness.waiting import eventually
from workers.runtime import process
from workers.runtime.readiness import WorkerReadiness

pytestmark = pytest.mark.timeout(240)

NAMES = EVERYBODY + GATEWAYS
KINDS: dict[str, tuple[str, ...]] = {
    "inventory": ("inventory-1", "inventory-2"),
    "gateway": GATEWAYS,
    "order": ("order-1",),
    "payment": ("payment-1",),
    "quote": ("quote-1",),
    "admission": ("admission-1",),
    "notify": ("notify-1",),
    "relay": ("relay-1",),
}
"""What is stopped, one after the other; of two, in turn."""
RATE = 25.0
CUT_SHORT = "stopped with work left on the queues"
"""What a worker says whose time to stop was over first."""
LAST_WORDS = {"gateway": "gateway.stopped"}
"""What a kind of process says once all that it began has ended."""
READY_SECONDS = 150.0
"""What a busy machine may take to start one beside all the others."""
BETWEEN = 12
"""Visits that end between two stops: the load goes on."""


@pytest.fixture
async def processes(scratch: Scratch, tmp_path: Path) -> AsyncIterator[Processes]:
    """Real processes on the module's servers; unpaid orders live eight seconds, webhooks may go to this machine."""
    settings = {"order_ttl": 8, "quote_ttl": 8, "max_hold": 16, "webhook_allow_private": "true"}
    async with running_processes(scratch, tmp_path, **settings) as made:
        yield made


class LoadedSystem:
    """Everything that runs while processes are stopped."""

    def __init__(
        self, running: dict[str, Process], processes: Processes, shoppers: Shoppers, heard: Heard
    ) -> None:
        self.running, self._city, self.shoppers, self.heard = running, processes, shoppers, heard
        self.stops: list[tuple[float, str]] = []
        """Seconds that each stop took, and whose: told, not judged, for the machine may be busy with other work."""

    async def stop(self, name: str) -> None:
        """SIGTERM to a process that is ready and at work; it ends with 0, and is started again."""
        await self.running[name].ready(within=READY_SECONDS)
        await self._some_visits()
        began = asyncio.get_running_loop().time()
        code = await self.running[name].stop(within=END_SECONDS)
        self.stops.append((asyncio.get_running_loop().time() - began, name))
        assert code == 0, f"{name} ended with {code}: {self.running[name].tail}"
        ended_in_time(self.running[name])
        self.running[name] = await self._city.start(name, ready=False, port=self.running[name].port)

    async def _some_visits(self) -> None:
        before = self.shoppers.told.visits

        async def look() -> bool:
            return self.shoppers.told.visits >= before + BETWEEN

        await eventually(look, within=END_SECONDS, every=0.02)


def ended_in_time(one: Process) -> None:
    """Nothing in its log says that its time to stop was over before its work was. Raises AssertionError."""
    said = one.log.read_text(errors="replace")
    assert CUT_SHORT not in said, f"{one.name}: {one.tail}"
    kind = one.name.partition("-")[0]
    assert LAST_WORDS.get(kind, "stopping") in said, f"{one.name}: {one.tail}"


@contextlib.asynccontextmanager
async def loaded_system(
    processes: Processes, scratch: Scratch, database: Database
) -> AsyncIterator[LoadedSystem]:
    """Processes, shoppers who come all the time, a provider of rates, an admin who hears everything."""
    running = await start_processes(processes, NAMES)
    system = System(
        gateway_url=running["gateway-1"].url,
        mysql_url=scratch.mysql_url,
        redis_url=scratch.redis_url,
        amqp_url=scratch.amqp_url,
        amqp_management_url=scratch.amqp_management_url,
        jwt_keys=JWT_KEYS,
        shards=4,
    )
    gateways = [running[name].url for name in GATEWAYS]
    ticket_types_on_sale, enough = await make_events_on_sale(system), asyncio.Event()
    shoppers = Shoppers(
        system, database, ticket_types_on_sale, rate=RATE, seed=SEED, gateways=gateways
    )
    async with contextlib.AsyncExitStack() as stack:
        session = await stack.enter_async_context(aiohttp.ClientSession())
        heard = await stack.enter_async_context(receiving(system, session))
        assert heard is not None, "private addresses are allowed here"
        await stack.enter_async_context(reporting(system, database, session, Counter()))
        shopping = asyncio.create_task(shoppers.run(3600, enough))
        made = LoadedSystem(running, processes, shoppers, heard)
        try:
            yield made
            enough.set()
            await shopping
            await asyncio.gather(
                *(one.ready(within=READY_SECONDS) for one in made.running.values())
            )
            await _all_heard(database, heard)
        finally:
            shopping.cancel()
            await asyncio.gather(shopping, return_exceptions=True)


async def _all_heard(database: Database, heard: Heard) -> None:
    """Wait until every event is published, and every webhook sent."""
    await proven(database)

    async def look() -> bool:
        rows = await database.read(
            "SELECT COUNT(*), COALESCE(SUM(status <> 'DELIVERED'), 0) FROM webhook_deliveries "
            "WHERE event_type <> %s",
            PING,
        )
        assert rows[0] == (heard.good - heard.repeated, 0), f"{rows[0]}, heard {heard.to_json()}"
        return True

    await eventually(look, within=END_SECONDS, every=0.25)


async def stopped(processes: Processes, scratch: Scratch, database: Database, times: int) -> None:
    """Each process so many times; then everything that was told is true, once."""
    async with loaded_system(processes, scratch, database) as made:
        for number in range(times):
            for names in KINDS.values():
                await made.stop(names[number % len(names)])
    told = made.shoppers.told
    assert (told.lie_count, told.lies) == (0, [])
    assert made.shoppers.visitors is not None
    assert made.shoppers.visitors.odd == {}
    assert (made.heard.forged, made.heard.repeated) == (0, 0)
    await proven(database)
    ends = Counter({kind.partition(" ")[2]: 0 for kind in told.ends})
    for kind, count in told.ends.items():
        ends[kind.partition(" ")[2]] += count
    middle, (longest, name) = median(seconds for seconds, _ in made.stops), max(made.stops)
    lasted = f"median {middle:.1f} s, longest {longest:.1f} s ({name})"
    note(f"{len(made.stops)} graceful stops under load, {lasted}", ends)


class Endless:
    """A message processor, and an intake, on which something never ends."""

    async def start(self, wait: float) -> None:
        """There at once."""

    async def run(self) -> None:
        """Until it is cancelled."""
        await asyncio.Event().wait()

    async def drain(self, runner: "asyncio.Task[None]") -> None:
        """Its work never ends."""
        await runner


async def test_a_worker_whose_time_is_over_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """The very words that no process may have said here."""
    monkeypatch.setattr(process, "STOP_SECONDS", 0.01)
    stop = asyncio.Event()
    stop.set()
    services: Any = SimpleNamespace(stop=stop, intake=Endless(), readiness=WorkerReadiness())
    processing: Any = Endless()
    with capture_logs() as logs:
        await process._work(services, process.Worker("tired", {}), processing)
    assert CUT_SHORT in [line["event"] for line in logs]


async def test_each_process_stopped_once(
    processes: Processes, scratch: Scratch, database: Database
) -> None:
    """SIGTERM to one process of each kind in turn: exit 0, and nothing is lost, doubled or untrue."""
    await stopped(processes, scratch, database, 1)


@pytest.mark.full
@pytest.mark.timeout(3000)
async def test_each_process_stopped_twenty_times(
    processes: Processes, scratch: Scratch, database: Database
) -> None:
    """The same, 140 times."""
    await stopped(processes, scratch, database, 20)
