"""QuoteRegistry: a copy of the rates that is never older than what it was told, and never missed when it is away."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from redis.asyncio import Redis

from contracts.rates import Rate
from db import rates
from db.mysql.database import VANISHED_SECONDS, Database, Transaction
from db.redis.clients import quick_client
from db.redis.quote_registry import (
    CHANGING_KEY,
    CHANGING_SECONDS,
    KEY,
    TTL_SECONDS,
    QuoteRegistry,
)
from tests.harness.scratch import Scratch

NOW = datetime.now(UTC).replace(microsecond=0)


def rate(price: str, seconds: float, asset: str = "REG") -> Rate:
    """What `fake` said so many seconds after the first word."""
    at = NOW + timedelta(seconds=seconds)
    return Rate(asset, "USD", "fake", Decimal(price).quantize(Decimal("0.00000001")), at, at)


@pytest.fixture
async def redis(scratch: Scratch) -> AsyncIterator["Redis"]:
    """Redis without a copy and without the mark of a change."""
    client = quick_client(scratch.redis_url)
    await client.delete(KEY, CHANGING_KEY)
    yield client
    await client.delete(KEY, CHANGING_KEY)
    await client.aclose()


async def stored(database: Database, new: Rate) -> None:
    """Make it the one rate of its pair in MySQL."""

    async def work(transaction: Transaction) -> None:
        await transaction.execute("DELETE FROM rates WHERE asset = %s", new.asset)
        await rates.store(transaction, [(new, None)])

    await database.run(work)


async def shown(registry: QuoteRegistry, asset: str = "REG") -> Rate | None:
    """What the registry answers for an asset."""
    return next((one for one in await registry.rates() if one.asset == asset), None)


async def test_the_copy_is_what_the_database_holds(redis: "Redis", database: Database) -> None:
    """The first reader fills it, for 60 s at most; the next one asks Redis alone; every digit is kept."""
    first = rate("0.00000001", 0)
    await stored(database, first)
    registry = QuoteRegistry(redis, database)
    assert await shown(registry) == first
    assert 0 < await redis.ttl(KEY) <= TTL_SECONDS
    await stored(database, rate("2", 1))
    assert await shown(registry) == first
    assert sorted(await registry.rates(), key=lambda one: one.pair) == await registry.rates()


async def test_what_is_put_is_shown_and_older_words_change_nothing(
    redis: "Redis", database: Database
) -> None:
    """The newest observation wins, in whatever order they arrive; an empty copy is filled whole."""
    await stored(database, rate("1", 0))
    await stored(database, rate("7", 0, "OTHER"))
    registry = QuoteRegistry(redis, database)
    await registry.put([rate("1", 0)])
    assert await shown(registry, "OTHER") == rate("7", 0, "OTHER")
    for price, seconds in (("3", 3), ("2", 2), ("5", 5), ("4", 4)):
        await registry.put([rate(price, seconds)])
    assert await shown(registry) == rate("5", 5)


async def test_while_a_change_commits_the_database_is_asked(
    redis: "Redis", database: Database
) -> None:
    """Between the mark and its end nobody fills the copy with what was before."""
    await stored(database, rate("1", 0))
    registry = QuoteRegistry(redis, database)
    await registry.rates()
    await registry.changing()
    assert await shown(registry) == rate("1", 0)
    assert await redis.exists(KEY) == 0
    await stored(database, rate("2", 1))
    assert await shown(registry) == rate("2", 1)
    await registry.put([rate("2", 1)])
    assert await redis.exists(KEY) == 0
    # A process that stops before its COMMIT may still commit until the database ends its session.
    assert CHANGING_SECONDS > VANISHED_SECONDS
    assert 0 < await redis.pttl(CHANGING_KEY) <= CHANGING_SECONDS * 1000
    await redis.delete(CHANGING_KEY)
    assert await shown(registry) == rate("2", 1)
    assert await redis.exists(KEY) == 1


async def test_without_redis_the_database_answers(database: Database) -> None:
    """Nothing listens there: reads come from MySQL, writes are let go, nobody is told an error."""
    await stored(database, rate("1", 0))
    away = quick_client("redis://127.0.0.1:1/0")
    registry = QuoteRegistry(away, database)
    assert await shown(registry) == rate("1", 0)
    await registry.put([rate("2", 1)])
    await registry.changing()
    assert await shown(registry) == rate("1", 0)
    await away.aclose()
