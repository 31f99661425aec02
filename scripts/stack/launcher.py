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


def note_pid(home: Path, name: str) -> None:
    """Write pid and start time, so that a later command can tell this process from another."""
    started = Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19]
    (home / "pids" / name).write_text(f"{os.getpid()} {started}")


def main() -> None:
    """Replace this process by the named program of the home folder."""
    parent = os.getppid()
    home, name = Path(sys.argv[1]), sys.argv[2]
    die_with_supervisor(parent)
    allow_open_files()
    note_pid(home, name)
    program = json.loads((home / "programs.json").read_text())[name]
    env = {key: os.environ[key] for key in KEPT if key in os.environ} | program["env"]
    os.chdir(program["folder"])
    os.execvpe(program["argv"][0], program["argv"], env)  # noqa: S606 - no shell is the point


if __name__ == "__main__":
    main()
