"""Answers: JSON from plain values or from bytes that are JSON already, and what writes them to the connection.

In: a status, bytes, headers. Out: a `Reply`, which leaves the process in one write.
Must stay true: every answer that names a caller's things says `Cache-Control: no-store`, unless its handler said
otherwise (the frame adds it); a `Reply`'s headers are complete when its handler and the frame are done with it: no
signal of aiohttp's is sent for it; no control character gets into a head (aiohttp's serializer refuses them).
"""

import time
from collections.abc import Mapping
from email.utils import formatdate
from functools import lru_cache
from typing import Any

import orjson
from aiohttp import web
from aiohttp.abc import AbstractStreamWriter

JSON = "application/json"
NO_BODY = frozenset({204, 304})
"""Statuses whose answers have neither a body nor a length (RFC 9110 sections 15.3.5 and 15.4.5)."""


class Reply(web.Response):
    """An answer whose whole body is known, written by itself: half the work of aiohttp's general way.

    What that way does beside (cookies, chunks, prepare signals, payload objects) no `Reply` has.
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


def json_reply(
    value: Any, status: int = 200, headers: Mapping[str, str] | None = None
) -> web.Response:
    """`value` (plain values; datetimes as text already) as JSON."""
    return raw_reply(orjson.dumps(value), status, headers)


def raw_reply(
    body: bytes,
    status: int = 200,
    headers: Mapping[str, str] | None = None,
    content_type: str = JSON,
) -> web.Response:
    """Bytes that are a JSON document already."""
    return Reply(body=body, status=status, headers=headers, content_type=content_type)


def empty_reply(status: int, headers: Mapping[str, str] | None = None) -> web.Response:
    """An answer without a body: 204 or 304."""
    return Reply(status=status, headers=headers)


def no_content() -> web.Response:
    """204."""
    return empty_reply(204)
