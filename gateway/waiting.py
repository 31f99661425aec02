"""Clients that wait for a decision: woken by a push, or by one MySQL query for all of them.

In: command UUIDs to wait for; outcomes as they are heard. Out: the outcome, or None in time.
Must stay true: a wait ends by its time whatever is away; ten thousand of them cost memory, not work;
a push is a hint that may be lost, so MySQL is asked as well.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass

import structlog

from contracts.outcomes import Outcome
from db.mysql import is_away
from gateway.outcomes import BATCH_MAX, OutcomeMemory, OutcomeReader

log = structlog.get_logger(__name__)

POLL_SECONDS = 0.25
POLL_SECONDS_MAX = 4.0
"""While pushes arrive, a lost one costs its waiter at most as long again as it has waited."""


@dataclass(slots=True, eq=False)
class _Entry:
    """One command that somebody waits for. Times are the loop's monotonic seconds."""

    future: "asyncio.Future[Outcome | None]"
    since: float
    poll_at: float
    waiters: int = 0


class Waiting:
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
        return sum(entry.waiters for entry in self._entries.values())

    @contextmanager
    def expecting(self, uuid: bytes) -> Iterator["Expectation"]:
        """Hear of this command from now on: enter before it is published."""
        entry = self._entries.get(uuid)
        if entry is None:
            now = self._monotonic()
            future: asyncio.Future[Outcome | None] = asyncio.get_running_loop().create_future()
            entry = self._entries[uuid] = _Entry(future, now, now + POLL_SECONDS)
            if self._closed:
                future.set_result(None)
        entry.waiters += 1
        known = self._memory.get(uuid)
        if known is not None and not entry.future.done():
            entry.future.set_result(known)
        try:
            yield Expectation(entry.future)
        finally:
            entry.waiters -= 1
            if not entry.waiters:
                self._entries.pop(uuid, None)

    def heard(self, outcomes: Iterable[Outcome]) -> None:
        """Remember these outcomes and wake who waits for them."""
        for outcome in outcomes:
            self._memory.put(outcome)
            entry = self._entries.get(outcome.command)
            if entry is not None and not entry.future.done():
                entry.future.set_result(outcome)

    def due(self, pushes_arrive: bool) -> list[bytes]:
        """Commands to ask MySQL for now: each 250 ms, or at doubling ages while pushes arrive."""
        now = self._monotonic()
        due: list[bytes] = []
        for uuid, entry in self._entries.items():
            ready_at = entry.poll_at if pushes_arrive else entry.since + POLL_SECONDS
            if entry.future.done() or ready_at > now:
                continue
            entry.poll_at = now + min(now - entry.since, POLL_SECONDS_MAX)
            due.append(uuid)
        return due

    def close(self) -> None:
        """The process ends: everybody hears "undecided" now, also those who come later."""
        self._closed = True
        for entry in self._entries.values():
            if not entry.future.done():
                entry.future.set_result(None)


@dataclass(frozen=True, slots=True)
class Expectation:
    """Somebody's wait for one command."""

    future: "asyncio.Future[Outcome | None]"

    @property
    def given_up(self) -> bool:
        """Whether the process ends: there is nothing more to wait for here."""
        return self.future.done() and self.future.result() is None

    async def outcome(self, seconds: float) -> Outcome | None:
        """The outcome if it is heard of within `seconds`."""
        if self.future.done():
            return self.future.result()
        try:
            async with asyncio.timeout(max(seconds, 0)):
                return await asyncio.shield(self.future)
        except TimeoutError:
            return None


async def poll(waiting: Waiting, reader: OutcomeReader, pushes_arrive: Callable[[], bool]) -> None:
    """Ask MySQL for what is waited for, every 250 ms. Ends only by cancellation."""
    while True:
        await asyncio.sleep(POLL_SECONDS)
        due = waiting.due(pushes_arrive())
        for start in range(0, len(due), BATCH_MAX):
            await _poll_once(waiting, reader, due[start : start + BATCH_MAX])


async def _poll_once(waiting: Waiting, reader: OutcomeReader, uuids: Sequence[bytes]) -> None:
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
    waiting: Waiting, reader: OutcomeReader, pushes_arrive: Callable[[], bool]
) -> AsyncIterator[None]:
    """Run `poll` for the length of the block."""
    task = asyncio.create_task(poll(waiting, reader, pushes_arrive), name="outcome poll")
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
