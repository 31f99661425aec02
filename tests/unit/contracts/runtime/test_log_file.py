"""A process's own log file: bounded, nothing lost at a rotation or at the process's end."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from contracts.runtime.log_file import BACKUPS, LogFile

LOGGING = """
import sys
from pathlib import Path
from contracts.runtime import logs
from contracts.runtime.log_file import log_to
log_to(Path(sys.argv[1]))
logs.configure("order-1")
import logging, structlog
structlog.get_logger("x").info("first")
logging.getLogger("aio_pika").warning("second")
print("third")
"""


def run(script: str, *arguments: str | Path) -> subprocess.CompletedProcess[bytes]:
    """Run a script to its end, whatever that is."""
    return subprocess.run([sys.executable, "-c", script, *arguments], capture_output=True)


def test_all_that_a_process_says_is_in_its_file(tmp_path: Path) -> None:
    """Our lines, the libraries', what is printed, and the traceback that it dies of; nothing on its old outputs."""
    path = tmp_path / "order-1.log"
    done = run(LOGGING + "raise SystemError('the end')", path)
    assert (done.returncode, done.stdout, done.stderr) == (1, b"", b"")
    lines = path.read_text().splitlines()
    assert [json.loads(line)["event"] for line in lines[:2]] == ["first", "second"]
    assert lines[2:4] == ["third", "Traceback (most recent call last):"]
    assert lines[-1] == "SystemError: the end"


def test_a_killed_process_has_written_its_lines(tmp_path: Path) -> None:
    """SIGKILL right after a line, and a crash of the interpreter itself."""
    path = tmp_path / "order-1.log"
    done = run(LOGGING + "import os\nos.kill(os.getpid(), 9)", path)
    assert done.returncode == -signal.SIGKILL
    assert path.read_text().splitlines()[-1] == "third"
    run(LOGGING + "import faulthandler as f\nf.enable()\nf._sigsegv()", path)
    assert "Fatal Python error: Segmentation fault" in path.read_text()
    assert path.read_text().count("third") == 2


ROTATING = """
import sys, threading
from pathlib import Path
from contracts.runtime.log_file import LogFile
file = LogFile(Path(sys.argv[1]), bytes_max=int(sys.argv[2]))
def say(name):
    for number in range(200):
        file.write(b'%d.%d\\n' % (name, number))
threads = [threading.Thread(target=say, args=(name,)) for name in range(2)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
print("at the end", file=sys.stderr)
"""


def test_a_rotation_loses_nothing(tmp_path: Path) -> None:
    """Two threads write over a rotation: every line once, in its thread's order, the last words in the newest file."""
    path = tmp_path / "order-1.log"
    run(ROTATING, path, "1800")
    lines = (tmp_path / "order-1.log.1").read_text().splitlines() + path.read_text().splitlines()
    for name in range(2):
        own = [line for line in lines if line.startswith(f"{name}.")]
        assert own == [f"{name}.{number}" for number in range(200)]
    assert len(lines) == 401
    assert path.read_text().endswith("at the end\n")


def test_files_stay_few_and_small(tmp_path: Path) -> None:
    """However much is written: three files, each a line longer than allowed at the most, private."""
    run(ROTATING, tmp_path / "order-1.log", "100")
    files = list(tmp_path.iterdir())
    assert len(files) == BACKUPS + 1
    assert all(file.stat().st_size <= 100 + len("1.199\nat the end\n") for file in files)
    assert all(file.stat().st_mode & 0o077 == 0 for file in files)


FULL = """
import os, resource, signal, sys
from pathlib import Path
from contracts.runtime.log_file import LogFile
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
file = LogFile(Path(sys.argv[1]))
file.write(b"kept\\n")
resource.setrlimit(resource.RLIMIT_FSIZE, (8, resource.RLIM_INFINITY))
file.write(b"cut off here\\n")
file.write(b"lost\\n")
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)
file.write(b"after\\n")
"""


def test_what_cannot_be_written_harms_nobody_and_is_told(tmp_path: Path) -> None:
    """A file that may not grow: no error reaches the caller; afterwards a line says how much is missing."""
    path = tmp_path / "order-1.log"
    done = run(FULL, path)
    assert done.returncode == 0
    kept, cut, told, after = path.read_text().splitlines()
    assert (kept, cut, after) == ("kept", "cut", "after")
    lost = json.loads(told)
    assert (lost["event"], lost["bytes"]) == ("log lines lost", len("cut off here\nlost\n"))


def test_a_file_that_cannot_be_opened_is_reported_at_once(tmp_path: Path) -> None:
    """A wrong path stops the process before it does anything, its outputs as they were."""
    before = os.fstat(1).st_ino
    with pytest.raises(FileNotFoundError, match="missing"):
        LogFile(tmp_path / "missing" / "order-1.log")
    assert os.fstat(1).st_ino == before
