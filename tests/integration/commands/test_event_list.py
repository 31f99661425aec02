"""The cached list: one gateway reads, all show it, none for longer than 30 s; without Redis each reads for itself."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from redis.asyncio import Redis

from db.redis.clients import quick_client
from gateway.caching.event_list import (
    COPIES_BYTES,
    LIST_SECONDS,
    SHARED_BYTES_MAX,
    EventList,
)
from scripts.proving.proxy import Mode, Proxy
from tests.harness.scratch import Scratch
from tests.harness.waiting import eventually


class Source:
    """What a page is made from; counts how often."""

    def __init__(self) -> None:
        self.builds = 0
        self.gate = asyncio.Event()
        self.gate.set()

    async def build(self) -> bytes:
        self.builds += 1
        body = b"page %d" % self.builds
        await self.gate.wait()
        return body


@pytest.fixture
async def redis(own_scratch: Scratch) -> AsyncIterator[Redis]:
    client = quick_client(own_scratch.redis_url)
    await client.flushdb()
    yield client
    await client.aclose()


class Counted(EventList):
    """A gateway's list that tells when it asked whether it may build."""

    asked = 0

    async def _may_build(self, key: str) -> bool:
        may = await super()._may_build(key)
        self.asked += 1
        return may


async def test_one_reader_in_one_gateway_builds_a_page(redis: Redis) -> None:
    """Three gateways, a hundred clients each, one build, though it takes until all have asked."""
    source = Source()
    source.gate.clear()
    gateways = [Counted(redis) for _ in range(3)]
    asking = asyncio.gather(
        *(gateway.page("q", source.build, shared=True) for gateway in gateways for _ in range(100))
    )

    async def all_asked() -> bool:
        return [gateway.asked for gateway in gateways] == [1, 1, 1]

    await eventually(all_asked)
    source.gate.set()
    assert {page.shown.body for page in await asking} == {b"page 1"}
    assert source.builds == 1


async def test_a_page_lives_no_longer_than_promised(redis: Redis) -> None:
    """Redis forgets it after what is left of 30 s since it was read; the lock is gone with the build."""
    await EventList(redis).page("q", Source().build, shared=True)
    (key,) = await redis.keys("eventhub:events:*")
    left = await redis.pttl(key)
    assert 0 < left <= LIST_SECONDS * 1000
    # A copy taken over from Redis ends with Redis's own.
    await redis.pexpire(key, 1)
    while await redis.exists(key):
        await asyncio.sleep(0)
    source = Source()
    source.builds = 1
    assert (await EventList(redis).page("q", source.build, shared=True)).shown.body == b"page 2"


async def test_queries_have_pages_of_their_own(redis: Redis) -> None:
    """Another query is another page."""
    source, gateway = Source(), EventList(redis)
    assert (await gateway.page("a", source.build, shared=True)).shown.body == b"page 1"
    assert (await gateway.page("b", source.build, shared=True)).shown.body == b"page 2"
    assert (await gateway.page("a", source.build, shared=True)).shown.body == b"page 1"


async def test_pages_of_ones_own_are_not_stored(redis: Redis) -> None:
    """What nobody else asks for is made, kept for a second here, and never in Redis; nor is a page that is huge."""
    source = Source()
    gateway = EventList(redis)
    for _ in range(3):
        assert (await gateway.page("mine", source.build, shared=False)).shown.body == b"page 1"
    assert source.builds == 1

    async def huge() -> bytes:
        return b"x" * (SHARED_BYTES_MAX + 1)

    assert len((await gateway.page("huge", huge, shared=True)).shown.body) > SHARED_BYTES_MAX
    assert await redis.keys("*") == []


async def test_hundreds_of_large_pages_cost_their_budget(redis: Redis) -> None:
    """300 different queries of 2 MB: Redis holds none, the gateway 16 MiB of copies."""

    async def build() -> bytes:
        return b"x" * 2_000_000

    gateway = EventList(redis)
    for number in range(300):
        await gateway.page(f"from={number}", build, shared=False)
    assert await redis.keys("*") == []
    assert 2_000_000 < gateway._copies.bytes <= COPIES_BYTES


async def test_a_dead_builder_stops_nobody(redis: Redis) -> None:
    """The lock of a gateway that died: the others wait a moment, then read for themselves."""
    source, gateway = Source(), EventList(redis)
    source.gate.clear()
    dying = asyncio.create_task(gateway.page("q", source.build, shared=True))
    while source.builds == 0:
        await asyncio.sleep(0)
    other = Source()
    assert (await EventList(redis).page("q", other.build, shared=True)).shown.body == b"page 1"
    assert other.builds == 1
    source.gate.set()
    await dying


async def test_without_redis_each_gateway_reads_for_itself(own_scratch: Scratch) -> None:
    """Cut or silent: the page comes all the same, once for all who ask at once."""
    async with Proxy(own_scratch.redis_url) as proxy:
        client = quick_client(proxy.address)
        modes: tuple[Mode, ...] = ("cut", "mute")
        for broken in modes:
            proxy.turn("pass")
            await client.ping()
            proxy.turn(broken)
            source, gateway = Source(), EventList(client)
            pages = await asyncio.gather(
                *(gateway.page("q", source.build, shared=True) for _ in range(50))
            )
            assert {page.shown.body for page in pages} == {b"page 1"}
        await client.aclose()
