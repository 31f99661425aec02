"""Many at once inside one process: what a rush asks of the clients that a gateway shares."""

import asyncio

from redis.exceptions import MaxConnectionsError

from db.redis.clients import quick_client
from tests.harness.scratch import Scratch


async def test_a_rush_finds_redis(own_scratch: Scratch) -> None:
    """Of three hundred questions at the same moment none is told that there are too many."""
    client = quick_client(own_scratch.redis_url)
    try:
        # The slow command keeps the others' connections in use meanwhile; on a busy machine some may be late.
        questions = [client.blpop(["nothing"], 0.1) for _ in range(300)]
        answers = await asyncio.gather(*questions, return_exceptions=True)
    finally:
        await client.aclose()
    assert not [answer for answer in answers if isinstance(answer, MaxConnectionsError)]
