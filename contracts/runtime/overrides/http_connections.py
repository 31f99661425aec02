"""Connections of aiohttp's HTTP server with timeouts of their own, and a server that makes them.

In: connections, and a watch that says which may stay. Out: requests. Must stay true: a connection that never finishes
the head of a request, or never reads its answer, is closed; what an unfinished head costs is bounded; one that is being
left says so with its last answer.
"""

import asyncio
import contextlib
import socket
from typing import Any, ClassVar, Protocol, cast

from aiohttp import web
from aiohttp.http_exceptions import BadHttpMessage
from aiohttp.streams import EMPTY_PAYLOAD, StreamReader
from aiohttp.web_protocol import _ErrInfo

from contracts.runtime.overrides.internals import LibraryInternals

INTERNALS = LibraryInternals(
    "aiohttp",
    ("3.14.5",),
    {
        "aiohttp.web_protocol:RequestHandler.__init__": "46c577d1f419158f",
        "aiohttp.web_protocol:RequestHandler.connection_made": "44d50b5763b2c7e4",
        "aiohttp.web_protocol:RequestHandler.connection_lost": "df2fe6e95fd04c7c",
        "aiohttp.web_protocol:RequestHandler.finish_response": "b7eb53db8f4b30ca",
        "aiohttp.web_protocol:RequestHandler.start": "2e565fd40c8e04fb",
        "aiohttp.web_protocol:RequestHandler.shutdown": "5eb4bd473db61e84",
        "aiohttp.web_server:Server.__init__": "ceb06418afb91a22",
        "aiohttp.web_server:Server.__call__": "c5700549e688b164",
        "aiohttp.web_runner:AppRunner._make_server": "2d5358865abd00e3",
        "aiohttp.web_protocol:RequestHandler.data_received": "1ee57ebe052e6c80",
        "aiohttp.web_protocol:_ErrInfo": "0dc0301f961a8bf5",
        "aiohttp.base_protocol:BaseProtocol.pause_writing": "e727e6c57a46116e",
        "aiohttp.base_protocol:BaseProtocol.resume_writing": "7db135e0841e0425",
        "aiohttp.base_protocol:BaseProtocol._drain_helper": "43a2da08aabcc94f",
    },
)
FIRST_REQUEST_SECONDS = 15.0
HEAD_SECONDS = 15.0
"""From the first byte of a later request's head to its last."""
HEAD_BYTES_MAX = 32 * 1024
"""Request line and headers together."""
SLOW_SECONDS = 15.0
SLOW_BYTES = 15 * 1024
"""A client that reads fewer bytes than this in that time, while there is more for it, is let go."""
UNREAD_MILLISECONDS = 30_000
"""How long the kernel keeps trying to hand over what a client does not take (tcp(7), TCP_USER_TIMEOUT)."""


class Watch(Protocol):
    """Who counts connections."""

    def take(self, transport: asyncio.BaseTransport) -> str | None:
        """The name under which this new connection is counted, None when it may not stay."""

    def give_back(self, name: str) -> None:
        """The connection is gone."""

    def closed(self, reason: str) -> None:
        """One was closed for this reason."""


def _size(message: Any) -> int:
    """Bytes of a parsed head, about: that of an error is none."""
    headers = getattr(message, "raw_headers", ())
    return len(getattr(message, "path", "")) + sum(len(name) + len(v) + 4 for name, v in headers)


class BoundedConnection(web.RequestHandler):
    """One connection. leaving: the gateway stops, the next answer is the last one here."""

    __slots__ = (
        "_body",
        "_counted",
        "_head_bytes",
        "_head_timer",
        "_slow_timer",
        "_watch",
        "leaving",
    )

    too_many: ClassVar[bytes] = (
        b"HTTP/1.1 429 Too Many Requests\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
    )
    """What a connection is told that is one too many."""

    def __init__(self, manager: web.Server, watch: Watch, **options: Any) -> None:
        super().__init__(manager, **options)
        self._watch = watch
        self._counted: str | None = None
        """The name this connection is counted under; None: it was refused, or is gone."""
        self._body: StreamReader | None = None
        """What follows the head that came last."""
        self._head_bytes = 0
        self._head_timer: asyncio.TimerHandle | None = None
        self._slow_timer: asyncio.TimerHandle | None = None
        self.leaving = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A connection that is one too many is told so; one that has not sent a whole request in time is closed."""
        self._counted = self._watch.take(transport)
        if self._counted is None:
            real = cast("asyncio.Transport", transport)
            real.write(self.too_many)
            real.close()
            return
        super().connection_made(transport)
        if (sock := transport.get_extra_info("socket")) is not None and hasattr(
            socket, "TCP_USER_TIMEOUT"
        ):
            # What the kernel holds for a client that does not read is given up as well.
            with contextlib.suppress(OSError):
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, UNREAD_MILLISECONDS)
        self._head_timer = self._loop.call_later(FIRST_REQUEST_SECONDS, self._head_is_late)

    def connection_lost(self, exc: BaseException | None) -> None:
        """The line is gone."""
        for timer in (self._head_timer, self._slow_timer):
            if timer is not None:
                timer.cancel()
        if self._counted is not None:
            self._watch.give_back(self._counted)
            self._counted = None
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """What of it belongs to a head is counted, and has to become a whole one in time."""
        if self._counted is None:
            return
        known = self._request_count
        super().data_received(data)
        if self._request_count != known:
            self._head_came(len(data), self._request_count - known)
        elif data and (self._body is None or self._body.is_eof()) and not self._messages:
            self._head_bytes += len(data)
            if self._head_timer is None:
                self._head_timer = self._loop.call_later(HEAD_SECONDS, self._head_is_late)
            if self._head_bytes > HEAD_BYTES_MAX:
                self._refuse_head()

    def _head_came(self, length: int, count: int) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None
        seen, self._head_bytes = self._head_bytes + length, 0
        self._body = self._messages[-1][1]
        if seen > HEAD_BYTES_MAX and any(
            _size(message) > HEAD_BYTES_MAX for message, _ in list(self._messages)[-count:]
        ):
            self._messages.clear()
            self._refuse_head()

    def _refuse_head(self) -> None:
        """Answer as to what the parser refuses, and close."""
        self._watch.closed("large head")
        error = BadHttpMessage("too many bytes before the body")
        self._messages.append((_ErrInfo(400, error, error.message), EMPTY_PAYLOAD))
        self._request_count += 1
        self._body, self._head_bytes = None, 0
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
        if self.transport is not None:
            self.transport.pause_reading()

    def _head_is_late(self) -> None:
        self._head_timer = None
        if not self._request_in_progress and not self._messages:
            self._watch.closed("slow head")
            self.force_close()

    def pause_writing(self) -> None:
        """The client does not read what it asked for: from now on it has to make progress."""
        super().pause_writing()
        self._expect_progress()

    def resume_writing(self) -> None:
        """It has read."""
        super().resume_writing()
        if self._slow_timer is not None:
            self._slow_timer.cancel()
            self._slow_timer = None

    def _expect_progress(self) -> None:
        if self.transport is not None:
            left = self.transport.get_write_buffer_size()
            self._slow_timer = self._loop.call_later(SLOW_SECONDS, self._check_progress, left)

    def _check_progress(self, before: int) -> None:
        self._slow_timer = None
        if self.transport is None:
            return
        if before - self.transport.get_write_buffer_size() >= SLOW_BYTES:
            self._expect_progress()
            return
        self._watch.closed("slow reader")
        # Not close(): that would wait for the client to read the rest.
        self.transport.abort()

    @property
    def is_busy(self) -> bool:
        """Whether a request is being read or answered."""
        return self._request_in_progress

    async def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        """Send an answer; the last one says `Connection: close`, so that its client goes elsewhere."""
        if self.leaving:
            resp.force_close()
        finished = await super().finish_response(request, resp, start_time)
        if self.writing_paused:
            # The next request of a client that sends many and reads nothing has to wait.
            await self._drain_helper()
        return finished


class ConnectionServer(web.Server):
    """Makes connections of a class of ours instead of aiohttp's."""

    connection: ClassVar[type[BoundedConnection]] = BoundedConnection

    def __init__(self, handler: Any, watch: Watch, **options: Any) -> None:
        super().__init__(handler, **options)
        self._watch = watch

    def __call__(self) -> web.RequestHandler:
        """A new connection's protocol."""
        return self.connection(self, self._watch, loop=self._loop, **self._kwargs)

    @classmethod
    def like(cls, server: web.Server, handle: Any, watch: Watch) -> web.Server:
        """One with the same settings as aiohttp's own, and this handler; a handler is never cancelled."""
        return cls(
            handle,
            watch,
            request_factory=server.request_factory,
            handler_cancellation=False,
            loop=server._loop,
            **server._kwargs,
        )
