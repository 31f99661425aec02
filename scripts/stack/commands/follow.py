"""Shows the logs of EventHub's processes while they are written.

In: a home. Out: lines on stdout, each with its process's name before it. Must stay true: ends by
itself when the system is stopped from elsewhere; survives that a log is rotated.
"""

import time
from pathlib import Path

from scripts.stack.home import Home
from scripts.stack.supervised.processes import KINDS
from scripts.stack.supervised.supervision import Supervision

PAUSE_SECONDS = 0.25
ALIVE_EVERY_SECONDS = 2.0


class Tail:
    """One log file, read as it grows."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._inode, self._offset = self._identity()
        self._rest = ""

    def lines(self) -> list[str]:
        """Return the whole lines written since the last call."""
        inode, size = self._identity()
        if inode != self._inode or size < self._offset:  # Rotated: begin with the new file.
            self._inode, self._offset = inode, 0
        if size == self._offset:
            return []
        with self.path.open(errors="replace") as file:
            file.seek(self._offset)
            text = self._rest + file.read()
            self._offset = file.tell()
        *whole, self._rest = text.split("\n")
        return whole

    def _identity(self) -> tuple[int, int]:
        try:
            status = self.path.stat()
        except FileNotFoundError:
            return 0, 0
        return status.st_ino, status.st_size


def follow(home: Home) -> None:
    """Print the logs until supervisord has gone (KeyboardInterrupt is the caller's)."""
    supervision = Supervision(home, home.load())
    tails: dict[str, Tail] = {}
    asked = time.monotonic()
    while True:
        for path in home.logs.glob("*.log"):
            if path.stem.rpartition("-")[0] in KINDS:
                tails.setdefault(path.stem, Tail(path))
        for name, tail in sorted(tails.items()):
            for line in tail.lines():
                print(f"{name:<12} {line}", flush=True)
        if time.monotonic() - asked > ALIVE_EVERY_SECONDS:
            asked = time.monotonic()
            if not supervision.alive():
                print("EventHub was stopped.")
                return
        time.sleep(PAUSE_SECONDS)
