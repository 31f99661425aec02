"""An answer whose whole body is known, written to its connection at once.

In: a status, bytes, headers. Out: a `Reply`, which leaves the process in one write.
Must stay true: a `Reply`'s headers are complete when its handler and the middleware are done with it: no signal of
aiohttp's is sent for it; no control character gets into a head (aiohttp's serializer refuses them).
"""

import time
from email.utils import formatdate
from functools import lru_cache

from aiohttp import web
from aiohttp.abc import AbstractStreamWriter

from contracts.runtime.overrides.internals import LibraryInternals

INTERNALS = LibraryInternals(
    "aiohttp",
    ("3.14.5",),
    {
        "aiohttp.web_response:Response.__init__": "a6a7497dd6dce4f2",
        "aiohttp.web_response:Response._start": "5b9473c63ff522b4",
        "aiohttp.web_response:Response.write_eof": "67abfc368fa8cbcb",
        "aiohttp.web_response:StreamResponse._prepare_headers": "92807d25d9c397cd",
        "aiohttp.web_response:StreamResponse._start": "7e03ebd82e7f9f98",
        "aiohttp.web_response:StreamResponse._write_headers": "0280580268bc7e84",
        "aiohttp.web_response:StreamResponse.prepare": "9c6c49cc07222eef",
        "aiohttp.web_response:StreamResponse.write_eof": "12b174e4cfe3bb7e",
        "aiohttp.http_writer:StreamWriter.write_eof": "c7e545df80b9eb68",
        "aiohttp.http_writer:StreamWriter.write_headers": "41686943f544d978",
        "aiohttp.web_request:BaseRequest.__init__": "dae5bbed7d90f1dd",
    },
)
NO_BODY = frozenset({204, 304})
"""Statuses whose answers have neither a body nor a length (RFC 9110 sections 15.3.5 and 15.4.5)."""


class Reply(web.Response):
    """An answer whose whole body is known, written by itself: half the work of aiohttp's general way.

    What that way does beside (cookies, compression, chunks, prepare signals, payload objects) no `Reply` has.
    """

    _body: bytes | None  # narrower than aiohttp's: see above

    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter:
        """Make the head; nothing is sent yet."""
        writer = request._payload_writer
        if self._payload_writer is not None:
            return writer
        self._payload_writer = writer
        headers, status = self._headers, self._status
        if status in NO_BODY:
            self._body = None
        else:
            headers["Content-Length"] = str(len(self._body or b""))
            if request.method == "HEAD":
                self._body = None
        headers["Date"] = _http_date(int(time.time()))
        self._say_how_it_ends(request)
        version = "1.1" if request.version >= (1, 1) else "1.0"
        await writer.write_headers(f"HTTP/{version} {status} {self._reason}", headers)
        return writer

    def send_coded(self, coded: bytes, coding: str) -> None:
        """Send the body in another form of itself (Content-Encoding)."""
        self._body = coded
        self._headers["Content-Encoding"] = coding

    def _say_how_it_ends(self, request: web.BaseRequest) -> None:
        """Whether the connection stays: RFC 9112 section 9.3; HTTP/1.0 has to be told when it does."""
        if self._keep_alive is None:
            self._keep_alive = request.keep_alive
        if not self._keep_alive:
            self._headers["Connection"] = "close"
        elif request.version < (1, 1):
            self._headers["Connection"] = "keep-alive"

    async def write_eof(self, data: bytes = b"") -> None:
        """Send head and body together."""
        writer = self._payload_writer
        if self._eof_sent or writer is None:
            return
        await writer.write_eof(self._body or b"")
        self._eof_sent = True


@lru_cache(maxsize=2)
def _http_date(second: int) -> str:
    """RFC 9110 section 5.6.7, for a second since 1970."""
    return formatdate(second, usegmt=True)
