"""Seat locks: `seat:{ticketTypeId}` in Redis, held while a batch decides over that ticket type's stock.

In: ticket type ids, each with its shard. Out: which of them are ours for `lease` seconds.
Must stay true: the lock only lowers contention; the version in MySQL is the guard. Redis away never
stops a sale: all seats count as granted and `sales_without_lock_total` says how often. A token is
compared before it is deleted, so nobody frees another's lock.

Source: Redis documentation, "Distributed Locks with Redis" (single instance: SET NX PX, compare-
and-delete).
"""

import secrets
from collections.abc import Collection, Mapping
from functools import partial
from typing import Protocol

from prometheus_client import Counter
from redis.asyncio import Redis

from db.redis.optional import OptionalRedis

SALES_WITHOUT_LOCK = Counter(
    "eventhub_sales_without_lock_total", "Batches decided without a seat lock: Redis was away"
)
LOCK_BUSY = Counter("eventhub_seat_lock_busy_total", "Seats found locked by somebody else")

# A lock whose token names our own shard but an earlier incarnation is a dead predecessor's: we hold the shard's lease.
_ACQUIRE = """
local granted = {}
for i, key in ipairs(KEYS) do
    local token, shard, mine = ARGV[i + 2], ARGV[i + 2 + #KEYS], ARGV[2]
    local held = redis.call('GET', key)
    local ours = held and string.sub(held, 1, #shard + 1) == shard .. ':'
    local live = held and string.find(held, ':' .. mine .. ':', 1, true)
    if not held or held == token or (ours and not live) then
        redis.call('SET', key, token, 'PX', ARGV[1])
        granted[#granted + 1] = i
    end
end
return granted
"""
_RELEASE = """
local freed = 0
for i, key in ipairs(KEYS) do
    if redis.call('GET', key) == ARGV[i] then freed = freed + redis.call('DEL', key) end
end
return freed
"""


RedisCommand = tuple[str | int, ...]


class Seats(Protocol):
    """What a worker needs of a lock; tests also run with one that is always granted."""

    async def acquire(self, seats: Mapping[int, int]) -> dict[int, str]:
        """Token per granted seat, of `{ticket type id: shard}`."""

    async def release(self, tokens: Mapping[int, str]) -> None:
        """Give seats back; those that lapsed or were taken over stay as they are."""

    def releasing(self, tokens: Mapping[int, str]) -> list[RedisCommand]:
        """What `release` would send, for whoever has a round trip to Redis to make anyway."""


def seat_key(ticket_type_id: int) -> str:
    """The key that the specification names."""
    return f"seat:{ticket_type_id}"


class SeatLocks:
    """Seat locks on one Redis, taken all at once in one round trip, ids ascending."""

    def __init__(self, redis: "Redis", lease_seconds: float, incarnation: str) -> None:
        self._redis = OptionalRedis(redis, "seat locks")
        self._lease_ms = int(lease_seconds * 1000)
        self._incarnation = incarnation
        self._acquire = redis.register_script(_ACQUIRE)

    async def acquire(self, seats: Mapping[int, int]) -> dict[int, str]:
        """Try each seat once. With Redis away every seat is granted (with an empty token)."""
        ids = sorted(seats)
        nonce = secrets.token_hex(8)
        tokens = [f"{seats[i]}:{self._incarnation}:{nonce}" for i in ids]
        arguments: list[str | int] = [
            self._lease_ms,
            self._incarnation,
            *tokens,
            *(str(seats[i]) for i in ids),
        ]
        ask = partial(self._acquire, keys=[seat_key(i) for i in ids], args=arguments)
        granted = await self._redis.ask(ask, otherwise=None)
        if granted is None:
            return self._without(ids)
        if len(granted) < len(ids):
            LOCK_BUSY.inc(len(ids) - len(granted))
        return {ids[position - 1]: tokens[position - 1] for position in granted}

    async def release(self, tokens: Mapping[int, str]) -> None:
        """Free what is still ours. A failure costs the others the rest of the lease, no more."""
        for command in self.releasing(tokens):
            free = partial(self._redis.redis.execute_command, *command)
            await self._redis.ask(free, otherwise=None, anyway=True)

    def releasing(self, tokens: Mapping[int, str]) -> list[RedisCommand]:
        """One EVAL for all that is still ours; none when nothing is."""
        held = {seat: token for seat, token in tokens.items() if token}
        if not held:
            return []
        return [("EVAL", _RELEASE, len(held), *map(seat_key, held), *held.values())]

    def _without(self, ids: Collection[int]) -> dict[int, str]:
        SALES_WITHOUT_LOCK.inc()
        return dict.fromkeys(ids, "")


class AlwaysGranted:
    """A lock that guards nothing: with it the version alone must keep the promise."""

    async def acquire(self, seats: Mapping[int, int]) -> dict[int, str]:
        """Every seat."""
        return dict.fromkeys(seats, "")

    async def release(self, tokens: Mapping[int, str]) -> None:
        """Nothing to give back."""

    def releasing(self, tokens: Mapping[int, str]) -> list[RedisCommand]:
        """Nothing to send."""
        return []
