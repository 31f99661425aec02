"""`scripts/lock [--upgrade]`: writes the locks anew from pyproject.toml.

In: the version ranges of pyproject.toml. Out: requirements.lock (the product),
requirements-operations.lock (and what scripts/ needs), requirements-dev.lock (and what tests need),
for every Python from 3.11 and every platform, each package with its hashes. Must stay true: a larger
lock holds the very versions of the smaller ones; no address of an index gets into any.
"""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

from scripts.stack.home import CHECKOUT

COMMON = ("--universal", "--python-version", "3.11", "--generate-hashes", "--no-header", "--quiet")
HOSTLESS = ("--no-emit-index-url", "--no-emit-find-links")
LOCKS = (
    ("requirements.lock", (), None),
    ("requirements-operations.lock", ("operations",), "requirements.lock"),
    ("requirements-dev.lock", ("operations", "dev"), "requirements-operations.lock"),
)
"""Each lock, the extras in it, and the lock whose versions it takes over."""


def main() -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(prog="scripts/lock", description="Write the locks anew.")
    parser.add_argument("--upgrade", action="store_true", help="take newer versions where allowed")
    upgrade = ["--upgrade"] if parser.parse_args().upgrade else []
    with tempfile.TemporaryDirectory(prefix="eventhub-lock-") as folder:
        python = str(Path(folder) / "bin" / "python")
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", "uv"], check=True)
        compile_ = [python, "-m", "uv", "pip", "compile", "pyproject.toml", *COMMON, *HOSTLESS]
        for lock, extras, base in LOCKS:
            options = [word for extra in extras for word in ("--extra", extra)]
            options += ["-c", base] if base else []
            run = [*compile_, "--output-file", lock, *upgrade, *options]
            subprocess.run(run, cwd=CHECKOUT, check=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
