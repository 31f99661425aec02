"""`scripts/down`: stops what `scripts/up` of this checkout started, and nothing else.

In: the home's record of what runs. Out: no process left. Must stay true: data stays, unless --purge;
EventHub's processes end before the servers that they use; nothing is signalled that we did not start.
"""

import argparse
import shutil
import sys

from scripts.stack.commands import compose
from scripts.stack.home import CHECKOUT, Home, SetupError
from scripts.stack.private_servers import servers
from scripts.stack.supervised.supervision import Supervision

NOT_OURS = ("test", "servers", "debian")
"""Homes of other commands inside `.run`: they come and go on their own."""


def main() -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(prog="scripts/down", description="Stop EventHub.")
    parser.add_argument("--purge", action="store_true", help="delete data, settings and secrets")
    options = parser.parse_args()
    home = Home(CHECKOUT / ".run")
    try:
        return _down(home, options.purge)
    except (SetupError, OSError) as error:
        print(error, file=sys.stderr)
        return 1


def _down(home: Home, purge: bool) -> int:
    if not home.root.exists():
        print("EventHub is not running.")
        return 0
    with home.lock():
        state = home.load()
        if state.compose:
            return compose.down(home, purge=purge)
        names = [process.name for process in Supervision(home, state).processes()]
        servers.stop(home, state)
        print(f"stopped {', '.join(names)}" if names else "EventHub is not running.")
        if purge:
            _purge(home, state.sockets)
    return 0


def _purge(home: Home, sockets: str) -> None:
    for path in home.root.iterdir():
        if path.name.startswith(NOT_OURS) or path.suffix == ".lock":
            continue
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()
    if sockets and sockets != str(home.root):
        shutil.rmtree(sockets, ignore_errors=True)
    print("deleted all data")


if __name__ == "__main__":
    sys.exit(main())
