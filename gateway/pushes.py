"""What workers push to this gateway: a Redis stream of its own, read with a client of its own.

In: stream entries whose fields are command UUIDs (16 bytes) with `Outcome.to_push()` values, and
`stock` with a JSON list of [ticket type, version, available]. Out: calls of the two listeners.
Must stay true: nothing depends on a push (it may be lost with Redis); an unreadable field is logged
and skipped; the stream is short while we live and is gone soon after we are not.
"""

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import orjson
import structlog
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from contracts.outcomes import Outcome

log = structlog.get_logger(__name__)

BLOCK_MS = 4000
SOCKET_SECONDS = 8.0
"""Longer than a blocking read: redis-py's default of 5 s would cut it (and then try again)."""
EXPIRE_SECONDS = 120
UPKEEP_SECONDS = 2.0
ENTRIES_MAX = 256
RECONNECT_SECONDS = 0.5
AWAY = (RedisError, OSError, TimeoutError)

StockHeard = Callable[[int, int, int], None]
"""(ticket type, version, available)."""


def stream_key(instance: str) -> str:
    """The stream of the gateway that gave `instance` as its envelopes' `replyto`."""
    return f"eventhub:replies:{instance}"


def new_instance(process: str) -> str:
    """A name that no other gateway, and no earlier life of this one, has."""
    return f"{process}-{secrets.token_hex(6)}"


class PushReader:
    """Reads the replies of one gateway instance."""

    def __init__(
        self,
        url: str,
        instance: str,
        on_outcomes: Callable[[Sequence[Outcome]], None],
        on_stock: StockHeard,
    ) -> None:
        self._key = stream_key(instance)
        self._on_outcomes, self._on_stock = on_outcomes, on_stock
        self._redis: Redis = Redis.from_url(
            url,
            socket_timeout=SOCKET_SECONDS,
            socket_connect_timeout=1.0,
            retry=Retry(NoBackoff(), 0),
            protocol=2,  # one shape of XREAD's reply on every server
        )
        self._last = b"0-0"
        self._upkeep_at = 0.0
        self.arrives = False
        """Whether pushes can reach us right now."""

    async def run(self) -> None:
        """Read for ever. Ends only by cancellation."""
        while True:
            try:
                await self._open()
                while True:
                    await self._read()
            except AWAY as error:
                if self.arrives:
                    log.warning("pushes stopped, MySQL is asked instead", error=repr(error))
                self.arrives = False
            await asyncio.sleep(RECONNECT_SECONDS)

    async def close(self) -> None:
        """Remove the stream and disconnect."""
        try:
            await self._redis.delete(self._key)
        except AWAY as error:
            log.info("reply stream left to expire", error=repr(error))
        await self._redis.aclose()

    async def _open(self) -> None:
        # The stream exists before anybody pushes, so that it has an end when we die suddenly.
        async with self._redis.pipeline(transaction=False) as pipe:
            pipe.xadd(self._key, {b"opened": b"1"}, maxlen=100_000)
            pipe.expire(self._key, EXPIRE_SECONDS)
            await pipe.execute()
        self.arrives = True

    async def _read(self) -> None:
        replies: Any = await self._redis.xread(
            {self._key: self._last}, count=ENTRIES_MAX, block=BLOCK_MS
        )
        for _, entries in replies or ():
            for entry_id, fields in entries:
                self._last = entry_id
                self._deliver(fields)
        if time.monotonic() >= self._upkeep_at:
            await self._keep_up()

    async def _keep_up(self) -> None:
        async with self._redis.pipeline(transaction=False) as pipe:
            pipe.xtrim(self._key, minid=self._last, approximate=False)
            pipe.expire(self._key, EXPIRE_SECONDS)
            await pipe.execute()
        self._upkeep_at = time.monotonic() + UPKEEP_SECONDS

    def _deliver(self, fields: dict[bytes, bytes]) -> None:
        outcomes: list[Outcome] = []
        for name, value in fields.items():
            try:
                if len(name) == 16:
                    outcomes.append(Outcome.from_push(name, value))
                elif name == b"stock":
                    for type_id, version, available in orjson.loads(value):
                        self._on_stock(type_id, version, available)
            except (ValueError, TypeError, IndexError) as error:
                log.warning("unreadable push skipped", field=repr(name), error=repr(error))
        if outcomes:
            self._on_outcomes(outcomes)


@asynccontextmanager
async def reading(reader: PushReader) -> AsyncIterator[None]:
    """Run the reader for the length of the block."""
    task = asyncio.create_task(reader.run(), name="push reader")
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await reader.close()
