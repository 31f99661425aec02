"""The cached list of published events: ready-made pages in Redis for 30 s, rebuilt by one gateway.

In: a query. Out: the page as JSON bytes, at most 30 s old.
Must stay true: nothing is shown longer than `LIST_SECONDS` after it was read, however it came here; when
a page is missing one reader in one gateway makes it, the others wait for it briefly; without Redis each
gateway makes its own, at most one a second per query.

Source of the single flight over processes: Redis documentation, "Distributed Locks with Redis" (one
instance): SET NX PX, and the lock is left to lapse when its holder dies.
"""

import asyncio
import hashlib
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from redis.asyncio import Redis

from db.redis.optional import OptionalRedis
from gateway.caching.short_lived import Fresh

LIST_SECONDS = 30.0
COPY_SECONDS = 1.0
COPIES_MAX = 500
REBUILD_SECONDS = 5.0
"""How long one gateway may take over a page before another tries."""
WAIT_SECONDS = 2.0
WAIT_STEP_SECONDS = 0.02

Build = Callable[[], Awaitable[bytes]]


@dataclass(frozen=True, slots=True)
class _Page:
    """A page and the monotonic time at which it may no longer be shown."""

    body: bytes
    until: float


class EventList:
    """Pages of the list, by query."""

    def __init__(self, redis: Redis) -> None:
        self._redis = OptionalRedis(redis, "event list")
        self._copies: Fresh[str, _Page] = Fresh(COPY_SECONDS, COPIES_MAX)

    async def page(self, query: str, build: Build) -> bytes:
        """The page of this (canonical) query. Raises what `build` raises."""
        copy = self._copies.peek(query)
        if copy is None or copy.until <= time.monotonic():
            if copy is not None:
                self._copies.drop(query)
            copy = await self._copies.get(query, lambda: self._find(query, build))
        return copy.body

    async def _find(self, query: str, build: Build) -> _Page:
        key = "eventhub:events:" + hashlib.blake2b(query.encode(), digest_size=16).hexdigest()
        page = await self._stored(key)
        if page is not None:
            return page
        if await self._may_build(key):
            return await self._build(key, build)
        give_up = time.monotonic() + WAIT_SECONDS
        while time.monotonic() < give_up:
            await asyncio.sleep(WAIT_STEP_SECONDS)
            page = await self._stored(key)
            if page is not None:
                return page
        return await self._build(key, build)

    async def _stored(self, key: str) -> _Page | None:
        now = time.monotonic()

        async def ask() -> tuple[bytes | None, int]:
            async with self._redis.redis.pipeline(transaction=True) as pipe:
                pipe.get(key)
                pipe.pttl(key)
                body, milliseconds = await pipe.execute()
                return body, milliseconds

        nothing: tuple[bytes | None, int] = (None, 0)
        body, milliseconds = await self._redis.ask(ask, nothing)
        if body is None or milliseconds <= 0:
            return None
        return _Page(body, now + milliseconds / 1000)

    async def _may_build(self, key: str) -> bool:
        async def ask() -> bool:
            lease = int(REBUILD_SECONDS * 1000)
            return bool(await self._redis.redis.set(key + ":lock", b"1", nx=True, px=lease))

        return await self._redis.ask(ask, True)

    async def _build(self, key: str, build: Build) -> _Page:
        started = time.monotonic()
        try:
            body = await build()
            # What is left of its life when it is stored: its age counts from the reading.
            left = int((LIST_SECONDS - (time.monotonic() - started)) * 1000)
            if left > 0:
                await self._redis.ask(lambda: self._redis.redis.set(key, body, px=left), None)
        finally:
            await self._redis.ask(lambda: self._redis.redis.delete(key + ":lock"), 0)
        return _Page(body, started + LIST_SECONDS)
