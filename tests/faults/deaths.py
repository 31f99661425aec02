"""Chains of deaths: a process dies at each of its failpoints, one life after the other, then lives.

In: a process's name, its points, how to give it something to do. Out: what it was given meanwhile.
Must stay true: what the last life finds was left by every kind of death; a point that never fired is a failure.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from tests.harness.processes import Processes

DECIDES = (
    "worker.received",
    "worker.locked",
    "worker.written",
    "worker.committed",
    "worker.settled",
    "worker.acked",
)
REACTS = ("worker.received", "worker.written", "worker.committed", "worker.settled", "worker.acked")
"""What whoever writes without deciding passes: events, a provider's reports, dead letters."""
RELAYS = ("relay.selected", "relay.published", "relay.marked")
EXPIRES = ("expiry.selected", "expiry.written", "expiry.committed")

T = TypeVar("T")
Give = Callable[[], Awaitable[T]]


async def die_at_each(
    processes: Processes, name: str, points: Sequence[str], give: Give[T], *, last: bool = True
) -> list[T]:
    """Let `name` die at every point, each life given one thing to do; then start it for good (`last`)."""
    given: list[T] = []
    for point in points:
        # What earlier lives left takes this one through the point, or the new thing does.
        life = await processes.start(name, failpoints=f"{point}=kill", ready=False)
        given.append(await give())
        await life.died_at(point)
    if last:
        await processes.start(name, ready=False)
    return given
