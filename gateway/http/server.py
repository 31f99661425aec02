"""aiohttp's HTTP server with our changes: problem documents for what the parser refuses, and timeouts for slow clients.

In: connections. Out: requests for the application; a problem document for bytes that are no request.
Must stay true: nothing that a client sends, however broken, is answered by a page or a trace of the framework; a
connection that never finishes its headers is closed.

`handler_cancellation` is False on purpose: an order that is being published when its buyer hangs up still ends
properly, and is found again by its Idempotency-Key; waiting handlers have a limit of their own.
"""

import asyncio
from typing import Any

import structlog
from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from contracts.problems import Code, Problem
from contracts.runtime.overrides.http_connections import BoundedConnection, ConnectionServer
from gateway.http.middleware import MIDDLEWARE, bare_problem
from gateway.http.problems import INTERNAL, from_exception

KEEPALIVE_SECONDS = 75.0
LINGER_SECONDS = 2.0
"""How long the rest of a refused body is read and thrown away, so that the client sees the answer."""
DRAIN_SECONDS = 4.0
"""How long a stopping gateway lets requests in flight finish."""
SHUTDOWN_SECONDS = 1.5
"""What a request gets that is still there then. Cleanup may take this twice: `RequestHandler.shutdown` waits for the
handler, cancels it and waits again."""

log = structlog.get_logger(__name__)


class ProblemHandler(BoundedConnection):
    """One connection, which answers what is no request with a problem document."""

    __slots__ = ()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """What the parser refused (4xx) or what broke outside the middleware (500), as a problem document."""
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


class ProblemServer(ConnectionServer):
    """Makes our connections instead of aiohttp's."""

    connection = ProblemHandler


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

        return ProblemServer.like(server, handle)
