"""aiohttp's HTTP server with our manners: problem documents for what the parser refuses, patience that ends.

In: connections. Out: requests for the application; a problem document for bytes that are no request.
Must stay true: nothing that a client sends, however broken, is answered by a page or a trace of the framework; a
connection that never finishes its headers, or never reads its answer, is closed; what an unfinished head costs is
bounded, and so are the connections of an address.

`handler_cancellation` is False on purpose: an order that is being published when its buyer hangs up still ends
properly, and is found again by its Idempotency-Key; waiting handlers have a limit of their own.
"""

import asyncio
import contextlib
import socket
from typing import Any, cast

import orjson
import structlog
from aiohttp import web
from aiohttp.http_exceptions import BadHttpMessage, HttpProcessingError
from aiohttp.streams import EMPTY_PAYLOAD, StreamReader
from aiohttp.web_protocol import _ErrInfo

from contracts.problems import Code, Problem
from contracts.runtime.metrics import Metrics
from gateway.http.connections import CONNECTIONS, Connections
from gateway.http.keys import METRICS
from gateway.http.middleware import MIDDLEWARE, bare_problem
from gateway.http.problems import INTERNAL, from_exception

FIRST_REQUEST_SECONDS = 15.0
KEEPALIVE_SECONDS = 75.0
LINGER_SECONDS = 2.0
"""How long the rest of a refused body is read and thrown away, so that the client sees the answer."""
DRAIN_SECONDS = 4.0
"""How long a stopping gateway lets requests in flight finish."""
SHUTDOWN_SECONDS = 1.5
"""What a request gets that is still there then. Cleanup may take this twice: `RequestHandler.shutdown` waits for the
handler, cancels it and waits again."""

HEAD_SECONDS = 15.0
"""From the first byte of a later request's head to its last."""
HEAD_BYTES_MAX = 32 * 1024
"""Request line and headers together."""
SLOW_SECONDS = 15.0
SLOW_BYTES = 15 * 1024
"""A client that reads fewer bytes than this in that time, while there is more for it, is let go."""
UNREAD_MILLISECONDS = 30_000
"""How long the kernel keeps trying to hand over what a client does not take (tcp(7), TCP_USER_TIMEOUT)."""
_TOO_MANY_BODY = orjson.dumps(
    Problem(
        Code.RATE_LIMITED, "Too many connections are open from this address.", retry_after=1
    ).to_json("none")
)
TOO_MANY = (
    b"HTTP/1.1 429 Too Many Requests\r\nContent-Type: application/problem+json\r\n"
    b"Retry-After: 1\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s"
    % (len(_TOO_MANY_BODY), _TOO_MANY_BODY)
)

log = structlog.get_logger(__name__)


class ConnectionWatch:
    """Counts the connections of one server, and those that it closed."""

    def __init__(self, connections: Connections | None, metrics: Metrics | None) -> None:
        self._connections = connections
        self._closed = (
            metrics.counter("connections_closed", "Connections refused or cut", ("reason",))
            if metrics is not None and connections is not None
            else None
        )

    def take(self, transport: asyncio.BaseTransport) -> str | None:
        """As `Connections.take`."""
        if self._connections is None:
            return ""
        name = self._connections.take(transport)
        if name is None:
            self.closed("too many")
        return name

    def give_back(self, name: str) -> None:
        """The connection is gone."""
        if self._connections is not None:
            self._connections.give_back(name)

    def closed(self, reason: str) -> None:
        """One was closed for this reason."""
        if self._closed is not None:
            self._closed.labels(reason).inc()


def _size(message: Any) -> int:
    """Bytes of a parsed head, about: that of an error is none."""
    headers = getattr(message, "raw_headers", ())
    return len(getattr(message, "path", "")) + sum(len(name) + len(v) + 4 for name, v in headers)


class ProblemHandler(web.RequestHandler):
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

    def __init__(self, manager: web.Server, watch: ConnectionWatch, **options: Any) -> None:
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
            real.write(TOO_MANY)
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

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """What the parser refused (4xx) or what broke outside the frame (500), as a problem document."""
        if request.writer.output_size > 0:
            raise ConnectionResetError("an answer had begun")
        if status < 500 or isinstance(exc, HttpProcessingError):
            problem = Problem(Code.INVALID, "This is no well-formed HTTP request.")
        else:
            log.error("connection.failed", exc_info=exc)
            problem = INTERNAL
        response = bare_problem(request, problem)
        response.force_close()
        return response


class ProblemServer(web.Server):
    """Makes our connections instead of aiohttp's."""

    def __init__(self, handler: Any, watch: ConnectionWatch, **options: Any) -> None:
        super().__init__(handler, **options)
        self._watch = watch

    def __call__(self) -> web.RequestHandler:
        """A new connection's protocol."""
        return ProblemHandler(self, self._watch, loop=self._loop, **self._kwargs)


class GatewayRunner(web.AppRunner):
    """Runs an application on `ProblemServer`."""

    def __init__(self, app: web.Application) -> None:
        super().__init__(
            app,
            access_log=None,
            auto_decompress=False,  # parsing.py unpacks, with a limit
            keepalive_timeout=KEEPALIVE_SECONDS,
            lingering_time=LINGER_SECONDS,
            shutdown_timeout=SHUTDOWN_SECONDS,
        )

    async def drain(self) -> None:
        """Accept no more connections; give the requests in flight time to end.

        aiohttp's own shutdown throws away what still arrives on a connection: a request whose body was on its
        way would be cut. So this comes before `cleanup`. Clients that keep their connections would keep us busy
        until the time is over: each gets one more answer and is sent away with it.
        """
        for site in list(self.sites):
            await site.stop()
        for connection in self._connections():
            connection.leaving = True
        try:
            async with asyncio.timeout(DRAIN_SECONDS):
                while self._is_busy():
                    await asyncio.sleep(0.02)
        except TimeoutError:
            log.warning("gateway.stopped_with_requests_left")

    def _is_busy(self) -> bool:
        return any(connection.is_busy for connection in self._connections())

    def _connections(self) -> list[ProblemHandler]:
        connections = self.server.connections if self.server else ()
        return [one for one in connections if isinstance(one, ProblemHandler)]

    async def _make_server(self) -> web.Server:
        server = await super()._make_server()
        inner, middleware = server.request_handler, self.app.get(MIDDLEWARE)

        async def handle(request: Any) -> web.StreamResponse:
            if middleware is not None:
                # Round aiohttp's routing, not as a middleware inside: that costs three calls for each request.
                return await middleware.answer(request, inner)
            try:
                return await inner(request)
            except web.HTTPException as error:
                refusal = from_exception(error)
                return bare_problem(request, refusal.problem if refusal else INTERNAL)

        return ProblemServer(
            handle,
            ConnectionWatch(self.app.get(CONNECTIONS), self.app.get(METRICS)),
            request_factory=server.request_factory,
            handler_cancellation=False,
            loop=server._loop,
            **server._kwargs,
        )
