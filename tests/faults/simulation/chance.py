"""All that chance decides in a simulated world, drawn from its seed.

In: a seed. Out: how long things take, what is lost, what comes twice.
Must stay true: every draw comes from here, in the order the world asks, so that a seed is a history; `calm` ends all
faults, and the world must then come to rest.
"""

import asyncio
import random
from typing import Literal

LATENCY_SECONDS = 0.02
Lost = Literal["", "before", "after"]


class Chance:
    """Chance, and virtual time."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.is_calm = False
        # Some worlds are stormier than others, in different ways.
        self._odds = {
            name: self.random.choice((0.0, 0.02, 0.1))
            for name in ("commit", "publish", "twice", "ack", "busy", "cut")
        }
        # Each relay of a world publishes everything: most of what is lost once comes from another one.
        self._odds["purge"] = self.random.choice((0.0, 0.5))

    @property
    def purges(self) -> bool:
        """Whether queues are emptied in this world."""
        return self._odds["purge"] > 0

    def time(self) -> float:
        """Virtual seconds."""
        return asyncio.get_running_loop().time()

    def happens(self, what: str) -> bool:
        """Whether a fault of this kind happens now."""
        return not self.is_calm and self.random.random() < self._odds[what]

    async def pause(self, most: float = LATENCY_SECONDS) -> float:
        """Let others run for a while; how long it was."""
        seconds = self.random.uniform(0, most)
        await asyncio.sleep(seconds)
        return seconds

    async def database(self) -> None:
        """A round trip."""
        await self.pause()

    async def wait(self) -> float:
        """A look at a lock that is taken."""
        return 0.001 + await self.pause()

    async def commit(self) -> Lost:
        """A COMMIT's round trip, and which end of it is lost."""
        await self.pause()
        lost: Lost = ""
        if self.happens("commit"):
            lost = self.random.choice(("before", "after"))
        return lost
