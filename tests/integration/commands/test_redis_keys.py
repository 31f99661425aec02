"""What EventHub leaves in Redis: every key has an end, so that a full Redis can let go of any and refuses nothing."""

import re
from pathlib import Path

import pytest
from redis.asyncio import Redis

from db.mysql.database import Database
from db.redis.seat_locks import SeatLocks
from scripts.stack.home import CHECKOUT
from scripts.stack.private_servers import redis_server
from tests.harness.accounts import person
from tests.harness.sales import order, sale
from tests.harness.scratch import scratch_servers
from tests.harness.servers import machines
from tests.harness.system import running
from tests.harness.waiting import eventually

LOCK_MS = 60_000


async def test_every_key_has_an_end() -> None:
    """After a sale, a search, keyed calls, limits and rates: none without, and those that are known have been there."""
    async with (
        scratch_servers() as places,
        running(places, limits_off_for="", limit_address="1000/s", limit_login="1000/s") as system,
    ):
        database = await Database.connect(places.mysql_url, size=1)
        redis = Redis.from_url(places.redis_url)
        organizer, buyer = await person(database, "ORGANIZER"), await person(database)
        sold = await sale(system, organizer, 10)
        body = {"items": [{"ticketTypeId": sold.ticket_type, "quantity": 1}]}
        assert (await system.api(buyer).post("/api/orders", body, key="a key")).status == 201
        await order(system.api(buyer), sold.ticket_type)
        await system.api().get("/api/events")
        for number in range(20):
            for asked in (f"q=x{number}", f"from=20{number + 10}-01-01T00:00:00Z"):
                assert (await system.api().get(f"/api/events?{asked}")).status == 200
        pages = [key async for key in redis.scan_iter("eventhub:events:*")]
        assert len(pages) == 1, "what only one client thought of is in no shared memory"
        await system.api().get("/nowhere")

        async def rates_copied() -> bool:
            await system.api().get("/api/market/rates")
            return bool(await redis.exists("rates:by-pair"))

        await eventually(rates_copied, within=20)
        await SeatLocks(redis, LOCK_MS / 1000, "test").acquire({sold.ticket_type: 0})
        kinds: set[str] = set()
        endless = []
        async for key in redis.scan_iter("*"):
            # -2: it has ended since the scan.
            if await redis.pttl(key) == -1:
                endless.append(key)
            kinds.add(re.sub(r"[:/].*", "", key.decode().removeprefix("eventhub:")))
        assert endless == []
        assert {"events", "idempotency", "limit", "rates", "replies", "seat"} <= kinds
        await redis.aclose()
        await database.close()


@pytest.mark.full
async def test_a_full_redis_lets_pages_go_and_refuses_nothing(tmp_path: Path) -> None:
    """Twice its memory in pages: each is taken, the memory stays in its bound, a lock and a stream in use stay."""
    async with machines(tmp_path) as room:
        redis = Redis.from_url(room.urls["REDIS_URL"])
        for name, value in redis_server.MEMORY.items():
            assert (await redis.config_get(name))[name] in (value, str(256 * 1024 * 1024))
        await redis.config_set("maxmemory", "24mb")
        page = b"x" * 100_000
        for number in range(200):
            await redis.set(f"eventhub:events:old-{number}", page, px=LOCK_MS)

        async def old_enough() -> bool:
            idle: int = await redis.object("idletime", "eventhub:events:old-199")
            return idle >= 2

        await eventually(old_enough, within=20)
        locks = SeatLocks(redis, LOCK_MS / 1000, "test")
        tokens = await locks.acquire(dict.fromkeys(range(50), 0))
        assert len(tokens) == 50
        await redis.xadd("eventhub:replies:gateway", {b"a": b"b"})
        await redis.expire("eventhub:replies:gateway", 60)
        for number in range(100):
            await redis.set(f"eventhub:events:new-{number}", page, px=LOCK_MS)
        assert (await redis.info("stats"))["evicted_keys"] > 0
        held = await redis.exists(*(f"seat:{n}" for n in range(50)), "eventhub:replies:gateway")
        assert held == 51
        await redis.aclose()


def test_containers_run_the_same_redis() -> None:
    """docker-compose.yml says of memory what scripts/up does."""
    text = (CHECKOUT / "docker-compose.yml").read_text()
    for name, value in redis_server.MEMORY.items():
        assert f"      {name} {value}\n" in text
