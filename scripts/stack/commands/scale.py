"""`scripts/scale inventory=4 gateway=2`: how many processes of each kind run.

In: kinds and counts. Out: processes started or stopped. Must stay true: only what the counts change
starts or stops; the counts hold for every later `up`.
"""

import argparse
import sys

from scripts.stack.commands import up
from scripts.stack.home import CHECKOUT, Home, SetupError
from scripts.stack.supervised import processes
from scripts.stack.supervised.supervision import Supervision


def main() -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(prog="scripts/scale", description="Change how many run.")
    parser.add_argument(
        "counts",
        nargs="+",
        type=_count,
        metavar="KIND=COUNT",
        help=f"KIND: {', '.join(processes.KINDS)}; COUNT: 0 to {processes.MOST}",
    )
    counts = dict(parser.parse_args().counts)
    home = Home(CHECKOUT / ".run")
    try:
        return scale(home, counts)
    except (SetupError, OSError) as error:
        print(error, file=sys.stderr)
        return 1


def _count(text: str) -> tuple[str, int]:
    kind, _, number = text.partition("=")
    if kind not in processes.KINDS:
        raise argparse.ArgumentTypeError(f"{kind!r} is none of {', '.join(processes.KINDS)}")
    if not number.isdecimal() or int(number) > processes.MOST:
        raise argparse.ArgumentTypeError(f"{text!r}: a count is 0 to {processes.MOST}")
    return kind, int(number)


def scale(home: Home, counts: dict[str, int]) -> int:
    """Remember the counts, and apply them where the system runs."""
    with home.lock():
        state = home.load()
        state.counts.update(counts)
        home.save(state)
        running = {p.name for p in Supervision(home, state).processes() if p.pid}
        if not running:
            print("EventHub is not running; the next scripts/up starts that many.")
            return 0
        changed = up.start_processes(home, state, running)
    print(f"started or stopped: {', '.join(changed)}" if changed else "nothing to change")
    return 0


if __name__ == "__main__":
    sys.exit(main())
