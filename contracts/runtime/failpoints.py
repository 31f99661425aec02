"""Failpoints: named places at which a test makes this process die, or stop, to see what is left behind.

In: two switches that only a test sets, both needed: the interpreter option `-X eventhub-failpoints` (nothing that
starts EventHub for real passes one) and EVENTHUB_FAILPOINTS, e.g. `worker.committed=kill` or
`relay.published=stop@3` (at the third time). Out: SIGKILL or SIGSTOP to this very process, at that place.
Must stay true: without both switches `reach` is an empty function, once per batch and never per command; a name
never changes its meaning; what fired is written to EVENTHUB_FAILPOINTS_FIRED first, so that a run in which nothing
fired cannot pass for one that survived.
"""

import os
import signal
import sys
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Literal, get_args

SWITCH = "eventhub-failpoints"
ARMED, FIRED = "EVENTHUB_FAILPOINTS", "EVENTHUB_FAILPOINTS_FIRED"

Point = Literal[
    "gateway.before_publish",  # accepted in thought only: nobody else knows of it
    "gateway.after_confirm",  # the broker holds it, the client does not know
    "worker.received",  # a delivery was taken, nothing is done
    "worker.locked",  # its seats are locked, no transaction has begun
    "worker.written",  # everything is written, COMMIT is not sent
    "worker.committed",  # it is decided, nobody was told
    "worker.settled",  # its client was told, the message is not acknowledged
    "worker.acked",  # the acknowledgement is sent
    "relay.selected",  # events are read, not published
    "relay.published",  # the broker confirmed them, their rows are still there
    "relay.marked",  # their rows are gone
    "expiry.selected",  # orders past their deadline are found, not locked
    "expiry.written",  # they are ended, COMMIT is not sent
    "backfill.written",  # missing tickets are issued, COMMIT is not sent
    "expiry.committed",  # they have ended, the metrics do not say so yet
]
POINTS: tuple[str, ...] = get_args(Point)
_ACTIONS = {"kill": signal.SIGKILL, "stop": signal.SIGSTOP}


def parse(text: str) -> dict[str, tuple[signal.Signals, int]]:
    """`name=action[@n],…` as {name: (signal, n-th time)}. Raises ValueError for an unknown name or action."""
    armed: dict[str, tuple[signal.Signals, int]] = {}
    for one in filter(None, text.split(",")):
        name, _, wanted = one.partition("=")
        action, _, count = wanted.partition("@")
        if name not in POINTS or action not in _ACTIONS:
            raise ValueError(f"{one!r} is no failpoint with an action ({', '.join(_ACTIONS)})")
        armed[name] = (_ACTIONS[action], int(count or 1))
    return armed


def armed_reach(
    environment: Mapping[str, str], act: Callable[[int, int], None] = os.kill
) -> Callable[[Point], None]:
    """A `reach` that acts as the environment says."""
    armed = parse(environment.get(ARMED, ""))
    times: Counter[str] = Counter()

    def reach(point: Point) -> None:
        if point not in armed:
            return
        times[point] += 1
        number, wanted = armed[point]
        if times[point] == wanted:
            with open(environment[FIRED], "a", encoding="utf-8") as fired:
                fired.write(f"{point}\n")
            act(os.getpid(), number)

    return reach


def _off(point: Point) -> None:
    """In production a failpoint is this."""


reach: Callable[[Point], None] = (
    armed_reach(os.environ) if SWITCH in sys._xoptions and os.environ.get(ARMED) else _off
)
