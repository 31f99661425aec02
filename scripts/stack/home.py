"""The home folder of one running system: where everything is, and what is remembered of it.

In: a folder. Out: its paths, its State (ports, counts, settings) and its secrets, kept as JSON.
Must stay true: files are written whole or not at all, with mode 0600; secrets are made once, from
the system's random source, and never change unless the caller gives others.
"""

import contextlib
import fcntl
import json
import os
import secrets
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

CHECKOUT = Path(__file__).resolve().parents[2]
# A unix socket's path has room for 107 bytes, and supervisord appends its pid while it binds.
LONGEST_SOCKET_FOLDER = 72


class SetupError(Exception):
    """Set-up cannot go on; the message says why and what to do, ready to be shown."""


@dataclass
class State:
    """What a home remembers between commands.

    ports: port by name of its user. counts: how many of each EventHub process. settings: the
    EVENTHUB_* variables of the last `up`. urls: the servers that the caller gave instead of ours.
    node: name of the RabbitMQ node. sockets: folder of unix sockets. compose: runs in containers.
    """

    ports: dict[str, int] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)
    settings: dict[str, str] = field(default_factory=dict)
    urls: dict[str, str] = field(default_factory=dict)
    node: str = ""
    sockets: str = ""
    sources: str = ""
    compose: bool = False


@dataclass(frozen=True)
class Home:
    """Paths below one home folder. `root` is absolute."""

    root: Path

    @property
    def logs(self) -> Path:
        """Folder of `<process>.log`."""
        return self.root / "logs"

    @property
    def pids(self) -> Path:
        """Folder of `<process>`, each holding the pid and start time of what was started last."""
        return self.root / "pids"

    @property
    def programs(self) -> Path:
        """The programs with their environment (secret: mode 0600), read by the launcher."""
        return self.root / "programs.json"

    @property
    def supervisor_conf(self) -> Path:
        """Configuration of supervisord; holds no secret."""
        return self.root / "supervisord.conf"

    def prepare(self) -> None:
        """Make the folder, closed to other users."""
        for folder in (self.root, self.logs, self.pids):
            folder.mkdir(parents=True, exist_ok=True)
            folder.chmod(0o700)

    def load(self) -> State:
        """Return the remembered state, or a fresh one."""
        known = {f.name for f in fields(State)}
        data = read_json(self.root / "state.json")
        return State(**{name: value for name, value in data.items() if name in known})

    def save(self, state: State) -> None:
        """Remember the state."""
        write_private(self.root / "state.json", json.dumps(asdict(state), indent=1))

    def secrets(self) -> dict[str, str]:
        """Return the secrets of this system; those that are missing are made and kept."""
        path = self.root / "secrets.json"
        kept: dict[str, str] = read_json(path)
        made = {**new_secrets(), **kept}
        if made != kept:
            write_private(path, json.dumps(made, indent=1))
        return made

    def keep_secrets(self, changed: dict[str, str]) -> None:
        """Keep secrets that the caller chose in place of the generated ones."""
        kept = self.secrets()
        if any(kept.get(name) != value for name, value in changed.items()):
            write_private(self.root / "secrets.json", json.dumps({**kept, **changed}, indent=1))

    def socket_folder(self, state: State) -> Path:
        """Return a private folder whose path is short enough for unix sockets; keep it in state."""
        if len(os.fsencode(self.root)) <= LONGEST_SOCKET_FOLDER:
            state.sockets = str(self.root)
        elif not _is_private(state.sockets):
            state.sockets = tempfile.mkdtemp(prefix="eventhub-", dir=_short_parent())
        return Path(state.sockets)

    @contextlib.contextmanager
    def lock(self, name: str = "setup") -> Iterator[None]:
        """Let one command at a time change this home; the others wait."""
        self.prepare()
        with (self.root / f"{name}.lock").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield


def new_secrets() -> dict[str, str]:
    """Make a full set: passwords (24 random bytes), master secret and signing key (32 each)."""
    return {
        "mysqlPassword": secrets.token_urlsafe(24),
        "mysqlRootPassword": secrets.token_urlsafe(24),
        "amqpPassword": secrets.token_urlsafe(24),
        "redisPassword": secrets.token_urlsafe(24),
        "accountsKey": secrets.token_urlsafe(32),
        "erlangCookie": secrets.token_hex(16),
        "secret": secrets.token_urlsafe(32),
        "jwtKeys": f"k{secrets.token_hex(3)}:{secrets.token_urlsafe(32)}",
        "adminEmail": "admin@eventhub.example",
        "adminPassword": secrets.token_urlsafe(18),
    }


def read_json(path: Path) -> dict[str, Any]:
    """Return the JSON object in a file, {} when there is none.

    Raises SetupError when the file is there but is no JSON object.
    """
    try:
        data = json.loads(path.read_text())
    except FileNotFoundError:
        return {}
    except ValueError as error:
        raise SetupError(
            f"{path} is damaged ({error}); `scripts/down --purge` resets it"
        ) from error
    if not isinstance(data, dict):
        raise SetupError(f"{path} is damaged (no JSON object); `scripts/down --purge` resets it")
    return data


def write_private(path: Path, text: str, mode: int = 0o600) -> None:
    """Replace a file as a whole; nobody but its owner can read it at any moment."""
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    with os.fdopen(handle, "w") as file:
        os.fchmod(file.fileno(), mode)
        file.write(text)
    Path(temporary).replace(path)


def _is_private(folder: str) -> bool:
    """True when the folder is there, ours alone and no symbolic link somebody else laid."""
    if not folder or not Path(folder).is_dir() or Path(folder).is_symlink():
        return False
    status = Path(folder).stat()
    return status.st_uid == os.getuid() and status.st_mode & 0o077 == 0


def _short_parent() -> str:
    runtime = os.environ.get("XDG_RUNTIME_DIR", "")
    return runtime if len(runtime) <= 40 and _is_private(runtime) else "/tmp"  # noqa: S108 - mkdtemp makes its own private folder
