"""A process's log as a file of its own that stays small: nobody stands between the line and the file.

In: whole lines, a path. Out: `path`, and up to two older files `path.1`, `path.2`, of some 10 MB each.
Must stay true: a line that was written is in a file, also when the process is killed right after; what the interpreter
says at its end (a traceback, a fatal error) lands in the same file; a rotation loses nothing; a disk that is full
costs lines, which are counted in the log, and never the work that they speak of.

One process writes one file: the rotation is its own and needs no signal, no copying and no second process.
"""

import io
import os
import sys
import threading
from logging.handlers import RotatingFileHandler
from pathlib import Path

import orjson

BYTES_MAX = 10_000_000
"""A file that has grown larger is followed by a new one before the next line."""
BACKUPS = 2
_STREAMS = (1, 2)
_MODE = 0o600


class LogFile(io.RawIOBase):
    """Standard output and standard error of this process as one file, opened and rotated here."""

    def __init__(self, path: Path, bytes_max: int = BYTES_MAX) -> None:
        """Raises OSError when the file cannot be opened."""
        self._path, self._bytes_max = path, bytes_max
        self._lock = threading.Lock()
        self._lost_bytes = 0
        self._open()

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        """Standard output's."""
        return _STREAMS[0]

    def write(self, lines: bytes, /) -> int:  # type: ignore[override]  # any buffer there, bytes here
        """Write whole lines at once. Never raises: what cannot be written is counted and told later."""
        with self._lock:
            try:
                if os.fstat(_STREAMS[0]).st_size > self._bytes_max:
                    self._rotate()
                self._write(self._told() + lines if self._lost_bytes else lines)
                self._lost_bytes = 0
            except OSError:
                self._lost_bytes += len(lines)
        return len(lines)

    def _write(self, lines: bytes) -> None:
        rest = memoryview(lines)
        while rest:
            rest = rest[os.write(_STREAMS[0], rest) :]

    def _told(self) -> bytes:
        """A line on what was lost, on a new line: the last one may have been cut off."""
        said = {"event": "log lines lost", "level": "error", "bytes": self._lost_bytes}
        return b"\n" + orjson.dumps(said, option=orjson.OPT_APPEND_NEWLINE)

    def _rotate(self) -> None:
        RotatingFileHandler(self._path, backupCount=BACKUPS, delay=True).doRollover()
        self._open()

    def _open(self) -> None:
        opened = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, _MODE)
        for stream in _STREAMS:
            os.dup2(opened, stream)
        os.close(opened)


def log_to(path: Path | None) -> None:
    """From now on everything that this process prints goes to the file; None: leave it as it is.

    Call before `contracts.runtime.logs.configure`. Raises OSError when the file cannot be opened.
    """
    if path is None:
        return
    sys.stdout.flush()
    # Raw below the text on purpose: nothing waits in a buffer.
    sys.stdout = io.TextIOWrapper(LogFile(path), encoding="utf-8", write_through=True)
