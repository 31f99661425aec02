"""supervisord as this home's parent of all processes: configure, start, ask, change, stop.

In: Programs. Out: processes, and what supervisord says of them. Must stay true: only what changed
is stopped or started; stopping goes against the order of ranks; processes left over from a
supervisord that was killed are found by pid and start time, so that nobody else's is ever hit.
"""

import contextlib
import http.client
import json
import os
import pwd
import signal
import socket
import subprocess
import time
import xmlrpc.client
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scripts.stack.home import Home, SetupError, State, read_json, write_private
from scripts.stack.supervised.programs import PYTHON, Program, render

STOPPED = {"STOPPED", "EXITED", "FATAL"}
GRACE_SECONDS = 15
STARTS_MAX = 3
REMOVE_TRIES = 5


@dataclass(frozen=True)
class ProcessState:
    """One supervised process. state: supervisord's word (RUNNING, BACKOFF, FATAL ...)."""

    name: str
    pid: int | None
    state: str


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=30)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


class _UnixTransport(xmlrpc.client.Transport):
    def __init__(self, path: str) -> None:
        super().__init__()
        self._path = path

    def make_connection(self, host: Any) -> _UnixConnection:
        return _UnixConnection(self._path)


class Supervision:
    """The supervisord of one home."""

    def __init__(self, home: Home, state: State) -> None:
        self.home = home
        self.sockets = Path(state.sockets or home.root)
        self.socket = self.sockets / "supervisor.sock"
        self._starts: dict[str, set[int]] = {}

    def call(self, method: str, *arguments: object) -> Any:
        """Call one of supervisord's XML-RPC methods.

        Raises OSError when it does not run, xmlrpc.client.Fault when it refuses.
        """
        proxy = xmlrpc.client.ServerProxy("http://supervisor", _UnixTransport(str(self.socket)))
        return getattr(proxy.supervisor, method)(*arguments)

    def alive(self) -> bool:
        """True when supervisord answers."""
        try:
            self.call("getState")
        except (OSError, http.client.HTTPException):
            return False
        return True

    def processes(self) -> list[ProcessState]:
        """Return what runs, empty when supervisord does not."""
        try:
            infos = self.call("getAllProcessInfo")
        except (OSError, http.client.HTTPException):
            return []
        return [ProcessState(i["name"], i["pid"] or None, i["statename"]) for i in infos]

    def doomed(self, name: str) -> str | None:
        """Say why waiting for a process is of no use, None while it may still come.

        Asked again and again: it counts how often the process was started meanwhile.
        """
        for process in self.processes():
            if process.name == name:
                if process.pid:
                    self._starts.setdefault(name, set()).add(process.pid)
                if process.state == "FATAL" or len(self._starts.get(name, ())) >= STARTS_MAX:
                    return "it ends again and again"
        return None

    def apply(self, programs: list[Program], keep_others: bool = False) -> list[str]:
        """Make these programs run; return the names of those (re)started or stopped.

        Others end, unless `keep_others`: then those that are supervised now stay as they are.
        """
        alive = self.alive()
        self._configure(programs, read_json(self.home.programs) if keep_others and alive else {})
        if not alive:
            self._start()
            return [program.name for program in programs]
        added, changed, removed = self.call("reloadConfig")[0]
        self._remove([*changed, *removed])
        revived = self._revive()
        for name in [*changed, *added]:
            self.call("addProcessGroup", name)
        return [*changed, *removed, *added, *revived]

    def _remove(self, names: list[str]) -> None:
        """Stop and forget; one that ended by itself may be started again just in between: then once more."""
        left = names
        for _ in range(REMOVE_TRIES):
            self.stop(left)
            left = [name for name in left if not self._unless_refused("removeProcessGroup", name)]
            if not left:
                return
        raise SetupError(f"these processes do not stop: {', '.join(left)}")

    def stop(self, names: list[str], deadline_seconds: float = 75) -> None:
        """Stop these processes, all at once, and wait until they have ended."""
        for name in names:
            self._unless_refused("stopProcess", name, False)
        deadline = time.monotonic() + deadline_seconds
        while [p for p in self.processes() if p.name in names and p.state not in STOPPED]:
            if time.monotonic() > deadline:
                raise SetupError(f"these processes do not stop: {', '.join(names)}")
            time.sleep(0.05)

    def settle(self, seconds: float = 10) -> None:
        """Wait until supervisord counts no process as starting any more."""
        deadline = time.monotonic() + seconds
        while any(p.state == "STARTING" for p in self.processes()) and time.monotonic() < deadline:
            time.sleep(0.05)

    def shut_down(self, ranks: dict[str, int]) -> None:
        """Stop every process, highest rank first, then supervisord, then what was left over."""
        names = [process.name for process in self.processes()]
        for rank in sorted({ranks.get(name, 9) for name in names}, reverse=True):
            self.stop([name for name in names if ranks.get(name, 9) == rank])
        if self.alive():
            pid = self.call("getPID")
            self.call("shutdown")
            _await_end([(pid, _started(pid))], GRACE_SECONDS)
        self.end_leftovers()

    def end_leftovers(self) -> None:
        """End processes of this home that outlived their supervisord; SIGKILL after 15 s."""
        left = [entry for entry in self._noted() if _runs(*entry)]
        for signum in (signal.SIGTERM, signal.SIGKILL):
            for pid, _ in left:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signum)
            left = _await_end(left, GRACE_SECONDS)

    def _noted(self) -> list[tuple[int, str]]:
        files = self.home.pids.glob("*") if self.home.pids.exists() else []
        entries = [file.read_text().split() for file in files]
        return [(int(entry[0]), entry[1]) for entry in entries if len(entry) == 2]

    def _revive(self) -> list[str]:
        """Start again what gave up or is waiting for its next try."""
        down = [p.name for p in self.processes() if p.state in {*STOPPED, "BACKOFF"}]
        self.stop(down)
        return [name for name in down if self._unless_refused("startProcess", name, False)]

    def _unless_refused(self, method: str, *arguments: object) -> bool:
        """Call; False when supervisord refuses, e.g. to stop what does not run."""
        try:
            self.call(method, *arguments)
        except xmlrpc.client.Fault:
            return False
        return True

    def _start(self) -> None:
        self.end_leftovers()
        scrubbed = {
            key: value
            for key, value in os.environ.items()
            if not key.startswith(("EVENTHUB_", "SUPERVISOR_")) and not key.endswith("_URL")
        }
        conf = str(self.home.supervisor_conf)
        argv = [str(PYTHON), "-P", "-m", "supervisor.supervisord", "-c", conf]
        run = subprocess.run(
            argv, cwd=self.home.root, env=scrubbed, capture_output=True, text=True, check=False
        )
        deadline = time.monotonic() + 15
        while run.returncode == 0 and time.monotonic() < deadline:
            if self.alive():
                pid = self.call("getPID")
                write_private(self.home.pids / "supervisord", f"{pid} {_started(pid)}")
                return
            time.sleep(0.05)
        raise SetupError(f"supervisord does not start: {run.stdout}{run.stderr}")

    def _configure(self, programs: list[Program], kept: dict[str, Any]) -> None:
        launches = kept | {program.name: program.launch(self.home) for program in programs}
        write_private(self.home.programs, json.dumps(launches, indent=1))
        sections = [launch["section"] for launch in launches.values()]
        write_private(self.home.supervisor_conf, self._head() + "".join(sections))

    def _head(self) -> str:
        """Return the sections besides the programs'; paths are relative to the home."""
        factory = "supervisor.rpcinterface:make_main_rpcinterface"
        main = {
            "logfile": "logs/supervisord.log",
            "logfile_maxbytes": "5MB",
            "logfile_backups": "1",
            "pidfile": "supervisord.pid",
            "user": pwd.getpwuid(os.getuid()).pw_name,
            "umask": "077",
        }
        return (
            render("unix_http_server", {"file": str(self.socket), "chmod": "0600"})
            + render("supervisord", main)
            + render("rpcinterface:supervisor", {"supervisor.rpcinterface_factory": factory})
        )


def _started(pid: int) -> str:
    """Return the start time of a process in clock ticks since boot, "" when it does not run."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if fields[0] == "Z" else fields[19]


def _runs(pid: int, started: str) -> bool:
    return bool(started) and _started(pid) == started


def _await_end(entries: list[tuple[int, str]], seconds: float) -> list[tuple[int, str]]:
    """Wait until these have ended; return those that still run when the time is over."""
    deadline = time.monotonic() + seconds
    while entries and time.monotonic() < deadline:
        entries = [entry for entry in entries if _runs(*entry)]
        if entries:
            time.sleep(0.05)
    return entries
