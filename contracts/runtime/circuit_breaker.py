"""A circuit breaker: what has failed is left alone for a moment, and then asked again.

In: how each attempt ended. Out: whether to try at all.
Must stay true: nobody is kept waiting for a server that just failed others (a black-holed one costs each of them its
whole time-out); after the pause one failure opens the circuit again, one success closes it.

Source of the idea: M. Nygard, "Release It!", chapter 5, Circuit Breaker.
"""

import asyncio
import time
from collections.abc import Callable


class CircuitOpen(Exception):
    """What is behind the breaker was not asked: it failed a moment ago."""


class CircuitBreaker:
    """Opens for `seconds` after so many `failures` in a row."""

    def __init__(
        self,
        seconds: float,
        *,
        failures: int = 1,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._seconds, self._failures_to_open = seconds, failures
        self._monotonic = monotonic
        self._failures = 0
        self._open_until = float("-inf")

    @property
    def is_open(self) -> bool:
        """Whether to leave it alone now."""
        return self._monotonic() < self._open_until

    def failed(self) -> None:
        self._failures += 1
        if self._failures >= self._failures_to_open:
            self._open_until = self._monotonic() + self._seconds

    def succeeded(self) -> None:
        self._failures = 0

    def require_closed(self) -> None:
        """Raises CircuitOpen while it is open."""
        if self.is_open:
            raise CircuitOpen

    async def closed(self) -> None:
        """Return when attempts are made again."""
        while (left := self._open_until - self._monotonic()) > 0:
            await asyncio.sleep(left)
