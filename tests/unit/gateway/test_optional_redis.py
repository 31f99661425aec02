"""Redis is asked while it answers, left alone for a moment when it does not, and never an error."""

import asyncio

from redis.exceptions import ConnectionError as RedisAway

from db.redis.optional import OptionalRedis


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Server:
    def __init__(self) -> None:
        self.asked = 0
        self.away = False

    async def answer(self) -> str:
        self.asked += 1
        if self.away:
            raise RedisAway("gone")
        return "yes"


async def test_after_a_failure_it_is_left_alone_for_a_second() -> None:
    """A black-holed server costs its time-out once a second, not at every question."""
    clock, server = Clock(), Server()
    redis = OptionalRedis(None, "test", clock)  # type: ignore[arg-type]  # never reached
    assert await redis.ask(server.answer, "no") == "yes"
    server.away = True
    assert await redis.ask(server.answer, "no") == "no"
    server.away = False
    clock.now = 0.9
    assert await redis.ask(server.answer, "no") == "no"
    assert server.asked == 2
    clock.now = 1.0
    assert await redis.ask(server.answer, "no") == "yes"


async def test_who_must_reach_it_can_wait_until_it_is_asked_again() -> None:
    """At once when nothing failed; after the pause when something did."""
    server = Server()
    redis = OptionalRedis(None, "test")  # type: ignore[arg-type]  # never reached
    await redis.back()
    server.away = True
    await redis.ask(server.answer, "no")
    waits = asyncio.create_task(redis.back())
    await asyncio.sleep(0)
    assert not waits.done()
    server.away = False
    await waits
    assert await redis.ask(server.answer, "no") == "yes"
