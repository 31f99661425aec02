"""How the latest pieces of work ended, as far as that speaks against the process itself.

In: the end of each piece. Out: whether the last ones all failed for a reason of our own. Must stay true: one success
clears it; it clears itself when nothing has failed for a while, for who is sent no work can show no success.
"""

import time
from collections import deque
from collections.abc import Callable

LEAST = 5
"""So many in a row: one poisonous message and its repetitions are no sign."""
WINDOW_SECONDS = 120.0


class Streak:
    """The failures since the last success."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._failures: deque[float] = deque(maxlen=LEAST)

    def succeeded(self) -> None:
        """Something ended as it should, be it with a refusal."""
        self._failures.clear()

    def failed(self) -> None:
        """Something ended with an error of ours."""
        self._failures.append(self._clock())

    @property
    def broken(self) -> bool:
        """Whether at least `LEAST` failed within the window, and nothing succeeded since."""
        full = len(self._failures) == LEAST
        return full and self._clock() - self._failures[0] <= WINDOW_SECONDS
