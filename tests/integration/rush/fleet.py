"""EventHub as real processes that can be killed with SIGKILL and are started again under the same name.

In: scratch servers, process names. Out: a gateway's URL; `kill` and `start`.
Must stay true: only processes started here are ever signalled; all of them are gone when the block ends; what a process
said is shown when it does not become ready.
"""

import asyncio
import contextlib
import os
import signal
import sys
import tempfile
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp

from scripts.stack import ports
from tests.harness.scratch import Scratch
from tests.harness.waiting import eventually
from workers import KINDS

NAMES = ("gateway-1", *(f"{kind}-1" for kind in KINDS))
READY_SECONDS = 40.0


@dataclass(slots=True)
class Fleet:
    """The processes by name."""

    world: Scratch
    logs: Path
    session: aiohttp.ClientSession
    port: int
    health: dict[str, int] = field(default_factory=dict)
    running: dict[str, asyncio.subprocess.Process] = field(default_factory=dict)

    @property
    def url(self) -> str:
        """The gateway's address."""
        return f"http://127.0.0.1:{self.port}"

    async def start(self, name: str) -> None:
        """Start a process; it keeps its name and its health port."""
        kind = name.rpartition("-")[0]
        module = kind if kind == "gateway" else f"workers.{kind}"
        if name not in self.health:
            self.health[name] = ports.pick({self.port, *self.health.values()})
        environment = self.world.environment(
            EVENTHUB_PROCESS=name,
            EVENTHUB_PORT=str(self.port),
            EVENTHUB_HEALTH_PORT=str(self.health[name]),
        )
        with (self.logs / name).open("ab") as log:
            self.running[name] = await asyncio.create_subprocess_exec(
                sys.executable, "-m", module, env=os.environ | environment, stdout=log, stderr=log
            )

    async def ready(self, name: str) -> None:
        """Wait until the process answers /readyz with 200."""

        async def look() -> bool:
            assert self.running[name].returncode is None, self.said(name)
            url = f"http://127.0.0.1:{self.health[name]}/readyz"
            with contextlib.suppress(aiohttp.ClientError):
                async with self.session.get(url) as answer:
                    return answer.status == 200
            return False

        try:
            await eventually(look, within=READY_SECONDS, every=0.05)
        except AssertionError as error:
            raise AssertionError(f"{name} is not ready ({error}):\n{self.said(name)}") from None

    def said(self, name: str) -> str:
        """The end of a process's log."""
        return (self.logs / name).read_text(errors="replace")[-3000:]

    async def kill(self, name: str) -> None:
        """SIGKILL: nothing is finished, nothing is tidied up."""
        process = self.running.pop(name)
        process.kill()
        assert await process.wait() == -signal.SIGKILL

    async def stop_all(self) -> None:
        """End everything."""
        for process in self.running.values():
            if process.returncode is None:
                process.terminate()
        try:
            async with asyncio.timeout(12):
                await asyncio.gather(*(process.wait() for process in self.running.values()))
        except TimeoutError:
            for process in self.running.values():
                if process.returncode is None:
                    process.kill()
                    await process.wait()


@contextlib.asynccontextmanager
async def fleet(world: Scratch) -> AsyncIterator[Fleet]:
    """One process of each kind, ready."""
    with tempfile.TemporaryDirectory() as folder:
        async with aiohttp.ClientSession() as session:
            ships = Fleet(world, Path(folder), session, ports.pick(set()))
            try:
                for name in NAMES:
                    await ships.start(name)
                for name in NAMES:
                    await ships.ready(name)
                yield ships
            finally:
                await ships.stop_all()
