"""`up --compose`: the same system in containers, by Docker Compose.

In: the home's secrets and settings. Out: `.env` beside docker-compose.yml (mode 0600) and running
containers. Must stay true: no secret has a default in docker-compose.yml; a `.env` that somebody
wrote by hand keeps every line it has.
"""

import shutil
import subprocess

from scripts.stack import accounts
from scripts.stack.home import CHECKOUT, Home, SetupError, write_private
from scripts.stack.supervised import processes
from scripts.stack.supervised.supervision import Supervision

ENV_FILE = CHECKOUT / ".env"


def up(home: Home, *, detach: bool) -> int:
    """Write `.env`, then build and start everything. Returns Compose's exit code."""
    command = _docker()
    with home.lock():
        write_env(home)
        state = home.load()
        if Supervision(home, state).alive():
            raise SetupError("EventHub runs without containers; stop it first by scripts/down")
        state.compose = True
        home.save(state)
    waiting = ["--detach", "--wait"] if detach else []
    return subprocess.run(
        [*command, "up", "--build", *waiting], cwd=CHECKOUT, check=False
    ).returncode


def down(home: Home, *, purge: bool) -> int:
    """Stop the containers; with purge their volumes go, too. Returns Compose's exit code."""
    options = ["--volumes"] if purge else []
    done = subprocess.run([*_docker(), "down", *options], cwd=CHECKOUT, check=False)
    if done.returncode == 0:
        state = home.load()
        state.compose = False
        home.save(state)
    return done.returncode


def write_env(home: Home) -> None:
    """Add to `.env` the secrets that docker-compose.yml requires and that are not there yet."""
    lines = ENV_FILE.read_text().splitlines() if ENV_FILE.exists() else []
    there = {line.partition("=")[0].strip() for line in lines}
    secrets = home.secrets()
    wanted = {
        "MYSQL_PASSWORD": secrets["mysqlPassword"],
        "MYSQL_ROOT_PASSWORD": secrets["mysqlRootPassword"],
        "AMQP_PASSWORD": secrets["amqpPassword"],
        "REDIS_PASSWORD": secrets["redisPassword"],
        "EVENTHUB_SECRET": secrets["secret"],
        "EVENTHUB_JWT_KEYS": secrets["jwtKeys"],
        **{name: secrets[kept] for name, kept in processes.ADMIN.items()},
        **{f"{kind.upper()}_PASSWORD": accounts.password(secrets, kind) for kind in accounts.KINDS},
    }
    lines += [f"{name}={value}" for name, value in wanted.items() if name not in there]
    write_private(ENV_FILE, "\n".join(lines) + "\n")


def _docker() -> list[str]:
    if shutil.which("docker"):
        plugin = subprocess.run(["docker", "compose", "version"], capture_output=True, check=False)
        if plugin.returncode == 0:
            return ["docker", "compose"]
    raise SetupError(
        "Docker with its Compose plugin is not installed; without --compose none is needed"
    )
