"""`scripts/check`: everything that can be said of the code without running it.

In: the checkout. Out: what each tool found, and one closing line. Must stay true: changes no file;
one tool's findings never hide another's. Exit code: 0 when nobody found anything, else 1.
"""

import argparse
import subprocess
import sys

from scripts.stack.home import CHECKOUT
from scripts.stack.supervised.programs import PYTHON

STEPS = {
    "format": ("ruff", "format", "--check", "--quiet", "."),
    "lint": ("ruff", "check", "--quiet", "."),
    "types": ("mypy",),
    "structure": ("scripts.structure",),
}


def main() -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(prog="scripts/check", description="Check the code.")
    parser.add_argument(
        "steps", nargs="*", metavar="STEP", help=f"of {', '.join(STEPS)}; none: all"
    )
    chosen = parser.parse_args().steps or list(STEPS)
    unknown = set(chosen) - set(STEPS)
    if unknown:
        parser.error(f"no such step: {', '.join(sorted(unknown))}")
    failed = [step for step in chosen if not _passes(step)]
    print(f"check failed: {', '.join(failed)}" if failed else "check passed", flush=True)
    return 1 if failed else 0


def _passes(step: str) -> bool:
    module, *arguments = STEPS[step]
    print(f"-- {step}", flush=True)
    done = subprocess.run([str(PYTHON), "-m", module, *arguments], cwd=CHECKOUT, check=False)
    return done.returncode == 0


if __name__ == "__main__":
    sys.exit(main())
