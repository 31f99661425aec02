"""What workers push to this gateway: a Redis stream of its own, read with a client of its own.

In: stream entries whose fields are command UUIDs with `Outcome.to_push()` values (see `db.redis.push`).
Out: calls of the listener.
Must stay true: nothing depends on a push (it may be lost with Redis); an unreadable field is logged
and skipped; the stream is short while we live and is gone soon after we are not.
"""

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import structlog
from redis.exceptions import RedisError

from contracts.outcomes import Outcome
from contracts.runtime.tasks import end
from db.redis.clients import blocking_client
from db.redis.push import reply_stream

log = structlog.get_logger(__name__)

BLOCK_MS = 1000
EXPIRE_SECONDS = 120
UPKEEP_SECONDS = 1.0
ENTRIES_MAX = 256
UUID_BYTES = 16
RECONNECT_SECONDS = 0.5
AWAY = (RedisError, OSError, TimeoutError)


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
        on_flushed: Callable[[], Awaitable[None]],
    ) -> None:
        self._key = reply_stream(instance)
        self._on_outcomes, self._on_flushed = on_outcomes, on_flushed
        self._redis = blocking_client(url, BLOCK_MS / 1000)
        self._last = b"0-0"
        self._upkeep_at = 0.0
        self._opened = False
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
            except Exception:
                log.exception("push reader begins anew")
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
            pipe.exists(self._key)
            pipe.xadd(self._key, {b"opened": b"1"}, maxlen=100_000)
            pipe.expire(self._key, EXPIRE_SECONDS)
            existed, *_ = await pipe.execute()
        self.arrives = True
        if self._opened and not existed:
            # Nobody but a flush, or a restart without memory, removes our stream.
            log.warning("Redis has forgotten everything")
            await self._on_flushed()
        self._opened = True

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
            _, lives = await pipe.execute()
        self._upkeep_at = time.monotonic() + UPKEEP_SECONDS
        if not lives:
            await self._open()

    def _deliver(self, fields: dict[bytes, bytes]) -> None:
        outcomes: list[Outcome] = []
        for name, value in fields.items():
            if len(name) != UUID_BYTES:
                continue
            try:
                outcomes.append(Outcome.from_push(name, value))
            except (ValueError, TypeError, IndexError) as error:
                log.warning("unreadable push skipped", uuid=name.hex(), error=repr(error))
        if outcomes:
            self._on_outcomes(outcomes)


@asynccontextmanager
async def reading(reader: PushReader) -> AsyncIterator[None]:
    """Run the reader for the length of the block."""
    task = asyncio.create_task(reader.run(), name="push reader")
    try:
        yield
    finally:
        await end(task)
        await reader.close()
