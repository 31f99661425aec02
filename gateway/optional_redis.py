"""Redis as something that may be away: asked, not relied on.

In: a question to Redis. Out: its answer, or what is said without it.
Must stay true: after a failure Redis is left alone for a moment, because with a black-holed server each
question costs its whole time-out; nobody sees Redis's errors.
"""

import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

log = structlog.get_logger(__name__)

AWAY_SECONDS = 1.0

R = TypeVar("R")


class OptionalRedis:
    """One user of a Redis client: what it does, and when Redis last failed it."""

    def __init__(
        self, redis: Redis, purpose: str, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self.redis = redis
        self._purpose = purpose
        self._monotonic = monotonic
        self._away_until = float("-inf")

    async def ask(self, question: Callable[[], Awaitable[R]], otherwise: R) -> R:
        """The answer to `question`; `otherwise` when Redis is away or failed within the last second."""
        if self._monotonic() < self._away_until:
            return otherwise
        try:
            return await question()
        except (RedisError, OSError, TimeoutError) as error:
            log.warning("without Redis for now", purpose=self._purpose, error=repr(error))
            self._away_until = self._monotonic() + AWAY_SECONDS
            return otherwise
