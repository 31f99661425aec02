"""A TCP proxy that breaks connections on purpose: whole ones, or at one chosen packet.

In: a server's URL, a `Mode`, traps for packets. Out: a URL to connect to.
Must stay true: in `pass` every byte arrives, in order; a trap acts on whole packets and counts what it caught, so
that a run in which nothing was lost can be told from one that survived a loss.
"""

import asyncio
import contextlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Literal, Self, cast
from urllib.parse import urlsplit, urlunsplit
from weakref import WeakSet

from scripts.proving.wires import Matches, Splitter, Wire

Mode = Literal["pass", "cut", "hole", "mute", "delay", "slices"]
"""hole: nothing arrives anywhere. mute: the server hears and acts, nobody hears its answers."""
Direction = Literal["up", "down"]
DEAF: dict[Mode, frozenset[Direction]] = {
    "hole": frozenset({"up", "down"}),
    "mute": frozenset({"down"}),
}
Action = Literal["drop", "cut", "cut answer"]
"""drop: this packet never was. cut: the connection breaks instead. cut answer: it arrives, its answer does not."""
CHUNK = 65536
DELAY_SECONDS = 0.05


@dataclass(slots=True)
class Trap:
    """Acts on the first `times` matching packets in a direction (`up`: to the server)."""

    direction: Direction
    matches: Matches
    action: Action
    times: int = 1
    after: Matches | None = None
    """Only on a connection on which such a packet has gone up since: the COMMIT of a certain transaction."""
    caught: int = 0
    _ready: "WeakSet[_Pair]" = field(default_factory=WeakSet)

    def springs(self, direction: Direction, packet: bytes, pair: "_Pair") -> bool:
        """Whether it acts on this packet; counted."""
        if direction == "up" and self.after is not None and self.after(packet):
            self._ready.add(pair)
        if self.after is not None and pair not in self._ready:
            return False
        if direction != self.direction or self.caught >= self.times or not self.matches(packet):
            return False
        self.caught += 1
        return True


class Cut(Exception):
    """This connection is to break now."""


@dataclass(slots=True, eq=False, weakref_slot=True)
class _Pair:
    """One connection from a client and the one to the server."""

    client: asyncio.StreamWriter
    server: asyncio.StreamWriter
    answer_is_lost: bool = False

    def abort(self) -> None:
        for writer in (self.client, self.server):
            writer.transport.abort()


@dataclass(slots=True)
class Proxy:
    """Stands between clients and the server behind `url`."""

    url: str = field(repr=False)
    """Holds a password, which no failed assertion should print."""
    mode: Mode = "pass"
    others: Sequence[str] = field(default=(), repr=False)
    """Servers of the same cluster: who connects while the first is away is sent to the next that answers."""
    traps: list[Trap] = field(default_factory=list)
    port: int = 0
    _listener: asyncio.Server | None = None
    _pairs: set[_Pair] = field(default_factory=set)
    _tasks: set["asyncio.Task[None]"] = field(default_factory=set)
    _open: dict[Direction, asyncio.Event] = field(
        default_factory=lambda: {"up": asyncio.Event(), "down": asyncio.Event()}
    )

    async def __aenter__(self) -> Self:
        self._listener = await asyncio.start_server(self._accept, "127.0.0.1", self.port)
        self.port = self._listener.sockets[0].getsockname()[1]
        self.turn(self.mode)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._listener is not None, "entered before it is left"
        self._listener.close()
        self.turn("cut")
        await asyncio.gather(*self._tasks, return_exceptions=True)

    @property
    def address(self) -> str:
        """The server's URL, by way of this proxy."""
        parts = urlsplit(self.url)
        account = parts.netloc.rpartition("@")[0]
        return urlunsplit(parts._replace(netloc=f"{account}@127.0.0.1:{self.port}"))

    @property
    def connections(self) -> int:
        """How many pass through now."""
        return len(self._pairs)

    @property
    def _wire(self) -> Wire:
        return cast(Wire, urlsplit(self.url).scheme)

    def turn(self, mode: Mode) -> None:
        """Change how everything passes from now on; `cut` breaks what is open and refuses what comes."""
        self.mode = mode
        for direction, is_open in self._open.items():
            if direction in DEAF.get(mode, frozenset()):
                is_open.clear()
            else:
                is_open.set()
        if mode == "cut":
            self.cut()

    def cut(self) -> None:
        """Break every connection that is open now."""
        for pair in list(self._pairs):
            pair.abort()

    def set(self, trap: Trap) -> Trap:
        self.traps.append(trap)
        return trap

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None, "asyncio runs this in a task"
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        await self._open["up"].wait()
        try:
            server_reader, server_writer = await self._connect()
        except (Cut, OSError):
            writer.transport.abort()
            return
        pair = _Pair(writer, server_writer)
        self._pairs.add(pair)
        ways = (
            asyncio.create_task(self._carry(reader, server_writer, "up", pair)),
            asyncio.create_task(self._carry(server_reader, writer, "down", pair)),
        )
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
            pair.abort()
            self._pairs.discard(pair)

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """To the first server that answers. Raises Cut, or OSError when none does."""
        if self.mode == "cut":
            raise Cut
        for url in (self.url, *self.others):
            parts = urlsplit(url)
            with contextlib.suppress(OSError):
                return await asyncio.open_connection(parts.hostname, parts.port)
        raise OSError("no server answers")

    async def _carry(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        direction: Direction,
        pair: _Pair,
    ) -> None:
        splitter = Splitter(self._wire)
        with contextlib.suppress(Cut):
            with contextlib.suppress(OSError):
                while data := await reader.read(CHUNK):
                    await self._open[direction].wait()
                    passing = [
                        one for one in splitter.feed(data) if self._lets(one, direction, pair)
                    ]
                    await self._write(writer, b"".join(passing))
            # What was whole has passed; the end of one direction ends both. A hole swallows the end as well.
            await self._open[direction].wait()

    def _lets(self, packet: bytes, direction: Direction, pair: _Pair) -> bool:
        """Whether a packet may pass. Raises Cut."""
        if direction == "down" and pair.answer_is_lost:
            raise Cut
        for trap in self.traps:
            if not trap.springs(direction, packet, pair):
                continue
            if trap.action == "cut":
                raise Cut
            if trap.action == "drop":
                return False
            pair.answer_is_lost = True
        return True

    async def _write(self, writer: asyncio.StreamWriter, data: bytes) -> None:
        if self.mode == "delay":
            await asyncio.sleep(DELAY_SECONDS)
        size = 1 if self.mode == "slices" else max(1, len(data))
        for start in range(0, len(data), size):
            writer.write(data[start : start + size])
            if self.mode == "slices":
                # One packet of the network for each byte: without this the kernel would join them.
                await asyncio.sleep(0)
        await writer.drain()
