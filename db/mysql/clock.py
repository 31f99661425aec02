"""The database's clock, known without asking it each time: acceptance times and deadlines use it.

In: a `Database`. Out: `now()`, aware UTC, as the database would say it.
Must stay true: one clock decides for all processes (the database's); an estimate is never worse than
half of the round trip it was measured with.

Source: Cristian's algorithm (F. Cristian, "Probabilistic clock synchronization", 1989): of several
samples the one with the shortest round trip bounds the error best.
"""

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime

import structlog

from contracts.runtime.times import from_sql
from db.mysql.database import Database, is_away

log = structlog.get_logger(__name__)

REFRESH_SECONDS = 5.0
SAMPLES_KEPT = 12
"""A minute of samples: quartz clocks drift apart by less than 10 ms in it."""
FIRST_SAMPLES = 4


@dataclass(frozen=True, slots=True)
class Sample:
    """The database's time minus our monotonic clock (seconds since 1970), and the round trip in s."""

    offset: float
    round_trip: float


def best(samples: "deque[Sample]") -> float:
    """The offset of the sample whose round trip was shortest. `samples` is not empty."""
    return min(samples, key=lambda sample: sample.round_trip).offset


class DatabaseClock:
    """Estimates the database's UTC clock from the process's monotonic one."""

    def __init__(
        self,
        ask: Callable[[], Awaitable[datetime]],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._ask = ask
        self._monotonic = monotonic
        self._samples: deque[Sample] = deque(maxlen=SAMPLES_KEPT)
        # Until the first answer the machine's own clock has to do.
        self._offset = datetime.now(UTC).timestamp() - monotonic()

    @classmethod
    def of(cls, database: Database) -> "DatabaseClock":
        """The clock of this database."""

        async def ask() -> datetime:
            rows = await database.read("SELECT UTC_TIMESTAMP(6)")
            return from_sql(rows[0][0])

        return cls(ask)

    def now(self) -> datetime:
        """The database's time, aware UTC; the machine's own before the first sample."""
        return datetime.fromtimestamp(self._monotonic() + self._offset, UTC)

    async def refresh(self) -> None:
        """Take one sample. Raises what the database raises when it is away."""
        before = self._monotonic()
        told = await self._ask()
        after = self._monotonic()
        round_trip = after - before
        offset = told.timestamp() - (before + after) / 2
        if self._samples and abs(offset - best(self._samples)) > 1.0 + round_trip / 2:
            # The database's clock was set, or this machine slept: what we knew is worthless.
            self._samples.clear()
        self._samples.append(Sample(offset, round_trip))
        self._offset = best(self._samples)

    async def run(self) -> None:
        """Sample for ever: a few times at once, then every few seconds. Ends only by cancellation."""
        taken = 0
        while True:
            try:
                await self.refresh()
                taken += 1
            except Exception as error:
                if not is_away(error):
                    raise
                log.info("database clock keeps its last estimate", error=repr(error))
            await asyncio.sleep(0.05 if taken < FIRST_SAMPLES else REFRESH_SECONDS)
