"""Representations (RFC 9110 section 3.2): a body, its entity tag and its compressed form, each made at most once.

In: the bytes of an answer; what a client accepts, and what it has already. Out: the reply, whole, compressed or 304.
Must stay true: only who asks for gzip gets it; an answer that is kept for many is compressed once for all of them; an
entity tag names the version, not the coding: the contract gives it, and clients send it back in If-Match.
"""

import hashlib
import zlib
from collections.abc import Mapping
from functools import lru_cache

from aiohttp import web

from contracts.runtime.overrides.http_replies import Reply
from gateway.http.replies import JSON, empty_reply

COMPRESS_FROM_BYTES = 1024
_GZIP_WINDOW_BITS = 31
_LEVEL_ONCE, _LEVEL_KEPT = 1, 6
"""zlib's levels: what one client gets is compressed on the loop, while others wait; what is kept, for many."""


def gzip(body: bytes, level: int) -> bytes:
    """The body in gzip's form (RFC 1952), without a time in it: the same body is the same bytes."""
    packer = zlib.compressobj(level, wbits=_GZIP_WINDOW_BITS)
    return packer.compress(body) + packer.flush()


class Representation:
    """A body that is given out many times. Without `etag` the entity tag is a digest of the body."""

    __slots__ = ("_etag", "_gzipped", "body")

    def __init__(self, body: bytes, etag: str | None = None) -> None:
        self.body = body
        self._etag = etag
        self._gzipped: bytes | None = None

    @property
    def etag(self) -> str:
        """The entity tag, quoted."""
        if self._etag is None:
            self._etag = f'"{hashlib.blake2b(self.body, digest_size=12).hexdigest()}"'
        return self._etag

    @property
    def gzipped(self) -> bytes:
        """The body, compressed."""
        if self._gzipped is None:
            self._gzipped = gzip(self.body, _LEVEL_KEPT)
        return self._gzipped

    @property
    def kept_bytes(self) -> int:
        """What keeping it costs at the most: the compressed form may yet be made, and need not be smaller."""
        forms = 2 if len(self.body) >= COMPRESS_FROM_BYTES else 1
        return forms * len(self.body)


class RepresentationReply(Reply):
    """An answer whose body is a representation's."""

    def __init__(
        self,
        shown: Representation,
        headers: Mapping[str, str],
        content_type: str,
        charset: str | None,
    ) -> None:
        super().__init__(
            body=shown.body, headers=headers, content_type=content_type, charset=charset
        )
        self.shown = shown


def representation_reply(
    request: web.Request,
    shown: Representation,
    headers: Mapping[str, str] | None = None,
    content_type: str = JSON,
    charset: str | None = None,
) -> web.Response:
    """200 with the entity tag, or 304 when the client has it (If-None-Match)."""
    if matches(shown.etag, request.headers.get("If-None-Match")):
        return not_modified(shown.etag, headers)
    return RepresentationReply(
        shown, {"ETag": shown.etag, **(headers or {})}, content_type, charset
    )


def matches(etag: str, if_none_match: str | None) -> bool:
    """Whether If-None-Match names this entity tag (weak comparison, RFC 9110 section 13.1.2)."""
    if if_none_match is None:
        return False
    if if_none_match.strip() == "*":
        return True
    tags = (part.strip().removeprefix("W/") for part in if_none_match.split(","))
    return etag.removeprefix("W/") in tags


def not_modified(etag: str, headers: Mapping[str, str] | None = None) -> web.Response:
    """304 with the entity tag that still holds."""
    return empty_reply(304, {"ETag": etag, **(headers or {})})


def compress(request: web.BaseRequest, reply: Reply) -> None:
    """Give the reply its compressed form when it is large enough and the client asks for that."""
    body = reply.body
    if not isinstance(body, bytes) or len(body) < COMPRESS_FROM_BYTES:
        return
    reply.headers["Vary"] = "Accept-Encoding"
    if not accepts_gzip(request.headers.get("Accept-Encoding", "")):
        return
    if isinstance(reply, RepresentationReply):
        reply.send_coded(reply.shown.gzipped, "gzip")
    else:
        reply.send_coded(gzip(body, _LEVEL_ONCE), "gzip")


@lru_cache(maxsize=256)  # clients say the same thing over and over
def accepts_gzip(accepted: str) -> bool:
    """Whether Accept-Encoding asks for gzip (RFC 9110 section 12.5.3); nothing said asks for nothing."""
    weights: dict[str, bool] = {}
    for element in accepted.lower().split(","):
        coding, _, weight = element.partition(";")
        weights[coding.strip()] = weight.replace(" ", "").strip("0.") != "q="
    return weights.get("gzip", weights.get("x-gzip", weights.get("*", False)))
