"""Redis clients with time-outs that fit their use.

Must stay true: a call that a sale waits for fails within 0.3 s (redis-py's own defaults let a black-holed Redis hold
it for a minute); blocking reads get a client of their own.
"""

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

QUICK_SECONDS = 0.3
CONNECTIONS_MAX = 4096
"""redis-py's own limit is 100, and one more caller at the same time is an error: a rush would look like Redis away."""


def quick_client(url: str) -> "Redis":
    """For locks, pushes and the cache: 0.3 s, one retry on a cut connection, bytes in and out."""
    return Redis.from_url(
        url,
        max_connections=CONNECTIONS_MAX,
        socket_timeout=QUICK_SECONDS,
        socket_connect_timeout=QUICK_SECONDS,
        retry=Retry(NoBackoff(), 1),
        health_check_interval=0,
    )


def blocking_client(url: str, block_seconds: float) -> "Redis":
    """For blocking reads of at most `block_seconds`: no retry, so that the caller sees every failure."""
    return Redis.from_url(
        url,
        socket_timeout=block_seconds + 2,
        socket_connect_timeout=1,
        retry=Retry(NoBackoff(), 0),
        health_check_interval=0,
    )
