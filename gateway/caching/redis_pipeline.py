"""Redis asked for many callers at once.

In: commands to Redis. Out: their replies, None when it is away (`db.redis.optional`).
Must stay true: a pipeline is in flight once and collects meanwhile, so that thousands who ask cost one connection and
few round trips.
"""

import asyncio
import hashlib
from functools import partial
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import NoScriptError

from db.redis.optional import OptionalRedis

BATCH_MAX = 256

Command = tuple[str | bytes | int, ...]
_Asked = tuple[Command, "asyncio.Future[Any]"]


class RedisPipeline:
    """Single commands of many callers, in pipelines."""

    def __init__(self, redis: Redis, purpose: str) -> None:
        self._redis = OptionalRedis(redis, purpose)
        self._waiting: list[_Asked] = []
        self._sender: asyncio.Task[None] | None = None

    async def ask(self, *command: str | bytes | int) -> Any:
        """Redis's reply; None when it is away or refuses the command."""
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._waiting.append((command, future))
        if self._sender is None:
            self._sender = asyncio.create_task(self._send())
        return await future

    async def back(self) -> None:
        """Return when Redis is asked again."""
        await self._redis.back()

    async def _send(self) -> None:
        try:
            while self._waiting:
                batch, self._waiting = self._waiting[:BATCH_MAX], self._waiting[BATCH_MAX:]
                commands = [command for command, _ in batch]
                nothing: list[Any] = [None] * len(batch)
                replies = await self._redis.ask(partial(self._execute, commands), nothing)
                for (_, future), reply in zip(batch, replies, strict=True):
                    if not future.done():
                        future.set_result(reply)
        finally:
            self._sender = None

    async def _execute(self, commands: list[Command]) -> list[Any]:
        async with self._redis.redis.pipeline(transaction=False) as pipe:
            for command in commands:
                pipe.execute_command(*command)
            replies: list[Any] = await pipe.execute(raise_on_error=False)
        for reply in replies:
            # What Redis says no to fails the batch, but for a script that it has forgotten.
            if isinstance(reply, Exception) and not isinstance(reply, NoScriptError):
                raise reply
        return replies


class Script:
    """A Lua script with one key, sent by its digest; in full when Redis does not know it (any more)."""

    def __init__(self, lane: RedisPipeline, text: str) -> None:
        self._lane = lane
        self._text = text
        # The digest is Redis's own name for the script, nothing is protected by it.
        self._digest = hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()

    async def run(self, key: str, *arguments: str | bytes | int) -> Any:
        """The script's reply; None when Redis is away."""
        reply = await self._lane.ask("EVALSHA", self._digest, 1, key, *arguments)
        if isinstance(reply, NoScriptError):
            return await self._lane.ask("EVAL", self._text, 1, key, *arguments)
        return reply
