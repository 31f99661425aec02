"""First step of every command: make sure that what it needs is installed, then run it.

In: a command's name and its arguments. Out: .venv from the lock, Debian packages where servers are
missing, and this process turned into `python -m <the command's module>`. Must stay true: runs on a
bare Python (standard library alone, no package of ours imported); every wheel is checked against its
hash; the packages' own services are never started; installs only what is missing.
"""

import contextlib
import fcntl
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]
VENV = CHECKOUT / ".venv"
PYTHON = VENV / "bin" / "python"
NOTE = VENV / "eventhub-locks.json"
POLICY = Path("/usr/sbin/policy-rc.d")
LOCKS = ("requirements.lock", "requirements-operations.lock", "requirements-dev.lock")
"""Each holds everything that those before it hold."""

# Debian package: (the programs that make it unnecessary, the variable that does).
PACKAGES = {
    "mariadb-server": (("mariadbd", "mysqld"), "MYSQL_URL"),
    "rabbitmq-server": (("rabbitmq-server",), "AMQP_URL"),
    "redis-server": (("redis-server",), "REDIS_URL"),
}


@dataclass(frozen=True)
class Need:
    """What a command needs. lock: name of the lock to install from, None: the bare Python does.

    bare_help: its help can be read before anything is installed.
    """

    module: str
    lock: str | None = "requirements-operations.lock"
    servers: bool = False
    bare_help: bool = True


NEEDS = {
    "up": Need("scripts.stack.commands.up", servers=True),
    "down": Need("scripts.stack.commands.down", lock=None),
    "status": Need("scripts.stack.commands.status", lock=None),
    "scale": Need("scripts.stack.commands.scale"),
    "servers": Need("scripts.stack.private_servers.servers", servers=True),
    "test": Need("scripts.stack.commands.testing", lock="requirements-dev.lock", servers=True),
    "check": Need("scripts.stack.commands.check", lock="requirements-dev.lock"),
    "prove": Need(
        "scripts.proving.prove", lock="requirements-dev.lock", servers=True, bare_help=False
    ),
    "lock": Need("scripts.stack.commands.lock", lock=None),
}
RELEASE = re.compile(r"debian\d+")
"""`scripts/test debian13`: what it needs is installed in the other release, not here."""


class InstallError(Exception):
    """Something cannot be installed; the message says what and what to do."""


def main() -> int:
    """Install, then become the command."""
    command, arguments = sys.argv[1], sys.argv[2:]
    need = NEEDS.get(command, Need(f"scripts.{command}"))
    if command == "test" and arguments and RELEASE.fullmatch(arguments[0]):
        need = Need("scripts.stack.other_release", lock=None)
    elif {"-h", "--help"} & set(arguments) and command in NEEDS and need.bare_help:
        need = Need(need.module, lock=None)  # Reading the help installs nothing.
    try:
        python = install(need)
    except InstallError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130  # A .venv without its note is made anew next time.
    # -P: the caller may stand in another checkout, whose modules must not be taken for ours.
    path = os.pathsep.join(filter(None, (str(CHECKOUT), os.environ.get("PYTHONPATH"))))
    os.environ |= {"PYTHONPATH": path, "PYTHONUNBUFFERED": "1"}
    os.execv(python, [python, "-P", "-m", need.module, *arguments])  # noqa: S606 - no shell is the point


def install(need: Need) -> str:
    """Install what is missing, packages and .venv side by side; return the Python to run with."""
    missing = missing_packages(dict(os.environ)) if need.servers and not containers() else []
    if need.lock is None:
        return sys.executable
    with installing(), ThreadPoolExecutor(1) as pool:
        if not has_ensurepip():  # Debian ships it as a package of its own.
            apt_install(["python3-venv"])
        packages = pool.submit(apt_install, missing) if missing else None
        make_venv(need.lock)
        if packages:
            packages.result()
    return str(PYTHON)


def containers() -> bool:
    """True for `up --compose`: the servers then come as images."""
    return "--compose" in sys.argv[2:]


def missing_packages(environment: dict[str, str]) -> list[str]:
    """Return the Debian packages of the servers that are neither installed nor given by URL."""
    path = os.pathsep.join((environment.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"))
    return [
        package
        for package, (programs, variable) in PACKAGES.items()
        if not environment.get(variable)
        and not any(shutil.which(program, path=path) for program in programs)
    ]


def has_ensurepip() -> bool:
    """True when this Python can make a virtual environment with pip in it."""
    run = subprocess.run([sys.executable, "-m", "ensurepip", "--version"], capture_output=True)
    return run.returncode == 0


def make_venv(lock: str) -> None:
    """Bring .venv to a lock. What a larger lock has installed is never undone."""
    fingerprint = locked(lock)
    noted = installed_locks()
    if noted.get(lock) == fingerprint:
        return
    say(f"installing Python packages from {lock} into .venv")
    if not noted:
        run([sys.executable, "-m", "venv", *(["--clear"] if VENV.exists() else []), str(VENV)])
    pip = [str(PYTHON), "-m", "pip", "--disable-pip-version-check", "--no-input", "install"]
    run([*pip, "--quiet", "--require-hashes", "--requirement", str(CHECKOUT / lock)])
    held = LOCKS[: LOCKS.index(lock) + 1]
    NOTE.write_text(json.dumps({one: locked(one) for one in held}))


def locked(lock: str) -> str:
    """Return the fingerprint of a lock."""
    return hashlib.sha256((CHECKOUT / lock).read_bytes()).hexdigest()


def installed_locks() -> dict[str, str]:
    """Return the fingerprints of the locks in .venv; {} when it is missing, broken or moved here."""
    try:
        noted: dict[str, str] = json.loads(NOTE.read_text())
        prefix = subprocess.run(
            [PYTHON, "-c", "import sys, pip; print(sys.prefix)"], capture_output=True, text=True
        )
    except (OSError, ValueError):
        return {}
    return noted if prefix.stdout.strip() == str(VENV) else {}


def apt_install(packages: list[str]) -> None:
    """Install Debian packages, their services kept from starting.

    Raises InstallError where there is no apt or no right to use it.
    """
    names = " ".join(packages)
    if shutil.which("apt-get") is None or os.geteuid() != 0:
        raise InstallError(
            f"missing: {names}. As root: apt-get install --no-install-recommends {names}\n"
            "(or set MYSQL_URL, AMQP_URL, AMQP_MANAGEMENT_URL, REDIS_URL to servers that you run)"
        )
    say(f"installing {names}")
    apt = ["apt-get", "-qq", "-o", "DPkg::Lock::Timeout=300"]
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    with services_kept_from_starting():
        # An old package list may do, when the mirror cannot be asked for a new one.
        subprocess.run([*apt, "update"], env=environment, capture_output=True, check=False)
        run([*apt, "install", "--yes", "--no-install-recommends", *packages], environment)


@contextlib.contextmanager
def services_kept_from_starting() -> Iterator[None]:
    """Forbid packages to start their services (policy-rc.d), unless the machine has its own rule."""
    if POLICY.exists():
        yield
        return
    POLICY.write_text("#!/bin/sh\nexit 101\n")
    POLICY.chmod(0o755)
    try:
        yield
    finally:
        POLICY.unlink()


@contextlib.contextmanager
def installing() -> Iterator[None]:
    """Let one command of this checkout install at a time."""
    folder = CHECKOUT / ".run"
    folder.mkdir(mode=0o700, exist_ok=True)
    with (folder / "install.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def run(argv: list[str], environment: dict[str, str] | None = None) -> None:
    """Run a step of the installation. Raises InstallError with what it printed when it fails."""
    done = subprocess.run(argv, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        said = f"{done.stdout}\n{done.stderr}".strip()
        raise InstallError(f"this failed: {' '.join(argv)}\n{said[-3000:]}")


def say(text: str) -> None:
    """Tell what takes long, on stderr: stdout belongs to the command."""
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
