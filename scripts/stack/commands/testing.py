"""`scripts/test [unit|integration|clients|...|full] [pytest arguments]`: the tests, on servers of their own.

In: what to run; MYSQL_URL, AMQP_URL, AMQP_MANAGEMENT_URL, REDIS_URL to use servers that run already.
Out: pytest's own output and exit code. Must stay true: servers that were started are stopped and
their data deleted, also after a failure or Ctrl-C; nothing is printed after pytest's closing line.
"""

import contextlib
import fcntl
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from scripts.stack.home import CHECKOUT, Home, SetupError
from scripts.stack.private_servers import servers
from scripts.stack.supervised.programs import PYTHON

HOMES_MAX = 8
WITHOUT_SERVERS = ("tests/unit/", "tests/structure/")
"""Folders whose tests are pure: they run at once, and fail when they reach for a server."""
ALWAYS_FULL = ("clients",)
"""Parts that are left out unless they are asked for: they install tools from registries."""


def main() -> int:
    """Run the command."""
    os.umask(0o077)
    end_on_signals()
    arguments = pytest_arguments(sys.argv[1:])
    try:
        if needs_no_servers(arguments):
            return run_pytest(arguments, {})
        with own_home() as home, running_servers(home) as urls:
            return run_pytest(arguments, urls)
    except (SetupError, OSError) as error:
        print(error, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130


def end_on_signals() -> None:
    """Whatever ends this process is a KeyboardInterrupt: what it started is tidied up."""
    for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        # A background job may inherit SIGINT as ignored.
        signal.signal(signum, signal.default_int_handler)


def pytest_arguments(words: list[str]) -> list[str]:
    """Return what pytest is told: `unit` means tests/unit, `full` (and a part that is full throughout) takes in
    what is left out."""
    paths, rest = [], list(words)
    full = rest[:1] in (["full"], *([part] for part in ALWAYS_FULL))
    if rest[:1] == ["full"]:
        rest = rest[1:]
    while rest and (CHECKOUT / "tests" / rest[0]).is_dir() and not rest[0].startswith((".", "/")):
        paths.append(f"tests/{rest.pop(0)}")
    return [*(["-m", "full or not full"] if full else []), *paths, *rest]


def needs_no_servers(arguments: list[str]) -> bool:
    """True when pytest is told where to look, and all of it is pure."""
    paths = [f"{word}/" for word in arguments if word.startswith("tests")]
    return bool(paths) and all(path.startswith(WITHOUT_SERVERS) for path in paths)


def run_pytest(arguments: Sequence[str], more: Mapping[str, str]) -> int:
    """Its exit code, with `more` in its environment. After Ctrl-C its own ending is waited for: it tears down."""
    process = subprocess.Popen(
        [str(PYTHON), "-m", "pytest", *arguments], cwd=CHECKOUT, env={**os.environ, **more}
    )
    while True:
        try:
            return process.wait()
        except KeyboardInterrupt:
            process.send_signal(signal.SIGINT)


@contextlib.contextmanager
def own_home() -> Iterator[Home]:
    """Yield a home that no other test run of this checkout uses now; it is deleted at the end."""
    for number in range(HOMES_MAX):
        home = Home(CHECKOUT / ".run" / (f"test-{number + 1}" if number else "test"))
        with _free(home) as free:
            if free:
                yield home
                return
    raise SetupError(f"{HOMES_MAX} test runs of this checkout are under way already")


@contextlib.contextmanager
def _free(home: Home) -> Iterator[bool]:
    """Yield whether this home was free; it is ours until the block ends."""
    home.root.mkdir(parents=True, exist_ok=True)
    lock = home.root.with_suffix(".lock")
    with lock.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        yield True


@contextlib.contextmanager
def running_servers(home: Home) -> Iterator[dict[str, str]]:
    """Yield the four URLs: the caller's, and servers of our own for the others."""
    given = servers.given_urls(dict(os.environ))
    if set(given) == set(servers.URLS):
        yield given
        return
    _clear(home)
    home.prepare()
    state = home.load()
    state.urls = given
    try:
        yield servers.start(home, state)
    finally:
        # A second Ctrl-C must not leave servers behind.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        _clear(home)


def _clear(home: Home) -> None:
    """Stop what runs in this home (perhaps of a run that was killed) and delete it."""
    state = home.load()
    servers.stop(home, state)
    shutil.rmtree(home.root, ignore_errors=True)
    if state.sockets and Path(state.sockets) != home.root:
        shutil.rmtree(state.sockets, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
