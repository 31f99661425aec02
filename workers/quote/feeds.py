"""What a feed is: somebody who is asked for all prices at once.

In: nothing. Out: reports, one per pair. Errors: `FeedDown`, `FeedBusy`.
Must stay true: a feed never raises anything else for what the other side does; what it cannot read it leaves
out or reports as it came, for the judgement to refuse.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from workers.quote.judging import RateReport


class FeedDown(Exception):
    """The feed cannot be reached, answers with an error, too slowly or with something that is no price list."""


class FeedBusy(FeedDown):
    """The feed asks to be asked later (429). `seconds`: how much later."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"the feed asks to wait {seconds:.0f} s")
        self.seconds = seconds


class Feed(Protocol):
    """A source that is polled."""

    name: str
    """Its `source` in rates: a word without a colon."""

    async def fetch(self, now: datetime) -> Sequence[RateReport]:
        """All prices it has. Raises FeedDown, FeedBusy. `now`: the database's time, aware UTC."""

    async def close(self) -> None:
        """Give its connections back."""
