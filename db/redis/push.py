"""Outcomes on their way to the gateway that waits: one Redis stream per gateway, a hint and never the truth.

In: committed outcomes and the gateway each belongs to. Out: entries `uuid -> Outcome.to_push()`.
Must stay true: nothing waits for a push and nothing fails by it: the gateway also reads MySQL.
"""

from collections.abc import Iterable, Mapping, Sequence
from functools import partial

from prometheus_client import Counter
from redis.asyncio import Redis

from contracts.outcomes import Outcome
from db.redis.optional import OptionalRedis
from db.redis.seat_locks import RedisCommand

PUSHES_LOST = Counter("eventhub_pushes_lost_total", "Outcomes not pushed: Redis was away")
STREAM_LENGTH = 20_000
STREAM_SECONDS = 3600


def reply_stream(gateway: str) -> str:
    """The stream that a gateway instance reads."""
    return f"eventhub:replies:{gateway}"


class Replies:
    """Pushes outcomes through a Redis client with a short time-out."""

    def __init__(self, redis: "Redis") -> None:
        self._redis = OptionalRedis(redis, "pushed outcomes")

    async def push(
        self,
        outcomes: Iterable[tuple[str | None, Outcome]],
        first: Sequence[RedisCommand] = (),
    ) -> None:
        """Push each outcome to its gateway (None: nobody waits), one round trip for all.

        `first` are commands that go in front of them, the release of seat locks.
        """
        by_gateway: dict[str, dict[bytes, bytes]] = {}
        for gateway, outcome in outcomes:
            if gateway:
                by_gateway.setdefault(gateway, {})[outcome.command] = outcome.to_push()
        if not (by_gateway or first):
            return
        # Who holds a lock has heard from Redis a moment ago.
        send = partial(self._send, by_gateway, first)
        if not await self._redis.ask(send, otherwise=False, anyway=bool(first)):
            # Gateways read them from the database.
            PUSHES_LOST.inc(sum(map(len, by_gateway.values())))

    async def _send(
        self, by_gateway: Mapping[str, dict[bytes, bytes]], first: Sequence[RedisCommand]
    ) -> bool:
        pipeline = self._redis.redis.pipeline(transaction=False)
        for command in first:
            pipeline.execute_command(*command)
        for gateway, fields in by_gateway.items():
            stream = reply_stream(gateway)
            pipeline.xadd(stream, fields, maxlen=STREAM_LENGTH, approximate=True)  # type: ignore[arg-type]  # redis-py's dict is invariant
            pipeline.expire(stream, STREAM_SECONDS)
        await pipeline.execute()
        return True
