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
    open_shop,
    progress,
    shelves,
    verdict,
)
from tests.harness.command_client import Desk
from tests.harness.processes import Processes
from tests.harness.seeds import at_length
from tests.harness.waiting import eventually

pytestmark = pytest.mark.timeout(300)

BUYERS, KILLS = 240, 12
QUOTAS = ((60, 20), (25,), (400, 300))


@pytest.mark.parametrize("seed", at_length())
async def test_any_process_dies_at_any_moment(
    city: Processes, counter: Desk, books: Database, tmp_path: Path, seed: int
) -> None:
    """Twelve kill -9 of gateways and workers during a sale: no lie, no ticket too many, nobody paid twice."""
    pick = random.Random(seed)
    types = await shelves(counter, books, *QUOTAS)
    people = await buyers(books, BUYERS, f"chaos{seed}")
    shop = await open_shop(city, EVERYBODY + GATEWAYS)
    urls = [shop[name].url for name in GATEWAYS]
    plan = Plan(urls, types, seed, cancels=0.2, pays=0.4)
    async with crowd(plan, people, tmp_path) as load:
        for number in range(KILLS):
            await progress(load, (number + 1) * BUYERS // (KILLS + 2))
            name = pick.choice(EVERYBODY + GATEWAYS)
            await shop[name].kill()
            shop[name] = await city.start(name, ready=False, port=shop[name].port)
    await verdict(books, load, f"{KILLS} x kill -9 of any process", seed)


@pytest.mark.full
async def test_a_worker_that_slept_past_its_lease_does_no_harm(
    city: Processes, counter: Desk, books: Database, tmp_path: Path
) -> None:
    """Both inventory workers sleep (SIGSTOP) in turn until the other has taken their shards, then wake up."""
    types = await shelves(counter, books, *QUOTAS)
    people = newcomers(books, f"sleep{SEED}")
    shop = await open_shop(city, EVERYBODY + GATEWAYS[:1])
    plan = Plan([shop["gateway-1"].url], types, SEED)
    async with crowd(plan, [], tmp_path, people) as load:
        for awake, asleep in (("inventory-1", "inventory-2"), ("inventory-2", "inventory-1")):
            await progress(load, load.done + BUYERS // 8)
            shop[asleep].send(signal.SIGSTOP)
            await _holds_everything(books, awake)
            shop[asleep].send(signal.SIGCONT)
        load.enough()
    await verdict(books, load, "a lease lapses while its holder sleeps")


async def _holds_everything(books: Database, name: str) -> None:
    async def look() -> bool:
        return set((await holders(books, "shard")).values()) == {name}

    await eventually(look, within=30, every=0.1)
