"""`python -m gateway` as a process of its own: started, asked, stopped by its id, its output kept.

In: scratch servers and variables. Out: a `Process` with the URL it listens on.
"""

import asyncio
import contextlib
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import aiohttp

from tests.harness.scratch import Scratch
from tests.harness.waiting import eventually


@dataclass(slots=True)
class Process:
    """A gateway process."""

    url: str
    process: asyncio.subprocess.Process
    output: bytearray = field(default_factory=bytearray)

    async def drain(self) -> None:
        """Keep what it writes, to its end."""
        assert self.process.stdout is not None
        while chunk := await self.process.stdout.read(65536):
            self.output += chunk

    def terminate(self) -> None:
        self.process.send_signal(signal.SIGTERM)


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


async def start(**variables: str) -> asyncio.subprocess.Process:
    """The process, output and errors on one pipe."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith("EVENTHUB_")}
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "gateway",
        env=clean | variables,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )


@contextlib.asynccontextmanager
async def gateway_process(scratch: Scratch, **variables: str) -> AsyncIterator[Process]:
    """A gateway that answers; killed at the end if it still runs."""
    port = free_port()
    chosen = scratch.environment(EVENTHUB_PORT=str(port), **variables)
    one = Process(f"http://127.0.0.1:{port}", await start(**chosen))
    reader = asyncio.create_task(one.drain())

    async def answers() -> bool:
        assert one.process.returncode is None, one.output.decode()
        async with aiohttp.ClientSession() as session:
            try:
                async with session.get(one.url + "/livez") as answer:
                    return answer.status == 200
            except aiohttp.ClientError:
                return False

    try:
        await eventually(answers, within=30)
        yield one
    finally:
        if one.process.returncode is None:
            one.process.kill()
        await one.process.wait()
        await reader
