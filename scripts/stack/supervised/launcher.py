"""Becomes one program: supervisord starts this, and this turns into the real process.

In: home folder, program name (and its digest, which only makes supervisord notice a change).
Out: the same process id, running the program. Must stay true: the environment, secrets included,
travels in a file of mode 0600 and never through an argument or supervisord's configuration; when
supervisord dies, so does the program (SIGTERM), so that nothing is left that nobody watches.
"""

import ctypes
import json
import os
import resource
import signal
import sys
from pathlib import Path

PR_SET_PDEATHSIG = 1
# What every process may know of the caller's environment.
KEPT = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR", "SSL_CERT_FILE", "SSL_CERT_DIR")


def die_with_supervisor(parent: int) -> None:
    """Ask Linux for a SIGTERM when the parent ends; leave at once if it already has."""
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    if os.getppid() != parent:
        sys.exit("supervisord has gone")


def allow_open_files(most: int = 65_536) -> None:
    """Raise the limit on open files, sockets included, as far as the machine lets us."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = most if hard == resource.RLIM_INFINITY else min(hard, most)
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def write_to(log: str) -> None:
    """Let all that is printed from here on, the interpreter's last words included, go to the end of this file."""
    file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    for stream in (1, 2):
        os.dup2(file, stream)
    os.close(file)


def note_pid(home: Path, name: str) -> None:
    """Write pid and start time, so that a later command can tell this process from another."""
    started = Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19]
    # In one step: whoever looks just now sees the old one or this one, never half of it.
    fresh = home / f"{name}.pid"
    fresh.write_text(f"{os.getpid()} {started}")
    fresh.rename(home / "pids" / name)


def main() -> None:
    """Replace this process by the named program of the home folder."""
    parent = os.getppid()
    home, name = Path(sys.argv[1]), sys.argv[2]
    die_with_supervisor(parent)
    program = json.loads((home / "programs.json").read_text())[name]
    if program.get("log"):
        write_to(program["log"])
    allow_open_files()
    note_pid(home, name)
    env = {key: os.environ[key] for key in KEPT if key in os.environ} | program["env"]
    os.chdir(program["folder"])
    os.execvpe(program["argv"][0], program["argv"], env)  # noqa: S606 - no shell is the point


if __name__ == "__main__":
    main()
