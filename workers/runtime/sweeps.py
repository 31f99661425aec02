"""Jobs that look again and again for what is due: expiry, old quotes, tickets whose event was lost.

In: a function that deals with some of it and says how much there was. Out: its calls, until the process stops.
Must stay true: who sweeps goes on at once while there is more, and survives a database that is away; where it matters,
one process at a time does it (a lease).
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import structlog

from db.messages.leases import Share
from db.mysql.database import is_away, is_transient
from workers.runtime.services import Services

log = structlog.get_logger(__name__)

Sweep = Callable[[Services], Awaitable[int]]
"""Deals with at most a batch; how many there were to deal with. Raises the database's errors."""


@dataclass(frozen=True, slots=True)
class Sweeper:
    """A job of a worker: `sweep` whenever something may be due."""

    name: str
    sweep: Sweep
    batch: int
    """As many as this: there may be more."""
    idle_seconds: float
    """Between two looks when there was less."""
    alone: bool = False
    """One process at a time, for what many would only wait for each other at."""

    async def __call__(self, services: Services) -> None:
        """Sweep until the process stops, while it holds the lease if there is one."""
        if not self.alone:
            await self._keep_on(services, lambda: True)
            return
        holder = (services.settings.process, services.incarnation)
        # A kind of its own: the holders of one kind share all its names, and other processes' jobs are not ours.
        share = Share(
            services.database, self.name, ["sweep"], holder, on_gain=_nothing, on_loss=_nothing
        )
        beating = asyncio.create_task(share.run(services.stop))
        await self._keep_on(services, lambda: bool(share.held))
        await beating

    async def _keep_on(self, services: Services, may: Callable[[], bool]) -> None:
        while not services.stop.is_set():
            found = await self.once(services) if may() else 0
            if found < self.batch:
                await services.rest(self.idle_seconds)

    async def once(self, services: Services) -> int:
        """One sweep; 0 when the database cannot be asked now. Any other error is a defect, and ends the process."""
        try:
            return await self.sweep(services)
        except Exception as error:
            if not (is_away(error) or is_transient(error)):
                raise
            log.warning("sweep failed, trying again", job=self.name, error=repr(error))
            return 0


async def _nothing(_: str) -> None:
    """The lease is looked at before each sweep; its coming and going needs no action."""
