"""Machines disagree on the time by 90 s either way: the database's clock decides, and nobody notices."""

from pathlib import Path

import aiohttp
import pytest

from db.leases import holders
from db.mysql import Database
from scripts.proving.buyers import Plan
from tests.faults.crowd import SEED, buyers, crowd, progress, shelves, verdict
from tests.faults.proof import END_SECONDS
from tests.harness.desk import Desk
from tests.harness.processes import Processes
from tests.harness.waiting import eventually

pytestmark = pytest.mark.timeout(300)

AHEAD = 90.0
BUYERS = 120


@pytest.mark.full
async def test_clocks_ninety_seconds_apart(
    city: Processes, counter: Desk, books: Database, tmp_path: Path
) -> None:
    """One gateway ahead, one behind, workers likewise: every order is taken up, none is past its deadline."""
    types = await shelves(counter, books, (100,), (400, 300))
    people = await buyers(books, BUYERS, f"clock{SEED}")
    fast = [
        await city.start("gateway-1", clock=AHEAD),
        await city.start("inventory-1", clock=-AHEAD),
    ]
    slow = [await city.start("gateway-2", clock=-AHEAD), await city.start("order-1", clock=AHEAD)]
    for name in ("payment-1", "relay-1", "notify-1"):
        await city.start(name, clock=-AHEAD, ready=False)
    plan = Plan([fast[0].url, slow[0].url], types, SEED, cancels=0.2, pays=0.3)
    async with crowd(plan, people, tmp_path) as load:
        await progress(load, BUYERS)
    await verdict(books, load, "clocks 180 s apart")
    refused = {(one.status, one.code) for one in load.history.operations if one.end == "refused"}
    assert refused <= {(409, "SOLD_OUT")}


@pytest.mark.full
async def test_a_token_of_a_gateway_that_is_ahead_is_good_at_one_that_is_behind(
    city: Processes, books: Database
) -> None:
    """Signed in at one, served by the other: their clocks are 180 s apart, the token says so, and it is valid."""
    ahead = await city.start("gateway-1", clock=AHEAD)
    behind = await city.start("gateway-2", clock=-AHEAD)
    account = {"email": "traveller@example.test", "password": "a long enough password"}
    async with aiohttp.ClientSession() as session:
        await session.post(f"{ahead.url}/api/auth/register", json=account)
        async with session.post(f"{ahead.url}/api/auth/login", json=account) as answer:
            token = (await answer.json())["accessToken"]
        headers = {"Authorization": f"Bearer {token}"}
        async with session.get(f"{behind.url}/api/auth/me", headers=headers) as answer:
            assert answer.status == 200, await answer.text()


@pytest.mark.full
async def test_a_process_restarted_with_its_clock_set_back_gets_its_share(
    city: Processes, counter: Desk, books: Database
) -> None:
    """Killed and started again on a machine 90 s behind: it holds half of the shards like before."""
    await city.start("inventory-1")
    second = await city.start("inventory-2")

    async def shared() -> bool:
        held = list((await holders(books, "shard")).values())
        return sorted(held) == ["inventory-1"] * 2 + ["inventory-2"] * 2

    await eventually(shared, within=END_SECONDS)
    await second.kill()

    async def taken_over() -> bool:
        return set((await holders(books, "shard")).values()) == {"inventory-1"}

    await eventually(taken_over, within=END_SECONDS)
    await city.start("inventory-2", clock=-AHEAD)
    await eventually(shared, within=END_SECONDS)
