"""An event loop without a clock or a network: time jumps to the next timer, processes can be frozen for ever.

In: a seed's world. Out: everything that the world's tasks do, the same for the same seed.
Must stay true: nothing real is waited for; what belongs to a dead process never runs another step, as after SIGKILL.
"""

import asyncio
import contextvars
from collections import deque
from typing import Any

PROCESS: contextvars.ContextVar[int] = contextvars.ContextVar("process", default=0)
"""Which life of which process the running step belongs to; 0 is the world itself."""


class Stalled(Exception):
    """Nothing is left that could ever run."""


class SimulatedLoop(asyncio.base_events.BaseEventLoop):
    """asyncio's own loop on virtual time."""

    def __init__(self) -> None:
        super().__init__()
        self._selector = self
        self._virtual = 0.0
        self.dead: set[int] = set()
        self.frozen: list[Any] = []
        self.set_exception_handler(lambda *_: None)

    def time(self) -> float:
        """Virtual seconds since the world began."""
        return self._virtual

    def select(self, timeout: float | None) -> list[Any]:
        """Called by asyncio when nothing is ready: jump to the next timer."""
        if timeout is None:
            raise Stalled
        self._virtual += max(timeout, 1e-9)
        return []

    def _process_events(self, events: list[Any]) -> None:
        """There are none."""

    def _write_to_self(self) -> None:
        """There is no other thread to wake us."""

    def _run_once(self) -> None:
        self._freeze_the_dead()
        super()._run_once()  # type: ignore[misc]  # asyncio's own, not in the stubs

    def _freeze_the_dead(self) -> None:
        if not self.dead:
            return
        living: deque[Any] = deque()
        for handle in self._ready:  # type: ignore[has-type]  # asyncio's own
            (self.frozen if self._is_dead(handle) else living).append(handle)
        self._ready = living

    def _is_dead(self, handle: Any) -> bool:
        return handle._context.get(PROCESS, 0) in self.dead

    def thaw(self) -> None:
        """Let the dead run again, to be cancelled and forgotten at the end of a world."""
        self.dead.clear()
        self._ready.extend(self.frozen)
        self.frozen.clear()
