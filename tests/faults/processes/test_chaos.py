"""Processes die at random under a crowd; the history of what clients were told is true, the books add up."""

import random
import signal
from pathlib import Path

import pytest

from db.messages.leases import holders
from db.mysql.database import Database
from scripts.proving.buyers import Plan
from tests.faults.crowd import (
    EVERYBODY,
    GATEWAYS,
    SEED,
    buyers,
    crowd,
    newcomers,
    progress,
    start_processes,
    ticket_types_on_sale,
    verdict,
)
from tests.harness.command_client import CommandClient
from tests.harness.processes import Processes
from tests.harness.seeds import at_length
from tests.harness.waiting import eventually

pytestmark = pytest.mark.timeout(300)

BUYERS, KILLS = 240, 12
QUOTAS = ((60, 20), (25,), (400, 300))


@pytest.mark.parametrize("seed", at_length())
async def test_any_process_dies_at_any_moment(
    processes: Processes, client: CommandClient, database: Database, tmp_path: Path, seed: int
) -> None:
    """Twelve kill -9 of gateways and workers during a sale: no lie, no ticket too many, nobody paid twice."""
    pick = random.Random(seed)
    types = await ticket_types_on_sale(client, database, *QUOTAS)
    accounts = await buyers(database, BUYERS, f"chaos{seed}")
    running = await start_processes(processes, EVERYBODY + GATEWAYS)
    urls = [running[name].url for name in GATEWAYS]
    plan = Plan(urls, types, seed, cancels=0.2, pays=0.4)
    async with crowd(plan, accounts, tmp_path) as load:
        for number in range(KILLS):
            await progress(load, (number + 1) * BUYERS // (KILLS + 2))
            name = pick.choice(EVERYBODY + GATEWAYS)
            await running[name].kill()
            running[name] = await processes.start(name, ready=False, port=running[name].port)
    await verdict(database, load, f"{KILLS} x kill -9 of any process", seed)


@pytest.mark.full
async def test_a_worker_that_slept_past_its_lease_does_no_harm(
    processes: Processes, client: CommandClient, database: Database, tmp_path: Path
) -> None:
    """Both inventory workers sleep (SIGSTOP) in turn until the other has taken their shards, then wake up."""
    types = await ticket_types_on_sale(client, database, *QUOTAS)
    accounts = newcomers(database, f"sleep{SEED}")
    running = await start_processes(processes, EVERYBODY + GATEWAYS[:1])
    plan = Plan([running["gateway-1"].url], types, SEED)
    async with crowd(plan, [], tmp_path, accounts) as load:
        for awake, asleep in (("inventory-1", "inventory-2"), ("inventory-2", "inventory-1")):
            await progress(load, load.done + BUYERS // 8)
            running[asleep].send(signal.SIGSTOP)
            await _holds_everything(database, awake)
            running[asleep].send(signal.SIGCONT)
        load.enough()
    await verdict(database, load, "a lease lapses while its holder sleeps")


async def _holds_everything(database: Database, name: str) -> None:
    async def look() -> bool:
        return set((await holders(database, "shard")).values()) == {name}

    await eventually(look, within=30, every=0.1)
