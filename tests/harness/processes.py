"""EventHub's processes as in production, one operating system process each, on the scratch servers.

In: names (`inventory-1`, `gateway-1`), settings, failpoints. Out: processes that can be killed, stopped and awaited.
Must stay true: every process that was started has ended when the block ends, also when this process is killed; what
they wrote is in a file of the given folder.
"""

import asyncio
import contextlib
import ctypes
import os
import signal
import sys
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp

from contracts.runtime import failpoints
from scripts.stack.supervised import ports
from tests.harness.scratch import Scratch
from tests.harness.waiting import eventually

ROOT = Path(__file__).resolve().parents[2]
PR_SET_PDEATHSIG = 1
START_SECONDS = 40.0
STOP_SECONDS = 15.0
_libc = ctypes.CDLL(None)


def free_port() -> int:
    """A port that nobody uses now.

    None of those that the kernel gives to outgoing connections: one of these may have it before the process that it is
    meant for has started, or while that is restarted.
    """
    return ports.pick(set())


@dataclass(slots=True)
class Process:
    """One running process."""

    name: str
    child: asyncio.subprocess.Process
    log: Path
    fired: Path
    port: int
    """Where it answers `/readyz`: the health port of a worker, the port of a gateway."""

    @property
    def url(self) -> str:
        """Its HTTP address."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def tail(self) -> str:
        """The last of what it wrote."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-15:])

    async def ready(self, within: float = START_SECONDS) -> None:
        """Wait until it says so. Raises AssertionError with its last words when it ended instead."""
        async with aiohttp.ClientSession() as session:

            async def look() -> bool:
                # A RuntimeError ends the waiting at once: it will never be ready.
                if self.child.returncode is not None:
                    raise RuntimeError(f"{self.name} ended: {self.tail}")
                with contextlib.suppress(aiohttp.ClientError, OSError):
                    async with session.get(f"{self.url}/readyz") as response:
                        return response.status == 200
                return False

            await eventually(look, within=within, every=0.05)

    async def died_at(self, point: str, within: float = 30.0) -> None:
        """Wait for its death by SIGKILL at this failpoint. Raises AssertionError for any other end, or none."""
        try:
            async with asyncio.timeout(within):
                code = await self.child.wait()
        except TimeoutError:
            raise AssertionError(f"{self.name} never came to {point}: {self.tail}") from None
        assert code == -signal.SIGKILL, f"{self.name} ended with {code}: {self.tail}"
        assert self.reached() == [point]

    def reached(self) -> list[str]:
        """The failpoints that fired, in order."""
        return self.fired.read_text().split() if self.fired.exists() else []

    def send(self, number: signal.Signals) -> None:
        """Send a signal, if it still runs."""
        if self.child.returncode is None:
            self.child.send_signal(number)

    async def kill(self) -> None:
        self.send(signal.SIGKILL)
        await self.child.wait()

    async def stop(self, within: float = STOP_SECONDS) -> int:
        """SIGTERM; its exit code. Raises TimeoutError when it does not end."""
        self.send(signal.SIGCONT)
        self.send(signal.SIGTERM)
        async with asyncio.timeout(within):
            return await self.child.wait()


@dataclass(slots=True)
class Processes:
    """Starts processes and remembers them."""

    scratch: Scratch
    folder: Path
    settings: Mapping[str, str] = field(default_factory=dict)
    started: list[Process] = field(default_factory=list)

    async def start(
        self,
        name: str,
        *,
        failpoints: str = "",
        ready: bool = True,
        port: int = 0,
        mutant: str = "",
        clock: float = 0.0,
        environment: Mapping[str, str] | None = None,
        wrapper: tuple[str, ...] = (),
    ) -> Process:
        """Start one; `failpoints` as in contracts.runtime.failpoints, `environment` on top of everything else.

        `mutant` names the guard that this build goes without (tests/faults/mutants.py), `clock` the seconds by
        which its wall clock is ahead.
        """
        number, port = len(self.started), port or free_port()
        fired = self.folder / f"{number}-{name}.fired"
        log = self.folder / f"{number}-{name}.log"
        wanted = self._environment(name, port, failpoints, fired) | dict(environment or {})
        with log.open("wb") as output:
            child = await asyncio.create_subprocess_exec(
                *wrapper,
                *_command(name, failpoints, mutant, clock),
                cwd=ROOT,
                env=wanted,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                preexec_fn=_die_with_parent,
            )
        process = Process(name, child, log, fired, port)
        self.started.append(process)
        if ready:
            await process.ready()
        return process

    def _environment(self, name: str, port: int, armed: str, fired: Path) -> dict[str, str]:
        ours = {
            "EVENTHUB_PROCESS": name,
            "EVENTHUB_SHARDS": "4",
            "EVENTHUB_PORT" if name.startswith("gateway") else "EVENTHUB_HEALTH_PORT": str(port),
            failpoints.FIRED: str(fired),
        }
        inherited = {key: os.environ[key] for key in ("PATH", "HOME", "LANG") if key in os.environ}
        if armed:
            ours[failpoints.ARMED] = armed
        return inherited | self.scratch.environment(**ours, **dict(self.settings))

    async def end_all(self) -> None:
        """Kill whatever still runs."""
        for process in self.started:
            await process.kill()


@contextlib.asynccontextmanager
async def running_processes(
    scratch: Scratch, folder: Path, **settings: object
) -> AsyncIterator[Processes]:
    """Processes on these servers; `settings` by field name (`order_ttl=1`)."""
    named = {f"EVENTHUB_{key.upper()}": str(value) for key, value in settings.items()}
    made = Processes(scratch, folder, named)
    try:
        yield made
    finally:
        await made.end_all()


def _command(name: str, armed: str, mutant: str, clock: float) -> list[str]:
    kind = name.partition("-")[0]
    module = "gateway" if kind == "gateway" else f"workers.{kind}"
    switch = ["-X", failpoints.SWITCH] if armed else []
    run = ["-m", module]
    if mutant:
        run = ["-m", "tests.faults.mutants", mutant, module]
    elif clock:
        run = ["-m", "tests.faults.shifted", str(clock), module]
    return [sys.executable, *switch, *run]


def _die_with_parent() -> None:
    _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
