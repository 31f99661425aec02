"""Limits: of calls in a time, per user, gate and address, and of sign-ins that fail; of what is held open at once.

In: a request and its caller; connections as they come and go, event streams as they begin and end. Out: LIMIT_STATE for
the headers, or `Refusal` 429 with a true Retry-After; whether one more may be opened.
Must stay true: after Retry-After seconds one call is let through; who signs in with the right password counts for the
address like any call, so that many people can share one; without Redis each gateway counts for itself; what was taken
is given back once; addresses of `limits_off_for` are not counted, nor are connections of trusted proxies (all the world
stands behind one); an IPv6 customer counts as one address (see `client_addresses`).

Algorithm: moving window log (every call of the last window is remembered), library `limits`. Headers: `RateLimit` and
`RateLimit-Policy` after draft-ietf-httpapi-ratelimit-headers-09.
"""

import asyncio
import math
import re
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass
from typing import Generic, TypeVar

import structlog
from aiohttp import web
from limits import (
    RateLimitItem,
    RateLimitItemPerHour,
    RateLimitItemPerMinute,
    RateLimitItemPerSecond,
)
from limits.aio.storage import MemoryStorage, RedisStorage
from limits.aio.strategies import MovingWindowRateLimiter
from redis.asyncio import ConnectionPool

from contracts.models import Principal
from contracts.problems import Code, Problem
from contracts.runtime.circuit_breaker import CircuitBreaker
from db.redis.optional import REDIS_AWAY
from gateway.http.client_addresses import Networks, client_address, counted_as
from gateway.http.problems import Refusal
from gateway.http.routing import LimitClass

LOCAL_SECONDS = 2.0
"""After Redis failed, count locally so long before it is asked again: a call must not wait for a dead server."""

FORWARDED = ("X-Forwarded-For", "Forwarded", "X-Real-IP", "Via")
"""What a proxy adds to a request, and a client by itself does not."""
WARN_SECONDS = 600.0

S = TypeVar("S")
T = TypeVar("T")
K = TypeVar("K", bound=Hashable)

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class LimitState:
    """Where a caller stands: the policy's name, calls per window, window and time to reset in seconds."""

    policy: str
    amount: int
    window: int
    remaining: int
    reset: int


LIMIT_STATE = web.RequestKey("limit_state", LimitState)


_LIMIT = re.compile(r"([1-9]\d{0,6})/(s|min|h)", re.ASCII)
_UNITS: dict[str, type[RateLimitItem]] = {
    "s": RateLimitItemPerSecond,
    "min": RateLimitItemPerMinute,
    "h": RateLimitItemPerHour,
}


def parse_limit(text: str) -> RateLimitItem:
    """`100/s`, `10/min` or `5/h`. Raises ValueError."""
    if (match := _LIMIT.fullmatch(text)) is None:
        raise ValueError(f"{text!r} is no rate limit such as 100/s, 10/min or 5/h")
    return _UNITS[match[2]](int(match[1]))


def _named(setting: str, parse: Callable[[S], T], given: S) -> T:
    try:
        return parse(given)
    except ValueError as error:
        raise ValueError(f"{setting}: {error}") from None


Question = Callable[
    [MovingWindowRateLimiter, str, RateLimitItem, str], Awaitable[tuple[bool, LimitState]]
]
"""What one limiter is asked: whether there was room, and where somebody stands."""


class Limiter:
    """Counts calls. Raises ValueError at once for a limit or network that cannot be read."""

    def __init__(
        self,
        pool: ConnectionPool | None,
        *,
        user: str,
        address: str,
        login: str,
        off_for: tuple[str, ...] = (),
        proxies: tuple[str, ...] = (),
    ) -> None:
        self._items = {
            "user": _named("EVENTHUB_LIMIT_USER", parse_limit, user),
            "address": _named("EVENTHUB_LIMIT_ADDRESS", parse_limit, address),
            "login": _named("EVENTHUB_LIMIT_LOGIN", parse_limit, login),
        }
        self.exempt = _named("EVENTHUB_LIMITS_OFF_FOR", Networks, off_for)
        self.proxies = _named("EVENTHUB_TRUSTED_PROXIES", Networks, proxies)
        self._warned_at = float("-inf")
        self._local = MovingWindowRateLimiter(MemoryStorage())
        self._shared: MovingWindowRateLimiter | None = None
        if pool is not None:
            storage = RedisStorage(
                "redis://",
                implementation="redispy",
                key_prefix="eventhub:limit",
                connection_pool=pool,  # type: ignore[arg-type]  # passed through to redis-py
            )
            self._shared = MovingWindowRateLimiter(storage)
        self._breaker = CircuitBreaker(LOCAL_SECONDS)

    async def count(
        self, request: web.Request, limit: LimitClass, caller: Principal | None
    ) -> None:
        """Count one call. Raises Refusal (429) when it is one too many."""
        address = self._address(request)
        if limit is LimitClass.DEFAULT and caller is not None:
            await self._take(request, "user", str(caller.caller))
        else:
            await self._take(request, "address", address)
        if limit is LimitClass.LOGIN:
            _, state = await self._ask(_look, "login", address)
            if not state.remaining:
                request[LIMIT_STATE] = state
                raise _refusal(state, "failed sign-ins")

    async def count_failure(self, request: web.Request) -> None:
        """A sign-in of this address has failed. Those that are on their way are not stopped by it."""
        await self._ask(_hit, "login", self._address(request))

    def is_off(self, request: web.BaseRequest) -> bool:
        """Whether calls from this client's address are not counted."""
        address = client_address(request, self.proxies)
        if not self.exempt.holds(address):
            return False
        if any(name in request.headers for name in FORWARDED):
            self._warn_of_proxy(address)
        return True

    def _warn_of_proxy(self, address: str) -> None:
        """Somebody forwards for others from an exempt address: then nobody behind them has a limit."""
        if self.proxies.holds(address) or time.monotonic() < self._warned_at + WARN_SECONDS:
            return
        self._warned_at = time.monotonic()
        log.warning(
            "rate_limit.off_behind_proxy",
            address=address,
            remedy="name the proxy in EVENTHUB_TRUSTED_PROXIES, or take its network out of "
            "EVENTHUB_LIMITS_OFF_FOR: as it is, no client behind it is limited",
        )

    def _address(self, request: web.Request) -> str:
        return counted_as(client_address(request, self.proxies))

    async def _take(self, request: web.Request, policy: str, who: str) -> None:
        taken, state = await self._ask(_hit, policy, who)
        request[LIMIT_STATE] = state
        if not taken:
            raise _refusal(state, "calls")

    async def _ask(self, question: Question, policy: str, who: str) -> tuple[bool, LimitState]:
        item = self._items[policy]
        if self._shared is not None and not self._breaker.is_open:
            try:
                return await question(self._shared, policy, item, who)
            except REDIS_AWAY as error:
                self._breaker.failed()
                log.warning("rate_limit.local", reason=type(error).__name__)
        return await question(self._local, policy, item, who)


def _refusal(state: LimitState, what: str) -> Refusal:
    detail = f"More than {state.amount} {what} in {state.window} s; wait a little."
    return Refusal(Problem(Code.RATE_LIMITED, detail, retry_after=max(1, state.reset)))


async def _hit(
    limiter: MovingWindowRateLimiter, policy: str, item: RateLimitItem, who: str
) -> tuple[bool, LimitState]:
    """Count one, if it is not one too many."""
    taken = await limiter.hit(item, policy, who)
    return taken, (await _look(limiter, policy, item, who))[1]


async def _look(
    limiter: MovingWindowRateLimiter, policy: str, item: RateLimitItem, who: str
) -> tuple[bool, LimitState]:
    """Where somebody stands, without counting."""
    reset_at, remaining = await limiter.get_window_stats(item, policy, who)
    reset = max(0, math.ceil(reset_at - time.time()))
    window = item.get_expiry()
    left = max(0, remaining)
    return left > 0, LimitState(policy, item.amount, window, left, reset)


def limit_headers(state: LimitState) -> dict[str, str]:
    """The two RateLimit headers."""
    return {
        "RateLimit-Policy": f'"{state.policy}";q={state.amount};w={state.window}',
        "RateLimit": f'"{state.policy}";r={state.remaining};t={state.reset}',
    }


class Shares(Generic[K]):
    """At most `most` at once for each key; 0: no limit."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._held: Counter[K] = Counter()

    def take(self, key: K) -> bool:
        """Whether the key may have one more; then it has."""
        if self._most and self._held[key] >= self._most:
            return False
        self._held[key] += 1
        return True

    def give_back(self, key: K) -> None:
        """One less."""
        self._held[key] -= 1
        if self._held[key] <= 0:
            del self._held[key]


class Connections:
    """The connections of one gateway process, by address."""

    def __init__(self, most: int, exempt: Networks, proxies: Networks) -> None:
        self._shares: Shares[str] = Shares(most)
        self._exempt, self._proxies = exempt, proxies

    def take(self, transport: asyncio.BaseTransport) -> str | None:
        """The name a new connection is counted under, "" when it is not counted; None: it is one too many."""
        peer = transport.get_extra_info("peername")
        address = peer[0] if isinstance(peer, tuple) else None
        if address is None or self._exempt.holds(address) or self._proxies.holds(address):
            return ""
        name = counted_as(address)
        return name if self._shares.take(name) else None

    def give_back(self, name: str) -> None:
        """The connection is gone."""
        if name:
            self._shares.give_back(name)


CONNECTIONS = web.AppKey("connections", Connections)
STREAMS = web.AppKey("streams", Shares[int])
"""Event streams by account."""
