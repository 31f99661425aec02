"""Waiting for a decision with everything that can end the wait: push, poll, deadline, shutdown.

In: an opened command and how long somebody is ready to wait. Out: its outcome, None while undecided.
Must stay true: past its deadline a command has an outcome as soon as MySQL can be asked; a wait never
lasts longer than it was asked to.
"""

import asyncio
from contextlib import AbstractContextManager, nullcontext

import structlog
from aiohttp import web

from contracts.outcomes import Outcome
from db.mysql.database import is_away
from gateway.submission.outcomes import Deadlines, Opened
from gateway.submission.waiting import Expectation, OutcomeWaiters

log = structlog.get_logger(__name__)

AGAIN_SECONDS = 1.0
"""Before a deadline is looked at again when MySQL could not be asked."""


class Decisions:
    """What callers ask of undecided commands."""

    def __init__(self, waiting: OutcomeWaiters, deadlines: Deadlines) -> None:
        self._waiting = waiting
        self._deadlines = deadlines

    def expecting(self, uuid: bytes, seconds: float) -> AbstractContextManager[Expectation | None]:
        """Hear of a command inside the block; None (nothing to clean up) when nobody wants to wait."""
        return self._waiting.expecting(uuid) if seconds > 0 else nullcontext()

    async def now(self, opened: Opened) -> Outcome | None:
        """The command's outcome as it is. Raises what MySQL raises when it is away."""
        return await self._deadlines.settle(opened)

    async def wait(
        self, opened: Opened, expectation: Expectation | None, until: float
    ) -> Outcome | None:
        """The outcome if there is one before `until` (the loop's time)."""
        if expectation is None:
            return None
        loop = asyncio.get_running_loop()
        while True:
            left = until - loop.time()
            dead_in = max(self._deadlines.seconds_left(opened.id.accepted_at), 0.0)
            outcome = await expectation.outcome(min(left, dead_in))
            if outcome is not None or expectation.given_up or left <= dead_in:
                return outcome
            outcome = await self._settled(opened)
            if outcome is not None:
                return outcome
            outcome = await expectation.outcome(min(until - loop.time(), AGAIN_SECONDS))
            if outcome is not None or loop.time() >= until:
                return outcome

    async def _settled(self, opened: Opened) -> Outcome | None:
        try:
            return await self._deadlines.settle(opened)
        except Exception as error:
            if not is_away(error):
                raise
            log.info("deadline not settled, the database is away", command_id=opened.text)
            return None


DECISIONS = web.AppKey("decisions", Decisions)
