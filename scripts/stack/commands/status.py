"""`scripts/status [--json]`: what runs, as supervisord sees it this moment.

In: the home. Out: a table, or `{"processes": [{"name", "pid", "state"}]}` with `pid` null for a
process that has none. Must stay true: changes nothing; the JSON comes also when nothing runs.
Exit code: 0 all run, 3 otherwise (LSB's "not running"); with --json always 0.
"""

import argparse
import json
import sys
from dataclasses import asdict

from scripts.stack.home import CHECKOUT, Home, SetupError
from scripts.stack.supervised.supervision import ProcessState, Supervision


def main() -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(prog="scripts/status", description="Show what runs.")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    home = Home(CHECKOUT / ".run")
    try:
        state = home.load()
        states = sorted(Supervision(home, state).processes(), key=lambda p: p.name)
    except SetupError as error:
        print(error, file=sys.stderr)
        return 1
    if state.compose:
        print("EventHub was started in containers: docker compose ps shows them.", file=sys.stderr)
    if options.json:
        print(json.dumps({"processes": [asdict(state) for state in states]}))
        return 0
    return _show(states)


def _show(states: list[ProcessState]) -> int:
    if not states:
        print("EventHub is not running.")
    for state in states:
        print(f"{state.name:<14} {state.state:<10} {state.pid or '-'}")
    return 0 if states and all(state.state == "RUNNING" for state in states) else 3


if __name__ == "__main__":
    sys.exit(main())
