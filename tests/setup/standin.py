"""A checkout with EventHub's scripts and, in place of its processes, ones that only answer /readyz.

In: a folder. Out: a checkout in which scripts/up works within seconds. Must stay true: the scripts
are the real ones, copied; a stand-in shows at /env what it was told, so that tests can see it.
"""

import json
import os
import shutil
import subprocess
import threading
import time
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from workers import KINDS

REPOSITORY = Path(__file__).resolve().parents[2]

PROCESS = '''"""Stand-in: answers /readyz, and /env with what it was told."""
import http.server, json, os, signal, socket, sys

class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = {"/readyz": {"status": "ready"}, "/env": dict(os.environ)}[self.path]
        self.send_response(503 if os.environ.get("EVENTHUB_STANDIN") == "unready" else 200)
        self.end_headers()
        self.wfile.write(json.dumps(body).encode())

    def log_message(self, *words):
        pass

signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
if os.environ.get("EVENTHUB_STANDIN") == "broken":
    sys.exit("stand-in: refusing to start, as told")
if os.environ["EVENTHUB_PROCESS"].startswith("gateway"):
    door = socket.create_server(("0.0.0.0", int(os.environ["EVENTHUB_PORT"])), reuse_port=True)
print("stand-in", os.environ["EVENTHUB_PROCESS"], "listens", flush=True)
http.server.HTTPServer(("127.0.0.1", int(os.environ["EVENTHUB_HEALTH_PORT"])), Handler).serve_forever()
'''

STEP = '''"""Stand-in: notes that it ran."""
import os, sys
with open("steps.txt", "a") as file:
    print(sys.argv[0], os.environ.get("EVENTHUB_ADMIN_EMAIL", ""), file=file)
'''


@dataclass(frozen=True)
class Checkout:
    """One checkout and how to run its scripts. own_servers: hide from them the URLs that we were given."""

    root: Path
    own_servers: bool = False

    def _environment(self, settings: dict[str, str]) -> dict[str, str]:
        hidden = (
            ("EVENTHUB_", "MYSQL_URL", "AMQP_", "REDIS_URL") if self.own_servers else ("EVENTHUB_",)
        )
        ours = {key: value for key, value in os.environ.items() if not key.startswith(hidden)}
        return ours | settings

    def run(
        self, script: str, *arguments: str, **settings: str
    ) -> subprocess.CompletedProcess[str]:
        """Run a script to its end, its variables being ours plus `settings`."""
        return subprocess.run(
            [self.root / "scripts" / script, *arguments],
            env=self._environment(settings),
            capture_output=True,
            text=True,
            timeout=100,
            stdin=subprocess.DEVNULL,
            check=False,
        )

    def start(self, script: str, *arguments: str, **settings: str) -> subprocess.Popen[str]:
        """Start a script and leave it running; its output is one pipe."""
        return subprocess.Popen(
            [self.root / "scripts" / script, *arguments],
            env=self._environment(settings),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def up(self, **settings: str) -> subprocess.CompletedProcess[str]:
        """Run `up --detach`, which has to succeed."""
        done = self.run("up", "--detach", **settings)
        assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
        return done

    def pids(self) -> dict[str, int | None]:
        """Return name -> pid from `status --json`."""
        shown = json.loads(self.run("status", "--json").stdout)
        return {process["name"]: process["pid"] for process in shown["processes"]}

    def state(self) -> dict[str, Any]:
        """Return what the home remembers."""
        return json.loads((self.root / ".run" / "state.json").read_text())

    def environment_of(self, name: str) -> dict[str, str]:
        """Return what a stand-in was told."""
        with urllib.request.urlopen(
            f"http://127.0.0.1:{self.state()['ports'][name]}/env"
        ) as answer:
            return json.load(answer)


def eventually(condition: Callable[[], bool], what: str, seconds: float = 30) -> None:
    """Wait until the condition holds; fail with `what` when it does not within the time."""
    deadline, pause = time.monotonic() + seconds, threading.Event()
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        pause.wait(0.05)


def runs(pid: int) -> bool:
    """True when the process is there and no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def make(root: Path) -> Checkout:
    """Lay out a checkout at `root`: real scripts, the repository's .venv, stand-ins for the rest."""
    checkout = _scripts(root)
    modules = {"gateway": PROCESS} | {f"workers/{worker}": PROCESS for worker in KINDS}
    for module, text in modules.items():
        _write(root / module / "__main__.py", text)
    _write(root / "db" / "migrate.py", STEP)
    _write(root / "gateway" / "first_admin.py", STEP)
    return checkout


def make_real(root: Path) -> Checkout:
    """Lay out a checkout at `root` with EventHub's own processes."""
    checkout = _scripts(root, own_servers=True)
    for package in ("contracts", "db", "gateway", "workers"):
        shutil.copytree(REPOSITORY / package, root / package, ignore=CACHES)
    return checkout


CACHES = shutil.ignore_patterns("__pycache__")


def _scripts(root: Path, *, own_servers: bool = False) -> Checkout:
    root.mkdir(parents=True)
    shutil.copytree(REPOSITORY / "scripts", root / "scripts", ignore=CACHES)
    for name in ("requirements.lock", "requirements-dev.lock", "pyproject.toml"):
        shutil.copy(REPOSITORY / name, root)
    (root / ".venv").symlink_to(REPOSITORY / ".venv")
    return Checkout(root, own_servers)


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
