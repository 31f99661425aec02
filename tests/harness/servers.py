"""Private servers that a test may kill, stop and starve: MySQL, RabbitMQ and Redis of this test's own.

In: a folder. Out: their URLs, their process ids, signals to them, RabbitMQ's own tool. Their supervisor starts again
what dies.
Must stay true: they share nothing with the servers that other tests use, and are gone when the block ends.
"""

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from scripts.stack.home import Home, State
from scripts.stack.private_servers import rabbitmq_server, readiness, servers
from scripts.stack.supervised.supervision import Supervision
from tests.harness.scratch import Scratch
from tests.harness.waiting import eventually

Server = Literal["mysql", "rabbitmq", "redis"]
BACK_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Machines:
    """Three running servers."""

    home: Home
    state: State
    urls: Mapping[str, str]

    @property
    def scratch(self) -> Scratch:
        """Their default places."""
        return Scratch(
            self.urls["MYSQL_URL"],
            self.urls["AMQP_URL"],
            self.urls["AMQP_MANAGEMENT_URL"],
            self.urls["REDIS_URL"],
        )

    def pid(self, server: Server) -> int | None:
        """The server's process id, None while it does not run."""
        supervision = Supervision(self.home, self.state)
        return next((one.pid for one in supervision.processes() if one.name == server), None)

    def send(self, server: Server, number: signal.Signals) -> None:
        pid = self.pid(server)
        assert pid is not None, f"{server} does not run"
        os.kill(pid, number)

    async def kill(self, server: Server) -> None:
        """kill -9; returns once its supervisor has started another that answers."""
        before = self.pid(server)
        self.send(server, signal.SIGKILL)

        async def back() -> bool:
            return self.pid(server) not in (None, before)

        await eventually(back, within=BACK_SECONDS, every=0.1)
        await self.answers(server)

    async def answers(self, server: Server) -> None:
        """Wait until it can be used."""
        checks = servers.checks(dict(self.urls))
        missing = await asyncio.to_thread(
            readiness.wait_for, {server: checks[server]}, BACK_SECONDS, lambda _: None
        )
        assert not missing, missing

    async def rabbitmqctl(self, *arguments: str) -> str:
        """Run RabbitMQ's own tool on this broker. Raises AssertionError with what it said when it fails."""
        server = rabbitmq_server.binary()
        assert server is not None, "RabbitMQ is not installed"
        folder = self.home.root / "rabbitmq"
        environment = rabbitmq_server._environment(folder, self.state)
        tool = await asyncio.create_subprocess_exec(
            str(server.with_name("rabbitmqctl")),
            "-n",
            environment["RABBITMQ_NODENAME"],
            *arguments,
            env=environment,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        said, _ = await tool.communicate()
        assert tool.returncode == 0, said.decode()
        return said.decode()


@contextlib.asynccontextmanager
async def machines(folder: Path) -> AsyncIterator[Machines]:
    """Start them; stop them and forget their data afterwards."""
    home = Home(folder)
    home.prepare()
    state = home.load()
    try:
        urls = await asyncio.to_thread(servers.start, home, state)
        yield Machines(home, state, urls)
    finally:
        for server in ("mysql", "rabbitmq", "redis"):
            with contextlib.suppress(OSError, AssertionError):
                Machines(home, state, {}).send(server, signal.SIGCONT)
        await asyncio.to_thread(servers.stop, home, state)
