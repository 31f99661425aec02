"""Connections of aiohttp's HTTP server with timeouts of their own, and a server that makes them.

In: connections. Out: requests. Must stay true: a connection that never finishes its first request is closed; one that
is being left says so with its last answer.
"""

import asyncio
from typing import Any, ClassVar

from aiohttp import web

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
    },
)
FIRST_REQUEST_SECONDS = 15.0


class BoundedConnection(web.RequestHandler):
    """One connection. leaving: the gateway stops, the next answer is the last one here."""

    __slots__ = ("_first_request", "leaving")

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A connection that has not sent one whole request in time is closed."""
        super().connection_made(transport)
        self.leaving = False
        self._first_request = self._loop.call_later(FIRST_REQUEST_SECONDS, self._close_if_silent)

    def connection_lost(self, exc: BaseException | None) -> None:
        """The line is gone."""
        self._first_request.cancel()
        super().connection_lost(exc)

    def _close_if_silent(self) -> None:
        if self._request_count == 0 and not self._request_in_progress:
            self.force_close()

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
        return await super().finish_response(request, resp, start_time)


class ConnectionServer(web.Server):
    """Makes connections of a class of ours instead of aiohttp's."""

    connection: ClassVar[type[BoundedConnection]] = BoundedConnection

    def __call__(self) -> web.RequestHandler:
        """A new connection's protocol."""
        return self.connection(self, loop=self._loop, **self._kwargs)

    @classmethod
    def like(cls, server: web.Server, handle: Any) -> web.Server:
        """One with the same settings as aiohttp's own, and this handler; a handler is never cancelled."""
        return cls(
            handle,
            request_factory=server.request_factory,
            handler_cancellation=False,
            loop=server._loop,
            **server._kwargs,
        )
