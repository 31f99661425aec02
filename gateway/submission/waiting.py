"""Clients that wait for a decision: woken by a push, or by one MySQL query for all of them.

In: command UUIDs to wait for; outcomes as they are heard. Out: the outcome, or None in time.
Must stay true: a wait ends by its time whatever is away; ten thousand of them cost memory, not work;
a push is a hint that may be lost, so MySQL is asked as well.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import structlog

from contracts.outcomes import Outcome
from contracts.runtime.tasks import end
from db.mysql.database import is_away
from gateway.submission.outcomes import BATCH_MAX, OutcomeMemory, OutcomeReader

log = structlog.get_logger(__name__)

POLL_SECONDS = 0.25
POLL_SECONDS_MAX = 4.0
"""While pushes arrive, a lost one costs its waiter at most as long again as it has waited."""


@dataclass(slots=True, eq=False)
class _Entry:
    """One command that somebody waits for. Times are the loop's monotonic seconds."""

    since: float
    poll_at: float
    callers: int = 0
    sleepers: "list[asyncio.Future[None]]" = field(default_factory=list)
    """Callers that sleep until it is over, or their time is."""
    over: bool = False
    outcome: Outcome | None = None
    """How it ended, once it is over; None then: the process ends first."""

    def end(self, outcome: Outcome | None) -> None:
        """It is over: wake everybody, once."""
        if self.over:
            return
        self.over, self.outcome = True, outcome
        for sleeper in self.sleepers:
            _wake(sleeper)


def _wake(sleeper: "asyncio.Future[None]") -> None:
    if not sleeper.done():
        sleeper.set_result(None)


class OutcomeWaiters:
    """Who waits for what in this process."""

    def __init__(
        self, memory: OutcomeMemory, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._memory = memory
        self._monotonic = monotonic
        self._entries: dict[bytes, _Entry] = {}
        self._closed = False

    @property
    def count(self) -> int:
        """Clients that wait right now."""
        return sum(entry.callers for entry in self._entries.values())

    def expecting(self, uuid: bytes) -> "Expectation":
        """Hear of this command inside the block: enter it before the command is published."""
        return Expectation(self, uuid)

    def enter(self, uuid: bytes) -> _Entry:
        """One caller more expects this command."""
        entry = self._entries.get(uuid)
        if entry is None:
            now = self._monotonic()
            entry = self._entries[uuid] = _Entry(now, now + POLL_SECONDS)
            if self._closed:
                entry.end(None)
        entry.callers += 1
        known = self._memory.get(uuid)
        if known is not None:
            entry.end(known)
        return entry

    def leave(self, uuid: bytes, entry: _Entry) -> None:
        """One caller less."""
        entry.callers -= 1
        if not entry.callers:
            self._entries.pop(uuid, None)

    def heard(self, outcomes: Iterable[Outcome]) -> None:
        """Remember these outcomes and wake who waits for them."""
        for outcome in outcomes:
            self._memory.put(outcome)
            entry = self._entries.get(outcome.command)
            if entry is not None:
                entry.end(outcome)

    def due(self, pushes_arrive: bool) -> list[bytes]:
        """Commands to ask MySQL for now: each 250 ms, or at doubling ages while pushes arrive."""
        now = self._monotonic()
        due: list[bytes] = []
        for uuid, entry in self._entries.items():
            ready_at = entry.poll_at if pushes_arrive else entry.since + POLL_SECONDS
            if entry.over or ready_at > now:
                continue
            entry.poll_at = now + min(now - entry.since, POLL_SECONDS_MAX)
            due.append(uuid)
        return due

    def close(self) -> None:
        """The process ends: everybody hears "undecided" now, also those who come later."""
        self._closed = True
        for entry in self._entries.values():
            entry.end(None)


class Expectation:
    """One caller's wait for one command: a block. (A class: a generator's costs as much as the wait itself.)"""

    __slots__ = ("_entry", "_uuid", "_waiting")

    def __init__(self, waiting: OutcomeWaiters, uuid: bytes) -> None:
        self._waiting, self._uuid = waiting, uuid

    def __enter__(self) -> "Expectation":
        """Begin to hear of it."""
        self._entry = self._waiting.enter(self._uuid)
        return self

    def __exit__(self, *_: object) -> None:
        self._waiting.leave(self._uuid, self._entry)

    @property
    def given_up(self) -> bool:
        """Whether the process ends: there is nothing more to wait for here."""
        return self._entry.over and self._entry.outcome is None

    async def outcome(self, seconds: float) -> Outcome | None:
        """The outcome if it is heard of within `seconds`."""
        entry = self._entry
        if not entry.over:
            loop = asyncio.get_running_loop()
            sleeper: asyncio.Future[None] = loop.create_future()
            alarm = loop.call_later(max(seconds, 0), _wake, sleeper)
            entry.sleepers.append(sleeper)
            try:
                await sleeper
            finally:
                alarm.cancel()
                entry.sleepers.remove(sleeper)
        return entry.outcome


async def poll(
    waiting: OutcomeWaiters, reader: OutcomeReader, pushes_arrive: Callable[[], bool]
) -> None:
    """Ask MySQL for what is waited for, every 250 ms. Ends only by cancellation."""
    while True:
        await asyncio.sleep(POLL_SECONDS)
        due = waiting.due(pushes_arrive())
        for start in range(0, len(due), BATCH_MAX):
            await _poll_once(waiting, reader, due[start : start + BATCH_MAX])


async def _poll_once(
    waiting: OutcomeWaiters, reader: OutcomeReader, uuids: Sequence[bytes]
) -> None:
    try:
        found = await reader.read(uuids)
    except Exception as error:
        if is_away(error):
            log.info("outcomes not read, database away", waiting=len(uuids), error=repr(error))
        else:
            log.exception("outcomes not read", waiting=len(uuids))
        return
    waiting.heard(found.values())


@asynccontextmanager
async def polling(
    waiting: OutcomeWaiters, reader: OutcomeReader, pushes_arrive: Callable[[], bool]
) -> AsyncIterator[None]:
    """Run `poll` for the length of the block."""
    task = asyncio.create_task(poll(waiting, reader, pushes_arrive), name="outcome poll")
    try:
        yield
    finally:
        await end(task)
