"""Redis as something that may be away: asked, not relied on.

In: a question to Redis, and what is said without it. Out: the answer.
Must stay true: after a failure Redis is left alone for a moment, because with a black-holed server each question costs
its whole time-out; nobody sees Redis's errors.
"""

import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

from contracts.runtime.circuit_breaker import CircuitBreaker

log = structlog.get_logger(__name__)

AWAY_SECONDS = 1.0
REDIS_AWAY = (RedisError, OSError, TimeoutError)
"""What asking Redis raises when it is not there, or cannot do what it is asked."""

R = TypeVar("R")


class OptionalRedis:
    """One user of a Redis client: what it does, and when Redis last failed it."""

    def __init__(
        self, redis: Redis, purpose: str, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self.redis = redis
        self._purpose = purpose
        self._breaker = CircuitBreaker(AWAY_SECONDS, monotonic=monotonic)

    async def back(self) -> None:
        """Return when Redis is asked again."""
        await self._breaker.closed()

    async def ask(
        self, question: Callable[[], Awaitable[R]], otherwise: R, *, anyway: bool = False
    ) -> R:
        """The answer to `question`; `otherwise` when Redis is away or failed within the last second.

        `anyway`: ask even then, for what would be wrong afterwards if it were left out.
        """
        if self._breaker.is_open and not anyway:
            return otherwise
        try:
            answer = await question()
        except REDIS_AWAY as error:
            log.warning("without Redis for now", purpose=self._purpose, error=repr(error))
            self._breaker.failed()
            return otherwise
        self._breaker.succeeded()
        return answer
