"""Which endpoints this process sends to: slots, shared among the notify workers by leases.

In: the database, this process's name and incarnation. Out: whether an endpoint is ours right now.
Must stay true: an endpoint is one worker's at a time, and that worker begins nothing once its lease may have lapsed;
a dead worker's endpoints are taken over within the lease and a beat.
"""

import asyncio
from collections.abc import Awaitable, Callable

from db.messages.leases import BEAT_SECONDS, LEASE_SECONDS, Share
from db.mysql.database import Database

KIND = "webhooks"
SLOTS = 8
_MARGIN_SECONDS = 0.5
"""A lease is not trusted in its last half second."""

OnLoss = Callable[[int], Awaitable[None]]


class _TimedShare(Share):
    """A share that remembers when the database last confirmed it."""

    confirmed_at = float("-inf")

    async def beat(self) -> None:
        began = asyncio.get_running_loop().time()
        await super().beat()
        self.confirmed_at = began


class Slots:
    """Our slots; an endpoint's slot is its id modulo 8."""

    def __init__(self, database: Database, holder: tuple[str, str], on_loss: OnLoss) -> None:
        async def lost(name: str) -> None:
            await on_loss(int(name))

        async def gained(_: str) -> None:
            return None

        names = [str(slot) for slot in range(SLOTS)]
        self._share = _TimedShare(database, KIND, names, holder, on_gain=gained, on_loss=lost)

    async def run(self, stop: asyncio.Event) -> None:
        """Hold slots until stopped, then give them back."""
        await self._share.run(stop)

    def holds(self, slot: int) -> bool:
        """Whether the slot is ours, as far as the last beat knows."""
        return str(slot) in self._share.held

    def owns(self, endpoint_id: int) -> bool:
        """Whether an endpoint is ours to send to."""
        return self.holds(endpoint_id % SLOTS)

    @property
    def confirmed(self) -> bool:
        """Whether our leases have surely not lapsed yet: nothing is begun otherwise."""
        age = asyncio.get_running_loop().time() - self._share.confirmed_at
        return age < LEASE_SECONDS - _MARGIN_SECONDS


assert BEAT_SECONDS < LEASE_SECONDS - _MARGIN_SECONDS, "a healthy worker is always confirmed"
