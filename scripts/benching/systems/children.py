"""Processes that a bench starts for itself: they end with it, whatever happens.

In: a module and its arguments. Out: pids while the block runs.
Must stay true: only what was started here is ended (SIGTERM, after five seconds SIGKILL); secrets travel in the
environment.
"""

import asyncio
import os
import signal
import sys
import tempfile
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import IO

import click

from scripts.stack.home import CHECKOUT
from scripts.stack.supervised import ports

START_SECONDS = 15.0
STOP_SECONDS = 5.0


@asynccontextmanager
async def serving(
    module: str, arguments: Sequence[str], environment: Mapping[str, str], *, processes: int = 1
) -> AsyncIterator[tuple[int, dict[str, int]]]:
    """Run `python -m module --port P …` so many times on one port; yields (port, pid by name).

    Raises click.ClickException when it does not listen in time.
    """
    port = ports.pick(set())
    argv = [sys.executable, "-m", module, "--port", str(port), *arguments]
    env = {**os.environ, **environment, "PYTHONPATH": str(CHECKOUT)}
    started: list[asyncio.subprocess.Process] = []
    with tempfile.TemporaryFile() as log:
        try:
            for _ in range(processes):
                started.append(
                    await asyncio.create_subprocess_exec(
                        *argv, env=env, cwd=CHECKOUT, stdout=log, stderr=log
                    )
                )
            await _listens(port, started, log)
            short = module.rpartition(".")[2]
            yield port, {f"{short}-{n}": process.pid for n, process in enumerate(started, 1)}
        finally:
            await asyncio.gather(*(_stop(process) for process in started))


async def _listens(
    port: int, started: Sequence[asyncio.subprocess.Process], log: IO[bytes]
) -> None:
    try:
        async with asyncio.timeout(START_SECONDS):
            while not await _answers(port):
                if any(process.returncode is not None for process in started):
                    break
                await asyncio.sleep(0.05)
            else:
                return
    except TimeoutError:
        pass  # Said below, with what the process wrote.
    log.seek(0)
    said = log.read().decode(errors="replace")[-2000:]
    raise click.ClickException(f"a process of the bench does not listen:\n{said}")


async def _answers(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    return True


async def _stop(process: asyncio.subprocess.Process) -> None:
    if process.returncode is not None:
        return
    process.send_signal(signal.SIGTERM)
    try:
        async with asyncio.timeout(STOP_SECONDS):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()
