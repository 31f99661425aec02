"""The benches that run an EventHub of their own: tiny sizes, the same way as the large ones."""

from collections.abc import AsyncIterator

import pytest
from redis.asyncio import Redis

from db.mysql.database import Database
from scripts.benching.benches.expiry import ExpiryOptions, expiry
from scripts.benching.benches.growth import GrowthOptions, growth
from scripts.benching.benches.memory import MemoryOptions, memory
from scripts.benching.systems.system import System
from tests.harness.scratch import JWT_KEYS, Scratch, scratch_servers

pytestmark = pytest.mark.full
"""Each starts one EventHub or two, every process of it."""


@pytest.fixture(scope="module")
async def scratch() -> AsyncIterator[Scratch]:
    """Scratch servers: what is made beside them is removed again."""
    async with scratch_servers() as made:
        yield made


@pytest.fixture(scope="module")
async def system(scratch: Scratch) -> System:
    """The servers, as the benches see a system whose processes are somebody else's."""
    return System(
        gateway_url="http://127.0.0.1:1",
        mysql_url=scratch.mysql_url,
        redis_url=scratch.redis_url,
        amqp_url=scratch.amqp_url,
        amqp_management_url=scratch.amqp_management_url,
        jwt_keys=JWT_KEYS,
    )


async def left_behind(system: System, name: str) -> list[str]:
    """Databases that a bench has not dropped, and Redis databases that it has kept."""
    database = await Database.connect(system.mysql_url, size=1)
    place = f"{system.mysql_url.rpartition('/')[2]}_{name}"
    rows = await database.read(
        "SELECT schema_name FROM information_schema.schemata WHERE schema_name = %s", place
    )
    await database.close()
    redis = Redis.from_url(system.redis_url.rpartition("/")[0] + "/0")
    kept = [key async for key in redis.scan_iter("eventhub:bench:database:*")]
    taken = [key.decode() for key in kept if await redis.get(key) == place.encode()]
    await redis.aclose()
    return [str(row[0]) for row in rows] + taken


async def test_growth_compares_a_small_side_with_a_large_one(system: System) -> None:
    """Each stage has both sides' cost and their ratio; the large side's books are right in the end."""
    options = GrowthOptions(
        orders=400, events=60, streams=30, rounds=1, each=100, clients=10, idle_seconds=0.2, audit=True
    )  # fmt: skip
    result = await growth(system, options)
    for stage in ("orders", "events", "streams"):
        for side in ("small", "large"):
            assert result[stage][side]["cpuMicrosPerOrder"]["gateway-1"] > 0
        assert result[stage]["ratio"] > 0
    assert result["listing"]["page"]["large"]["p50Ms"] > 0
    assert result["audit"]["ok"], result["audit"]
    assert await left_behind(system, "large") == await left_behind(system, "small") == []


async def test_memory_is_read_after_orders_and_while_clients_wait(system: System) -> None:
    """Orders, purchases, and fifty clients whom nobody decides for a while: all of them get their order."""
    options = MemoryOptions(orders=300, purchases=20, waiting=50, clients=10)
    result = await memory(system, options)
    assert set(result["processes"]["mibAfterOrders"]) == {"0", "30", "150", "300"}
    assert 10 < result["processes"]["peakMiB"]["inventory-1"] < 500
    assert result["waiting"]["accepted"] == 50
    assert result["audit"]["ok"], result["audit"]
    assert await left_behind(system, "memory") == []


async def test_expired_tickets_come_back_while_all_orders_expire(system: System) -> None:
    """With a life of a second for every order: each ticket is sold again after its deadline, never before."""
    result = await expiry(system, ExpiryOptions(clients=10, expiries=5, life=1))
    assert result["times"] == 5
    assert result["backOnSaleMs"]["median"] > 0
    assert result["audit"]["ok"], result["audit"]
