"""A program: one supervised process, as data.

In: what the server and process modules say. Out: supervisord's section for it and what the launcher
needs. Must stay true: the section holds no secret, only a digest; a program whose command,
environment or sources changed has another digest, so that supervisord restarts it and nothing else.
"""

import hashlib
import json
import shlex
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from scripts.stack.home import CHECKOUT, Home

LAUNCHER = CHECKOUT / "scripts" / "stack" / "supervised" / "launcher.py"
PYTHON = CHECKOUT / ".venv" / "bin" / "python"


@dataclass(frozen=True)
class Program:
    """One process. `env` holds all that it gets beyond PATH, HOME and the locale.

    rank: 1 starts first and stops last. stop_seconds: how long it may take after SIGTERM.
    stamp: what else calls for a restart when it changes, e.g. the fingerprint of the sources.
    keeps_log: it writes and rotates its log file itself, so that supervisord need not copy its lines.
    """

    name: str
    argv: tuple[str, ...]
    env: dict[str, str] = field(default_factory=dict)
    folder: Path = CHECKOUT
    rank: int = 9
    stop_seconds: int = 15
    stamp: str = ""
    keeps_log: bool = False

    def digest(self) -> str:
        """Return a fingerprint of everything that a restart would change."""
        said = json.dumps([self.argv, sorted(self.env.items()), str(self.folder), self.stamp])
        return hashlib.sha256(said.encode()).hexdigest()[:24]

    def launch(self, home: Home) -> dict[str, Any]:
        """Return what the launcher needs (argv, env, folder, log), and the section to keep with it."""
        path = home.logs / f"{self.name}.log"
        told = {"EVENTHUB_LOG_FILE": str(path)} if self.keeps_log else {}
        return {
            "argv": self.argv,
            "env": self.env | told,
            "folder": str(self.folder),
            "log": str(path) if self.keeps_log else None,
            "section": self.section(home),
        }

    def section(self, home: Home) -> str:
        """Return supervisord's section for this program."""
        command = (PYTHON, "-IS", LAUNCHER, home.root, self.name, self.digest())
        lines = {
            "command": shlex.join(str(part) for part in command),
            "directory": str(self.folder),
            "autorestart": "true",
            "startsecs": "1",
            "startretries": "1000000",
            "stopsignal": "TERM",
            "stopwaitsecs": str(self.stop_seconds),
            "killasgroup": "true",
            "priority": str(self.rank),
            "redirect_stderr": "true",
            # Relative to the home, where supervisord runs: it would read a `%` in a path as a format.
            "stdout_logfile": "NONE" if self.keeps_log else f"logs/{self.name}.log",
            "stdout_logfile_maxbytes": "10MB",
            "stdout_logfile_backups": "2",
        }
        return render(f"program:{self.name}", lines)


def render(title: str, lines: dict[str, str]) -> str:
    """Return one section of supervisord's configuration; `%` has to be doubled there."""
    body = "".join(f"{key}={value.replace('%', '%%')}\n" for key, value in lines.items())
    return f"[{title}]\n{body}\n"
