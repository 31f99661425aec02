"""QuoteRegistry: the last good rates in Redis, a copy of `rates` in MySQL.

In: rates that were committed. Out: all rates, from Redis, or from MySQL when Redis has none or is away.
Must stay true: MySQL is the truth, so a flush or a loss of Redis costs one query; an older observation never
replaces a newer one; a rate that a command has just changed is never answered from an older copy (readers go to
MySQL while it commits).
"""

from collections.abc import Iterable, Sequence
from decimal import Decimal
from functools import partial

from redis.asyncio import Redis

from contracts.rates import Rate
from contracts.runtime.times import from_wire, to_wire
from db import rates
from db.mysql.database import VANISHED_SECONDS, Database
from db.redis.optional import OptionalRedis

KEY = "rates"
CHANGING_KEY = "rates:changing"
TTL_SECONDS = 60
"""The specification's 60 s: a copy is never older, whatever was missed."""
CHANGING_SECONDS = VANISHED_SECONDS + 1
"""Longer than the database lets a transaction live whose process has stopped: it may still wake and commit."""

# KEYS: the hash, the mark of a change under way. ARGV: ttl, may it create the hash, then field, value pairs.
# A value begins with its observation, of fixed width: comparing texts compares times.
_PUT = """
if redis.call('EXISTS', KEYS[2]) == 1 then return 0 end
local is_there = redis.call('EXISTS', KEYS[1]) == 1
if not is_there and ARGV[2] == '0' then return 0 end
for i = 3, #ARGV, 2 do
    local held = redis.call('HGET', KEYS[1], ARGV[i])
    if not held or held < ARGV[i + 1] then redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1]) end
end
if not is_there then redis.call('EXPIRE', KEYS[1], ARGV[1]) end
return 1
"""


class QuoteRegistry:
    """The registry of one process, on its Redis client and its database."""

    def __init__(self, redis: "Redis", database: Database) -> None:
        self._redis, self._database = OptionalRedis(redis, "rates"), database
        self._put = redis.register_script(_PUT)

    async def rates(self) -> list[Rate]:
        """The last good rate of every source, by asset, currency and source."""
        answer = await self._redis.ask(self._held, otherwise=None)
        if answer is None:
            return await rates.everything(self._database)
        changing, held = answer
        if held and not changing:
            return sorted(map(_from_entry, held.items()), key=_order)
        return await self.reload()

    async def _held(self) -> tuple[int, dict[bytes, bytes]]:
        async with self._redis.redis.pipeline(transaction=True) as pipeline:
            pipeline.exists(CHANGING_KEY)
            pipeline.hgetall(KEY)
            changing, held = await pipeline.execute()
        return changing, held

    async def reload(self) -> list[Rate]:
        """All rates from MySQL, copied to Redis on the way."""
        found = await rates.everything(self._database)
        await self._copy(found, create=True)
        return found

    async def put(self, changed: Sequence[Rate]) -> None:
        """Take rates over that were committed just now."""
        if changed and not await self._copy(changed, create=False):
            await self.reload()

    async def changing(self) -> None:
        """A transaction of somebody else's is about to change rates: forget the copy until it must have ended."""

        async def tell() -> None:
            async with self._redis.redis.pipeline(transaction=True) as pipeline:
                pipeline.set(CHANGING_KEY, b"1", px=CHANGING_SECONDS * 1000)
                pipeline.delete(KEY)
                await pipeline.execute()

        await self._redis.ask(tell, otherwise=None, anyway=True)

    async def forget(self) -> None:
        """Drop the copy: the next reader takes it from MySQL."""
        await self._redis.ask(partial(self._redis.redis.delete, KEY), otherwise=0, anyway=True)

    async def _copy(self, found: Iterable[Rate], *, create: bool) -> bool:
        """Whether Redis has taken them; True as well when it is away and there is nothing to be done."""
        entries = [part for rate in found for part in _to_entry(rate)]
        arguments: list[str | int] = [TTL_SECONDS, int(create), *entries]
        if not entries:
            return True
        # Also when it was away a moment ago: what it has kept would be older than what is stored now.
        put = partial(self._put, keys=[KEY, CHANGING_KEY], args=arguments)
        return bool(await self._redis.ask(put, otherwise=True, anyway=True))


def _order(rate: Rate) -> tuple[str, str, str]:
    return rate.asset, rate.currency, rate.source


def _to_entry(rate: Rate) -> tuple[str, str]:
    field = f"{rate.asset}|{rate.currency}|{rate.source}"
    return field, f"{to_wire(rate.observed_at)}|{to_wire(rate.received_at)}|{rate.rate}"


def _from_entry(entry: tuple[bytes, bytes]) -> Rate:
    asset, currency, source = entry[0].decode().split("|", 2)
    observed_at, received_at, rate = entry[1].decode().split("|")
    return Rate(
        asset, currency, source, Decimal(rate), from_wire(observed_at), from_wire(received_at)
    )
