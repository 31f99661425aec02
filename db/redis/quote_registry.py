"""QuoteRegistry: the last good rates in Redis, a copy of `rates` in MySQL.

In: rates that were committed. Out: all rates, or those of one pair, from Redis, or from MySQL when Redis has none or
is away.
Must stay true: MySQL is the truth, so a flush or a loss of Redis costs one query; an older observation never
replaces a newer one; a rate that a command has just changed is never answered from an older copy (readers go to
MySQL while it commits); one pair is read by its key, however many others there are.

A field of the hash is a pair, its value one line for each source: `source observed|received|accepted|rate`.
"""

from collections.abc import Iterable, Sequence
from decimal import Decimal
from functools import partial

from redis.asyncio import Redis

from contracts.rates import Rate
from contracts.runtime.times import from_wire, to_wire
from db import rates
from db.mysql.database import VANISHED_SECONDS, Database
from db.rates import Pair
from db.redis.optional import OptionalRedis

KEY = "rates:by-pair"
CHANGING_KEY = "rates:changing"
TTL_SECONDS = 60
"""The specification's 60 s: a copy is never older, whatever was missed."""
CHANGING_SECONDS = VANISHED_SECONDS + 1
"""Longer than the database lets a transaction live whose process has stopped: it may still wake and commit."""

# KEYS: the hash, the mark of a change under way. ARGV: ttl, may it create the hash, then pair, source, entry.
# An entry begins with its observation, of fixed width: comparing texts compares times.
_PUT = """
if redis.call('EXISTS', KEYS[2]) == 1 then return 0 end
local is_there = redis.call('EXISTS', KEYS[1]) == 1
if not is_there and ARGV[2] == '0' then return 0 end
for i = 3, #ARGV, 3 do
    local lines, newest = {}, true
    for line in string.gmatch(redis.call('HGET', KEYS[1], ARGV[i]) or '', '[^\\n]+') do
        local source, entry = string.match(line, '^(%S+) (.*)$')
        if source ~= ARGV[i + 1] then
            table.insert(lines, line)
        elseif entry >= ARGV[i + 2] then
            newest = false
        end
    end
    if newest then
        table.insert(lines, ARGV[i + 1] .. ' ' .. ARGV[i + 2])
        redis.call('HSET', KEYS[1], ARGV[i], table.concat(lines, '\\n'))
    end
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
            found = (rate for field, lines in held.items() for rate in _read(field, lines))
            return sorted(found, key=_order)
        return await self.reload()

    async def _held(self) -> tuple[int, dict[bytes, bytes]]:
        async with self._redis.redis.pipeline(transaction=True) as pipeline:
            pipeline.exists(CHANGING_KEY)
            pipeline.hgetall(KEY)
            changing, held = await pipeline.execute()
        return changing, held

    async def of_pair(self, pair: Pair) -> list[Rate]:
        """The last good rate of every source of one pair."""
        answer = await self._redis.ask(partial(self._held_of, _field(pair)), otherwise=None)
        if answer is not None:
            changing, copied, lines = answer
            if copied and not changing:
                return _read(_field(pair).encode(), lines) if lines else []
            if not changing:
                await self.reload()
        return (await rates.of_pairs(self._database, [pair]))[pair]

    async def _held_of(self, field: str) -> tuple[int, int, bytes | None]:
        async with self._redis.redis.pipeline(transaction=True) as pipeline:
            pipeline.exists(CHANGING_KEY)
            pipeline.exists(KEY)
            pipeline.hget(KEY, field)
            changing, copied, lines = await pipeline.execute()
        return changing, copied, lines

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


def _field(pair: Pair) -> str:
    return "|".join(pair)


def _to_entry(rate: Rate) -> tuple[str, str, str]:
    accepted_at = to_wire(rate.accepted_at) if rate.accepted_at else ""
    times = f"{to_wire(rate.observed_at)}|{to_wire(rate.received_at)}|{accepted_at}"
    return _field(rate.pair), rate.source, f"{times}|{rate.rate}"


def _read(field: bytes, lines: bytes) -> list[Rate]:
    asset, currency = field.decode().split("|")
    found: list[Rate] = []
    for line in lines.decode().split("\n"):
        source, entry = line.split(" ", 1)
        observed_at, received_at, accepted_at, rate = entry.split("|")
        accepted = from_wire(accepted_at) if accepted_at else None
        moments = from_wire(observed_at), from_wire(received_at), accepted
        found.append(Rate(asset, currency, source, Decimal(rate), *moments))
    return found
