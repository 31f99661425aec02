"""`scripts/lock [--upgrade]`: writes both locks anew from pyproject.toml.

In: the version ranges of pyproject.toml. Out: requirements.lock and requirements-dev.lock, for every
Python from 3.11 and every platform, each package with its hashes. Must stay true: the development
lock holds the very versions of the other; no address of an index gets into either.
"""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

from scripts.stack.home import CHECKOUT

COMMON = ("--universal", "--python-version", "3.11", "--generate-hashes", "--no-header", "--quiet")
HOSTLESS = ("--no-emit-index-url", "--no-emit-find-links")


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
        for extra in (
            ["--output-file", "requirements.lock", *upgrade],
            [
                "--output-file",
                "requirements-dev.lock",
                *upgrade,
                "--extra",
                "dev",
                "-c",
                "requirements.lock",
            ],
        ):
            subprocess.run([*compile_, *extra], cwd=CHECKOUT, check=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
