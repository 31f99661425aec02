"""The cached list of published events: ready-made pages in Redis for 30 s, rebuilt by one gateway.

In: a query, and whether its page is one that everybody looks at. Out: the page as JSON, at most 30 s old, with how
old it is.
Must stay true: nothing is shown longer than `LIST_SECONDS` after it was read, however it came here; when
a page is missing one reader in one gateway makes it, the others wait for it briefly; without Redis each
gateway makes its own, at most one a second per query. Redis holds only pages that many ask for in the same
words (`shared`), of which there are few: anybody can think of a thousand others, and those are kept for a
second in one gateway, within its budget.

Source of the single flight over processes: Redis documentation, "Distributed Locks with Redis" (one
instance): SET NX PX, and the lock is left to lapse when its holder dies.
"""

import asyncio
import hashlib
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from math import ceil

from redis.asyncio import Redis

from db.redis.optional import OptionalRedis
from gateway.caching.short_lived import Fresh
from gateway.http.representations import Representation

LIST_SECONDS = 30.0
COPY_SECONDS = 1.0
COPIES_BYTES = 16 * 1024 * 1024
SHARED_BYTES_MAX = 512 * 1024
"""A page that is larger is not worth its place in Redis: with one for each `limit` they would fill it."""
REBUILD_SECONDS = 5.0
"""How long one gateway may take over a page before another tries."""
WAIT_SECONDS = 2.0
WAIT_STEP_SECONDS = 0.02

Build = Callable[[], Awaitable[bytes]]


@dataclass(frozen=True, slots=True)
class ListPage:
    """A page and the monotonic time at which it may no longer be shown."""

    shown: Representation
    until: float

    @property
    def age(self) -> int:
        """Seconds since it was read, rounded up."""
        return min(ceil(LIST_SECONDS - (self.until - time.monotonic())), int(LIST_SECONDS))


class EventList:
    """Pages of the list, by query."""

    def __init__(self, redis: Redis) -> None:
        self._redis = OptionalRedis(redis, "event list")
        self._copies: Fresh[str, ListPage] = Fresh(
            COPY_SECONDS, COPIES_BYTES, lambda page: page.shown.kept_bytes
        )

    async def page(self, query: str, build: Build, *, shared: bool) -> ListPage:
        """The page of this (canonical) query. Raises what `build` raises."""
        copy = self._copies.peek(query)
        if copy is None or copy.until <= time.monotonic():
            if copy is not None:
                self._copies.drop(query)
            find = self._find if shared else self._make
            copy = await self._copies.get(query, lambda: find(query, build))
        return copy

    async def _make(self, _: str, build: Build) -> ListPage:
        started = time.monotonic()
        return ListPage(Representation(await build()), started + LIST_SECONDS)

    async def _find(self, query: str, build: Build) -> ListPage:
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

    async def _stored(self, key: str) -> ListPage | None:
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
        return ListPage(Representation(body), now + milliseconds / 1000)

    async def _may_build(self, key: str) -> bool:
        async def ask() -> bool:
            lease = int(REBUILD_SECONDS * 1000)
            return bool(await self._redis.redis.set(key + ":lock", b"1", nx=True, px=lease))

        return await self._redis.ask(ask, True)

    async def _build(self, key: str, build: Build) -> ListPage:
        started = time.monotonic()
        try:
            body = await build()
            # What is left of its life when it is stored: its age counts from the reading.
            left = int((LIST_SECONDS - (time.monotonic() - started)) * 1000)
            if left > 0 and len(body) <= SHARED_BYTES_MAX:
                await self._redis.ask(lambda: self._redis.redis.set(key, body, px=left), None)
        finally:
            await self._redis.ask(lambda: self._redis.redis.delete(key + ":lock"), 0)
        return ListPage(Representation(body), started + LIST_SECONDS)
