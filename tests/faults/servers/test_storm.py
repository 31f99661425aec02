"""Connections break between every process and every server under a crowd.

Cut, black hole, answers that never come, delay, one-byte slices.
"""

import asyncio
import contextlib
import itertools
import random
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import aiohttp
import pytest

from db.mysql.database import Database
from scripts.proving.buyers import BuyerLoad, Plan
from scripts.proving.proxy import Mode, Proxy
from tests.faults.crowd import (
    EVERYBODY,
    FEED_SECONDS,
    GATEWAYS,
    SEED,
    crowd,
    newcomers,
    progress,
    rates_go_on,
    ticket_types_on_sale,
    verdict,
)
from tests.faults.proof import END_SECONDS
from tests.harness.command_client import CommandClient
from tests.harness.processes import Process, Processes
from tests.harness.scratch import Scratch
from tests.harness.waiting import eventually

pytestmark = pytest.mark.timeout(300)

MODES: tuple[Mode, ...] = ("cut", "hole", "mute", "delay", "slices")
SERVERS = ("mysql", "amqp", "redis")
QUOTAS = ((60, 20), (2000, 2000), (60_000, 60_000))
"""The last does not sell out: an order that the availability cache refuses meets no fault behind it."""
PER_FAULT = 15
"""Buyers who must come through while a fault lasts: the others go on."""
LASTS: dict[Mode, float] = {"cut": 1.0, "hole": 5.0, "mute": 5.0, "delay": 1.0, "slices": 1.0}
"""Seconds at least; silence outlasts a transaction (4 s)."""
Fault = tuple[str, str, Mode]
"""(process, server, mode)"""


class LoadedSystem:
    """Processes, each behind three proxies of its own."""

    def __init__(self) -> None:
        self.proxies: dict[tuple[str, str], Proxy] = {}
        self.processes: dict[str, Process] = {}


@contextlib.asynccontextmanager
async def loaded_system(
    processes: Processes, scratch: Scratch, names: Sequence[str]
) -> AsyncIterator[LoadedSystem]:
    """Start processes that reach each server only by a proxy."""
    made = LoadedSystem()
    urls = {"mysql": scratch.mysql_url, "amqp": scratch.amqp_url, "redis": scratch.redis_url}
    async with contextlib.AsyncExitStack() as stack:
        for name in names:
            environment = {"EVENTHUB_FEED_INTERVAL": str(FEED_SECONDS)}
            for server in SERVERS:
                proxy = await stack.enter_async_context(Proxy(urls[server]))
                made.proxies[name, server] = proxy
                environment[f"{server.upper()}_URL"] = proxy.address
            made.processes[name] = await processes.start(name, ready=False, environment=environment)
        for process in made.processes.values():
            await process.ready()
        yield made
        await processes.end_all()


async def connected(process: Process, proxy: Proxy) -> None:
    """Wait until there is something to break: the fault before may have been on this very connection.

    Who needs a server only to say whether it is there (notify and relay: Redis) is asked.
    """

    async def look() -> bool:
        if not proxy.connections:
            with contextlib.suppress(aiohttp.ClientError, OSError):
                async with aiohttp.ClientSession() as session, session.get(f"{process.url}/readyz"):
                    pass
        return proxy.connections > 0

    await eventually(look, within=END_SECONDS, every=0.1)


async def strike(loaded_system: LoadedSystem, load: BuyerLoad, fault: Fault) -> None:
    """One fault, as long as it lasts and until buyers came through beside it. Raises AssertionError when none do."""
    process, server, mode = fault
    before, proxy = load.done, loaded_system.proxies[process, server]
    try:
        await connected(loaded_system.processes[process], proxy)
        proxy.turn(mode)
        await asyncio.sleep(LASTS[mode])
        await progress(load, before + PER_FAULT)
    except AssertionError as error:
        error.add_note(f"at {fault}")
        raise
    proxy.turn("pass")


async def weather(
    processes: Processes,
    scratch: Scratch,
    client: CommandClient,
    database: Database,
    faults: Sequence[Fault],
    folder: Path,
    seed: int = SEED,
) -> None:
    """Let a crowd buy while the faults come one after the other, each for a part of the sale."""
    types = await ticket_types_on_sale(client, database, *QUOTAS)
    accounts = newcomers(database, f"storm{seed}-{len(faults)}")
    async with loaded_system(processes, scratch, EVERYBODY + GATEWAYS) as made:
        urls = [made.processes[name].url for name in GATEWAYS]
        plan = Plan(urls, types, seed, cancels=0.2, pays=0.3)
        async with crowd(plan, [], folder, accounts) as load:
            for fault in faults:
                await strike(made, load, fault)
            await rates_go_on(database)
            load.enough()
        await verdict(database, load, f"{len(faults)} faults between processes and servers", seed)


@pytest.mark.full
async def test_fifteen_faults_between_processes_and_servers(
    processes: Processes,
    scratch: Scratch,
    client: CommandClient,
    database: Database,
    tmp_path: Path,
    seed: int,
) -> None:
    """Drawn from the seed, each kind of fault and each server among them."""
    pick = random.Random(seed)
    faults: list[Fault] = [
        (pick.choice(EVERYBODY + GATEWAYS), server, mode)
        for server, mode in itertools.product(SERVERS, MODES)
    ]
    pick.shuffle(faults)
    await weather(processes, scratch, client, database, faults, tmp_path, seed)


@pytest.mark.full
@pytest.mark.timeout(900)
async def test_every_fault_between_every_process_and_every_server(
    processes: Processes,
    scratch: Scratch,
    client: CommandClient,
    database: Database,
    tmp_path: Path,
) -> None:
    """The whole table: processes by servers by faults."""
    faults = list(itertools.product(EVERYBODY + GATEWAYS, SERVERS, MODES))
    random.Random(SEED).shuffle(faults)
    await weather(processes, scratch, client, database, faults, tmp_path)
