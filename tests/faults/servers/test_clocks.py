"""Machines disagree on the time by 90 s either way: the database's clock decides, and nobody notices.

Each process is asked for its own time before anything is proven with it: a shift that did not take would prove nothing.
"""

import asyncio
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from pathlib import Path

import aiohttp
import orjson
import pytest

from db.messages.leases import holders
from db.mysql.database import Database
from scripts.proving.buyers import Plan
from tests.faults.crowd import SEED, buyers, crowd, progress, ticket_types_on_sale, verdict
from tests.faults.proof import END_SECONDS
from tests.harness.command_client import CommandClient
from tests.harness.processes import Process, Processes
from tests.harness.waiting import eventually

pytestmark = pytest.mark.timeout(300)

AHEAD = 90.0
BUYERS = 120
DECIDED, REQUEST = "command decided", "request"
"""Lines of a log whose time is `datetime.now`; a Date header's is `time.time`."""


async def elsewhere(processes: Processes, name: str, clock: float) -> Process:
    """A process on a machine whose clock is wrong by so many seconds, as the Date of its answers shows."""
    began = datetime.now(UTC) - timedelta(seconds=1)  # a Date has whole seconds
    process = await processes.start(name, clock=clock)
    async with aiohttp.ClientSession() as session, session.get(f"{process.url}/readyz") as answer:
        said = parsedate_to_datetime(answer.headers["Date"])
    shift = timedelta(seconds=clock)
    assert began + shift <= said <= datetime.now(UTC) + shift, f"{name} says that it is {said}"
    return process


def writes_wrong_times(process: Process, event: str, began: datetime, clock: float) -> None:
    """Every such line of its log is dated by the wrong clock. Raises AssertionError."""
    lines = [orjson.loads(line) for line in process.log.read_bytes().splitlines()]
    times = [datetime.fromisoformat(one["timestamp"]) for one in lines if one["event"] == event]
    shift = timedelta(seconds=clock)
    assert times, f"{process.name} wrote no line of {event}"
    assert began + shift <= min(times)
    assert max(times) <= datetime.now(UTC) + shift


@pytest.mark.full
async def test_clocks_ninety_seconds_apart(
    processes: Processes, client: CommandClient, database: Database, tmp_path: Path
) -> None:
    """One gateway ahead, one behind, workers likewise: every order is taken up, none is past its deadline."""
    types = await ticket_types_on_sale(client, database, (100,), (400, 300))
    accounts = await buyers(database, BUYERS, f"clock{SEED}")
    began = datetime.now(UTC)
    clocks = {"gateway-1": AHEAD, "gateway-2": -AHEAD, "order-1": AHEAD} | dict.fromkeys(
        ("inventory-1", "payment-1", "quote-1", "relay-1", "notify-1"), -AHEAD
    )
    made = await asyncio.gather(*(elsewhere(processes, *one) for one in clocks.items()))
    running = {one.name: one for one in made}
    gateways = [running["gateway-1"].url, running["gateway-2"].url]
    plan = Plan(gateways, types, SEED, cancels=0.2, pays=0.3)
    async with crowd(plan, accounts, tmp_path) as load:
        await progress(load, BUYERS)
    await verdict(database, load, "clocks 180 s apart")
    refused = {(one.status, one.code) for one in load.history.operations if one.end == "refused"}
    assert refused <= {(409, "SOLD_OUT")}
    for name in ("gateway-1", "gateway-2"):
        writes_wrong_times(running[name], REQUEST, began, clocks[name])
    for name in ("inventory-1", "order-1", "payment-1"):
        writes_wrong_times(running[name], DECIDED, began, clocks[name])


@pytest.mark.full
async def test_a_token_of_a_gateway_that_is_ahead_is_good_at_one_that_is_behind(
    processes: Processes, database: Database
) -> None:
    """Signed in at one, served by the other: their clocks are 180 s apart, the token says so, and it is valid."""
    ahead = await elsewhere(processes, "gateway-1", AHEAD)
    behind = await elsewhere(processes, "gateway-2", -AHEAD)
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
    processes: Processes, client: CommandClient, database: Database
) -> None:
    """Killed and started again on a machine 90 s behind: it holds half of the shards like before."""
    await processes.start("inventory-1")
    second = await processes.start("inventory-2")

    async def shared() -> bool:
        held = list((await holders(database, "shard")).values())
        return sorted(held) == ["inventory-1"] * 2 + ["inventory-2"] * 2

    await eventually(shared, within=END_SECONDS)
    await second.kill()

    async def taken_over() -> bool:
        return set((await holders(database, "shard")).values()) == {"inventory-1"}

    await eventually(taken_over, within=END_SECONDS)
    await elsewhere(processes, "inventory-2", -AHEAD)
    await eventually(shared, within=END_SECONDS)
