"""A TCP proxy before one server that can be cut, or fall silent.

In: a server's URL. Out: the URL of the way through the proxy.
Must stay true: `cut` closes what is open and refuses what comes; `silence` keeps everything open and
lets nothing come back (a black hole); `mend` undoes both for new connections.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from urllib.parse import urlsplit, urlunsplit


class Proxy:
    """One server behind a way that can be broken."""

    def __init__(self, host: str, port: int) -> None:
        self._target = (host, port)
        self._writers: set[asyncio.StreamWriter] = set()
        self._answers = asyncio.Event()
        self._answers.set()
        self._server: asyncio.Server | None = None
        self.port = 0

    async def start(self) -> None:
        """Listen on a free port."""
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def cut(self) -> None:
        """The server is gone: connections are closed, new ones refused."""
        if self._server is not None:
            self._server.close()
            self._server = None
        for writer in list(self._writers):
            writer.transport.abort()

    def silence(self) -> None:
        """Nothing comes back from the server any more; what is sent still reaches it."""
        self._answers.clear()

    async def mend(self) -> None:
        """The server is there again. What was held back is lost with its connections."""
        if not self._answers.is_set():
            for writer in list(self._writers):
                writer.transport.abort()
            self._answers.set()
        if self._server is None:
            await self.start()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            up_reader, up_writer = await asyncio.open_connection(*self._target)
        except OSError:
            writer.transport.abort()
            return
        if self._server is None:
            # Cut while this connection was on its way: it must not be the one that lives.
            writer.transport.abort()
            up_writer.transport.abort()
            return
        self._writers |= {writer, up_writer}
        try:
            async with asyncio.TaskGroup() as pumps:
                pumps.create_task(self._pump(reader, up_writer, held=False))
                pumps.create_task(self._pump(up_reader, writer, held=True))
        except* OSError:
            pass  # cut: both ends are closed below
        finally:
            self._writers -= {writer, up_writer}
            writer.transport.abort()
            up_writer.transport.abort()

    async def _pump(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, held: bool
    ) -> None:
        while data := await reader.read(65536):
            if held:
                await self._answers.wait()
            writer.write(data)
            await writer.drain()
        # One side is done: so is the other.
        raise ConnectionResetError


@contextlib.asynccontextmanager
async def proxied(url: str) -> AsyncIterator[tuple[str, Proxy]]:
    """(URL through the proxy, the proxy)."""
    parts = urlsplit(url)
    proxy = Proxy(parts.hostname or "127.0.0.1", parts.port or 0)
    await proxy.start()
    netloc = parts.netloc.rpartition("@")[0]
    through = f"{netloc}@127.0.0.1:{proxy.port}" if netloc else f"127.0.0.1:{proxy.port}"
    try:
        yield urlunsplit(parts._replace(netloc=through)), proxy
    finally:
        await proxy.cut()
