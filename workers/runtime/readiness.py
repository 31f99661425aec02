"""Whether a worker would do its work if it were asked, as far as it knows.

In: how its self-test and its latest messages ended, and what its kind asks for. Out: what is missing, and why.
Must stay true: a reason tells no secret, no text of a message and no server's version.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

from contracts.runtime.streak import LEAST, Streak

Check = Callable[[], Awaitable[str | None]]
"""Why this kind of worker could not work now, None when it could. Raises the database's errors."""

NOT_RUN = "it has not run yet"


@dataclass(slots=True)
class WorkerReadiness:
    """What the process has seen of itself. `self_test`: why it has not passed, None once it has."""

    self_test: str | None = NOT_RUN
    streak: Streak = field(default_factory=Streak)
    checks: Mapping[str, Check] = field(default_factory=dict)

    async def missing(self, *, database: bool) -> dict[str, str]:
        """Name -> reason of whatever keeps this process from its work; `database`: whether it can be asked."""
        found = {}
        if self.self_test is not None:
            found["selfTest"] = self.self_test
        if self.streak.broken:
            found["messages"] = f"the last {LEAST} all failed; see the log"
        if database:
            for name, check in self.checks.items():
                if (reason := await check()) is not None:
                    found[name] = reason
        return found
