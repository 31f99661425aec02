"""Tools of client developers, installed for the tests into a folder of their own below `.run`.

In: package.json and requirements.txt of this folder. Out: their commands, run to their end.
Must stay true: what is installed is what those two files say; nothing of it gets into the checkout or its .venv.
"""

import asyncio
import hashlib
import os
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
RUN = HERE.parents[1] / ".run"
NEEDED = ("npm", "node", "java")
QUIET = {"REDOCLY_TELEMETRY": "off", "REDOCLY_SUPPRESS_UPDATE_NOTICE": "true", "CI": "true"}


class ToolFailed(AssertionError):
    """A tool said no; the text is what it printed."""


async def run(*words: str | Path, cwd: Path, more: dict[str, str] | None = None) -> str:
    """What the command printed. Raises ToolFailed when it ends with anything but 0."""
    process = await asyncio.create_subprocess_exec(
        *map(str, words),
        cwd=cwd,
        env={**os.environ, **QUIET, **(more or {})},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate()
    text = output.decode(errors="replace")
    if process.returncode != 0:
        raise ToolFailed(
            f"{' '.join(map(str, words[:3]))} … ended with {process.returncode}\n{text[-6000:]}"
        )
    return text


@dataclass(frozen=True, slots=True)
class Tools:
    """Where they are."""

    home: Path

    def npm(self, name: str) -> Path:
        """A command of an npm package."""
        return self.home / "node_modules/.bin" / name

    @property
    def python(self) -> Path:
        """The interpreter that has the Python packages."""
        return self.home / "venv/bin/python"

    @property
    def generator(self) -> Path:
        """openapi-generator's jar."""
        return next(self.home.glob("venv/lib/*/site-packages/openapi_generator_cli/*.jar"))


async def install() -> Tools:
    """The tools, installed unless they are already."""
    missing = [name for name in NEEDED if shutil.which(name) is None]
    if missing:
        raise ToolFailed(f"this needs {', '.join(missing)} (Node 20 with npm, Java 17)")
    lists = [HERE / "package.json", HERE / "requirements.txt"]
    digest = hashlib.sha256(b"".join(one.read_bytes() for one in lists)).hexdigest()[:12]
    home = RUN / f"client-tools-{digest}"
    if not (home / "complete").exists():
        shutil.rmtree(home, ignore_errors=True)
        home.mkdir(parents=True)
        shutil.copy(lists[0], home)
        npm = ("npm", "install", "--ignore-scripts", "--no-audit", "--no-fund", "--no-package-lock")
        await run(*npm, cwd=home)
        await run(sys.executable, "-m", "venv", "venv", cwd=home)
        await run("venv/bin/python", "-m", "pip", "install", "-q", "-r", lists[1], cwd=home)
        (home / "complete").touch()
    return Tools(home)
