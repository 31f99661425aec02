"""Idempotency-Keys: which command a caller's key stands for, over gateways, restarts and flushes.

In: caller, key, fingerprint of the request. Out: the attempt that the key stands for now, or the
number of the next one.
Must stay true: the same key gives the same command until that ended in an answer that does not bind;
used for another request it is refused (422). The UUID of an attempt derives from caller, key and
number alone, and a UUID has one outcome: losing every memory here can cost a key its old id, never a
second order. Redis only remembers faster than `command_outcomes` does.

Source of the header: draft-ietf-httpapi-idempotency-key-header.
"""

import asyncio
import hashlib
from collections import OrderedDict
from collections.abc import Awaitable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TypeVar

import orjson
import structlog
from redis.asyncio import Redis

from contracts.command_ids import EPOCH, CommandId, CommandIds
from contracts.outcomes import Outcome
from contracts.problems import Code, Problem
from db.mysql.clock import DatabaseClock
from db.mysql.database import is_away
from gateway.caching.redis_pipeline import RedisPipeline, Script
from gateway.http.problems import Refusal
from gateway.submission.outcomes import (
    NO_FINGERPRINT,
    Deadlines,
    Opened,
    OutcomeReader,
)

log = structlog.get_logger(__name__)

SCOPE = timedelta(hours=24)
REMEMBERED_MS = 15 * 60 * 1000
"""How long Redis holds an attempt: far longer than it stays undecided. After that its outcome is found by its UUID;
a day of a busy sale's keys would be gigabytes."""
KEPT_MAX = 10_000
WINDOW_MAX = 256
SWAPS_MAX = 4

# Sets KEYS[1] to ARGV[2] if it holds ARGV[1] ('' = nothing); returns what it held otherwise.
_SWAP = """
local held = redis.call('GET', KEYS[1]) or ''
if held ~= ARGV[1] then return held end
if ARGV[2] == '' then redis.call('DEL', KEYS[1])
else redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3]) end
return false
"""
NOTHING = b""

R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class KeyAttempt:
    """One command that a key has stood for. `number` counts from 1."""

    number: int
    accepted_at: datetime
    fingerprint: str
    confirmed: bool = False
    """Whether the broker is known to have it."""

    def to_bytes(self) -> bytes:
        """As Redis holds it."""
        micros = (self.accepted_at - EPOCH) // timedelta(microseconds=1)
        return orjson.dumps([self.number, micros, self.fingerprint, self.confirmed])

    @classmethod
    def from_bytes(cls, raw: bytes) -> "KeyAttempt | None":
        """The attempt behind `to_bytes`, None for anything else."""
        try:
            number, micros, fingerprint, confirmed = orjson.loads(raw)
            accepted_at = EPOCH + timedelta(microseconds=micros)
            return cls(int(number), accepted_at, str(fingerprint), bool(confirmed))
        except (ValueError, TypeError, OverflowError):
            return None


@dataclass(frozen=True, slots=True)
class Key:
    """A caller's Idempotency-Key."""

    caller: int
    text: str

    @property
    def redis_key(self) -> str:
        """Where Redis holds its attempt; hashed, because a key may say anything."""
        digest = hashlib.blake2b(self.text.encode(), digest_size=16).hexdigest()
        return f"eventhub:idempotency:{self.caller}:{digest}"


@dataclass(frozen=True, slots=True)
class Found:
    """What is known of a key: an attempt it stands for, with its outcome once decided, or what to try next."""

    attempt: KeyAttempt | None
    outcome: Outcome | None
    next_number: int
    held: bytes = NOTHING
    """What Redis held when this was found: the next claim replaces exactly that."""


class AttemptStore:
    """The attempts of keys in Redis, with this process's own memory before it."""

    def __init__(self, redis: Redis) -> None:
        self._lane = RedisPipeline(redis, "idempotency keys")
        self._swap = Script(self._lane, _SWAP)
        self._own: OrderedDict[Key, KeyAttempt] = OrderedDict()

    async def get(self, key: Key, *, shared: bool = False) -> KeyAttempt | None:
        """The attempt that the key stands for, None when neither memory knows one.

        `shared`: as Redis has it, whatever this process remembers.
        """
        own = self._own.get(key)
        if own is not None and not shared:
            return own
        raw = await self._lane.ask("GET", key.redis_key)
        attempt = KeyAttempt.from_bytes(raw) if isinstance(raw, bytes) else None
        if attempt is not None and (own is None or attempt.number >= own.number):
            # Remembered here as well: this memory outlives a flush.
            self._remember(key, attempt)
        return attempt

    async def restore(self, not_before: datetime) -> None:
        """Redis was flushed: give it back the attempts accepted since then, where it holds none."""
        await self._lane.back()
        recent = [(k, a) for k, a in self._own.items() if a.accepted_at >= not_before]
        await asyncio.gather(*(self._replace(k, NOTHING, a.to_bytes()) for k, a in recent))

    def expire(self, key: Key) -> None:
        """Its attempt is older than a key lives."""
        self._own.pop(key, None)

    async def swap(self, key: Key, expected: bytes, attempt: KeyAttempt) -> KeyAttempt:
        """Store `attempt` where `expected` is held; what the key stands for now (maybe another's)."""
        own = self._own.get(key)
        if own is not None and own.number >= attempt.number:
            return own
        for _ in range(SWAPS_MAX):
            raw = await self._replace(key, expected, attempt.to_bytes())
            if raw is None:
                break
            theirs = KeyAttempt.from_bytes(raw)
            if theirs == attempt:
                break  # the reply of our first try was lost, the swap was not
            if theirs is not None and theirs.number >= attempt.number:
                attempt = theirs
                break
            # Nothing of use: an older attempt, or what a flush left of the one expected.
            expected = raw
        self._remember(key, attempt)
        return attempt

    async def confirm(self, key: Key, attempt: KeyAttempt) -> None:
        """The broker has it: nobody needs to publish it again."""
        confirmed = replace(attempt, confirmed=True)
        self._remember(key, confirmed)
        await self._replace(key, attempt.to_bytes(), confirmed.to_bytes())

    async def forget(self, key: Key, attempt: KeyAttempt) -> None:
        """It was surely not published: the key stands for nothing (unless somebody else's did)."""
        if self._own.get(key) == attempt:
            del self._own[key]
        await self._replace(key, attempt.to_bytes(), NOTHING)

    def _remember(self, key: Key, attempt: KeyAttempt) -> None:
        self._own[key] = attempt
        self._own.move_to_end(key)
        if len(self._own) > KEPT_MAX:
            self._own.popitem(last=False)

    async def _replace(self, key: Key, expected: bytes, value: bytes) -> bytes | None:
        """None when it was replaced (or Redis is away), else what is held instead."""
        held: bytes | None = await self._swap.run(key.redis_key, expected, value, REMEMBERED_MS)
        return held


class IdempotencyKeys:
    """What callers' keys stand for."""

    def __init__(
        self,
        store: AttemptStore,
        reader: OutcomeReader,
        deadlines: Deadlines,
        ids: CommandIds,
        clock: DatabaseClock,
    ) -> None:
        self._store = store
        self._reader = reader
        self._deadlines = deadlines
        self._ids = ids
        self._clock = clock
        self._claims: dict[Key, asyncio.Task[KeyAttempt]] = {}

    def uuid(self, key: Key, number: int) -> bytes:
        """The UUID of the n-th attempt."""
        return self._ids.keyed(key.caller, key.text, number)

    async def find(self, key: Key, fingerprint: str, request_id: str, kind: int) -> Found:
        """What the key stands for, if it is used for the same request.

        Raises Refusal (422) when it was used for another one. With MySQL away an attempt found is
        taken for undecided, and a key not found for a new one: both are safe, see the module's text.
        """
        over, held = 0, NOTHING
        attempt = await self._store.get(key)
        while attempt is not None and attempt.number > over:
            if self._is_over(attempt.accepted_at):
                self._store.expire(key)
                break
            outcome = await self._outcome(key, attempt, request_id, kind)
            if outcome is None or outcome.binds:
                _check(attempt.fingerprint, fingerprint)
                return Found(attempt, outcome, attempt.number)
            # It does not bind any more; another gateway may have gone on from it.
            over, held = attempt.number, attempt.to_bytes()
            attempt = await self._store.get(key, shared=True)
        return await self._find_outcome(key, fingerprint, over, held)

    async def _outcome(
        self, key: Key, attempt: KeyAttempt, request_id: str, kind: int
    ) -> Outcome | None:
        command = CommandId(self.uuid(key, attempt.number), attempt.accepted_at, kind)
        text = self._ids.seal(command, key.caller)
        opened = Opened(command, text, key.caller, request_id, attempt.fingerprint)
        return await _unless_away(self._deadlines.settle(opened))

    async def restore(self, deadline: float) -> None:
        """Redis was flushed: what may still be undecided is noted there again."""
        await self._store.restore(self._clock.now() - timedelta(seconds=deadline))

    async def claim(self, key: Key, fingerprint: str, found: Found) -> tuple[KeyAttempt, bool]:
        """Make the key stand for its next attempt, accepted now; whether that is this call's doing.

        Somebody else may be first, here or at another gateway: then it is theirs.
        Raises Refusal (422) when theirs is another request.
        """
        new: KeyAttempt | None = None
        if key not in self._claims:
            new = KeyAttempt(found.next_number, self._clock.now(), fingerprint)
            task = asyncio.create_task(self._store.swap(key, found.held, new))
            task.add_done_callback(lambda _: self._claims.pop(key, None))
            self._claims[key] = task
        attempt = await asyncio.shield(self._claims[key])
        _check(attempt.fingerprint, fingerprint)
        return attempt, attempt is new

    async def confirm(self, key: Key, attempt: KeyAttempt) -> None:
        """The broker has the attempt's command."""
        await self._store.confirm(key, attempt)

    async def forget(self, key: Key, attempt: KeyAttempt) -> None:
        """The attempt's command was surely not published."""
        await self._store.forget(key, attempt)

    async def _find_outcome(self, key: Key, fingerprint: str, over: int, held: bytes) -> Found:
        """From the outcomes of attempts after the first `over`, which do not bind."""
        first, size, last = over + 1, 1, None
        while True:
            uuids = {n: self.uuid(key, n) for n in range(first, first + size)}
            decided = await _unless_away(self._reader.find(uuids.values())) or {}
            numbers = [n for n, uuid in uuids.items() if uuid in decided]
            if numbers:
                last = (numbers[-1], decided[uuids[numbers[-1]]])
            if len(numbers) < size:
                break
            first, size = first + size, min(max(8, size * 2), WINDOW_MAX)
        if last is None:
            return Found(None, None, over + 1, held)
        return self._after(*last, fingerprint, held)

    def _after(self, number: int, outcome: Outcome, fingerprint: str, held: bytes) -> Found:
        if self._is_over(outcome.accepted_at):
            return Found(None, None, number + 1, held)
        if not outcome.binds:
            return Found(None, None, number + 1, held)
        if outcome.fingerprint != NO_FINGERPRINT:
            _check(outcome.fingerprint, fingerprint)
        attempt = KeyAttempt(number, outcome.accepted_at, fingerprint, confirmed=True)
        return Found(attempt, outcome, number)

    def _is_over(self, accepted_at: datetime) -> bool:
        return self._clock.now() - accepted_at > SCOPE


def _check(held: str, given: str) -> None:
    if held != given:
        detail = "This Idempotency-Key was used for another request; use a fresh one."
        raise Refusal(Problem(Code.IDEMPOTENCY_MISMATCH, detail))


async def _unless_away(question: Awaitable[R]) -> R | None:
    try:
        return await question
    except Exception as error:
        if not is_away(error):
            raise
        log.info("a key is taken as it is, the database is away", error=repr(error))
        return None
