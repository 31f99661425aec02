"""Three RabbitMQ nodes on one machine, each with ports and data of its own: killed, started again, cut off.

In: a folder. Out: a cluster whose nodes a test may harm, and what it says of itself: who leads a queue, whose clients
are where, who is cut off. A partition is made by cookies: a node that knows another by a wrong cookie neither reaches
it nor is reached.
Must stay true: nodes, their port mapper and their data are gone when the block ends; loopback only; whatever is asked
of rabbitmqctl, RabbitMQ 3.10 and 4.3 both answer.
"""

import asyncio
import contextlib
import json
import re
import secrets
import shutil
import signal
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aio_pika
from aio_pika.abc import DeliveryMode
from pamqp.common import FieldTable

from contracts.messaging.link import LINK_ERRORS
from scripts.stack.home import Home, State, write_private
from scripts.stack.private_servers import rabbitmq_server
from tests.harness.processes import _die_with_parent, free_port
from tests.harness.waiting import eventually

NODES = 3
PASSWORD = "cluster"
START_SECONDS = 120.0
PROBE = "probe"
"""A queue on all nodes: who confirms a message for it is of use."""
PROBE_SECONDS = 3.0


@dataclass(slots=True)
class Node:
    """One broker."""

    state: State
    folder: Path
    process: asyncio.subprocess.Process | None = None

    @property
    def name(self) -> str:
        """Its Erlang name."""
        return f"{self.state.node}@localhost"

    @property
    def url(self) -> str:
        """Its AMQP address."""
        return rabbitmq_server.url(self.state, {"amqpPassword": PASSWORD})

    @property
    def environment(self) -> dict[str, str]:
        """What it and its tools run with."""
        return rabbitmq_server._environment(self.folder, self.state)

    async def start(self) -> None:
        """Start it; it may take a while until it answers."""
        binary = rabbitmq_server.binary()
        assert binary is not None, "RabbitMQ is not installed"
        with (self.folder / "output.log").open("ab") as output:
            self.process = await asyncio.create_subprocess_exec(
                str(binary),
                env=self.environment,
                cwd=self.folder,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                preexec_fn=_die_with_parent,
            )
        await eventually(self.answers, within=START_SECONDS, every=0.3)

    async def answers(self) -> bool:
        """Whether a client can connect."""
        with contextlib.suppress(OSError):
            port = self.state.ports[rabbitmq_server.NAME]
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.close()
            return True
        return False

    async def keeps(self) -> bool:
        """Whether it confirms a message. One that a majority cannot be reached from refuses, or says nothing."""
        try:
            async with asyncio.timeout(PROBE_SECONDS):
                connection = await aio_pika.connect(self.url, timeout=PROBE_SECONDS)
                async with connection:
                    channel = await connection.channel(on_return_raises=True)
                    message = aio_pika.Message(b"probe", delivery_mode=DeliveryMode.PERSISTENT)
                    await channel.default_exchange.publish(message, PROBE)
        except LINK_ERRORS:
            return False
        return True

    async def peers(self) -> set[str]:
        """The nodes that it is connected to now, by name."""
        return set(re.findall(r"[\w-]+@localhost", await self.ctl("eval", "nodes().")))

    async def clients(self) -> int:
        """How many clients are connected to it."""
        port = self.state.ports[rabbitmq_server.NAME]
        return sum(one["port"] == port for one in await self.listed("list_connections", "port"))

    async def listed(self, *arguments: str) -> list[dict[str, Any]]:
        """What one of rabbitmqctl's lists says."""
        said = await self.ctl("--quiet", *arguments, "--formatter", "json")
        found: list[dict[str, Any]] = json.loads(said[said.index("[") :])
        return found

    async def kill(self) -> None:
        assert self.process is not None, "it was never started"
        if self.process.returncode is None:
            self.process.send_signal(signal.SIGKILL)
        await self.process.wait()

    async def ctl(self, *arguments: str) -> str:
        """Run rabbitmqctl on it. Raises AssertionError with what it said."""
        binary = rabbitmq_server.binary()
        assert binary is not None, "RabbitMQ is not installed"
        tool = await asyncio.create_subprocess_exec(
            str(binary.with_name("rabbitmqctl")),
            "-n",
            self.name,
            *arguments,
            env=self.environment,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        said, _ = await tool.communicate()
        assert tool.returncode == 0, said.decode()
        return said.decode()


@dataclass(slots=True)
class Cluster:
    """Three nodes."""

    nodes: list[Node] = field(default_factory=list)
    cookie: str = field(default_factory=lambda: secrets.token_hex(16))

    def others(self, node: Node) -> list[Node]:
        """All but one."""
        return [other for other in self.nodes if other is not node]

    async def leader(self, queue: str) -> Node:
        """The node that leads a queue, which all of them hold. Ask it while all of them run."""
        names = {node.name: node for node in self.nodes}

        async def look() -> Node | None:
            listed = await self.nodes[0].listed("list_queues", "name", "leader", "online")
            [found] = [one for one in listed if one["name"] == queue]
            assert set(found["online"]) == set(names), found
            return names.get(found["leader"])

        leader = await eventually(look, within=60, every=0.5)
        assert leader is not None, "eventually returns nothing else"
        return leader

    async def is_alone(self, node: Node) -> bool:
        """Whether the others do not see it, nor it them, and nobody can use it."""
        seen = [await other.peers() for other in self.others(node)]
        if any(node.name in peers for peers in seen) or await node.peers():
            return False
        return not await node.keeps()

    def _quoted(self, node: Node) -> list[str]:
        return [f"'{other.name}'" for other in self.others(node)]

    async def isolate(self, node: Node) -> None:
        """Cut one node off, and see it from both sides.

        From all at once: a partial partition would pause more than one.
        """
        peers = self._quoted(node)
        said = [f"erlang:set_cookie({peer}, wrong)" for peer in peers]
        said += [f"erlang:disconnect_node({peer})" for peer in peers]
        await node.ctl("eval", ", ".join(said) + ".")
        await eventually(lambda: self.is_alone(node), within=60, every=0.5)

    async def heal(self, node: Node) -> None:
        """Let it find the others again, and see that it is of use."""
        peers = self._quoted(node)
        said = [f"erlang:set_cookie({peer}, '{self.cookie}')" for peer in peers]
        said += [f"net_adm:ping({peer})" for peer in peers]
        await node.ctl("eval", ", ".join(said) + ".")
        await eventually(node.keeps, within=120, every=0.5)


@contextlib.asynccontextmanager
async def cluster(folder: Path) -> AsyncIterator[Cluster]:
    """Start three nodes and join them."""
    made = Cluster()
    mapper_port = free_port()
    mapper = await asyncio.create_subprocess_exec(
        str(shutil.which("epmd")),
        "-port",
        str(mapper_port),
        "-address",
        "127.0.0.1",
        preexec_fn=_die_with_parent,
    )
    try:
        for number in range(NODES):
            made.nodes.append(_prepare(Home(folder / f"node-{number}"), mapper_port, made.cookie))
        await asyncio.gather(*(node.start() for node in made.nodes))
        first, *others = made.nodes
        for node in others:
            for arguments in (("stop_app",), ("join_cluster", first.name), ("start_app",)):
                await node.ctl(*arguments)
        await _declare_probe(first)
        yield made
    finally:
        for node in made.nodes:
            if node.process is not None:
                await node.kill()
        mapper.terminate()
        await mapper.wait()


async def _declare_probe(node: Node) -> None:
    connection = await aio_pika.connect(node.url, timeout=START_SECONDS)
    async with connection:
        channel = await connection.channel()
        arguments: FieldTable = {"x-queue-type": "quorum", "x-max-length": 1}
        await channel.declare_queue(PROBE, durable=True, arguments=arguments)


def _prepare(home: Home, mapper_port: int, cookie: str) -> Node:
    home.prepare()
    ports = {name: free_port() for name in rabbitmq_server.PORTS} | {
        rabbitmq_server.EPMD: mapper_port
    }
    state = State(ports=ports, node=f"node-{secrets.token_hex(4)}")
    rabbitmq_server.prepare(home, state, {"amqpPassword": PASSWORD, "erlangCookie": cookie})
    folder = home.root / "rabbitmq"
    settings = folder / "rabbitmq.conf"
    write_private(settings, settings.read_text() + "cluster_partition_handling = pause_minority\n")
    return Node(state, folder)
