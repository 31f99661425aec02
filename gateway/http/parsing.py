"""Requests turned into validated models: strict JSON, bounded and timed bodies, path ids, queries.

In: an aiohttp request. Out: pydantic models, or `Refusal` (400, 413, 415).
Must stay true: no more than a route's `body_bytes_max` of a body are ever held, compressed or not; duplicate keys, NaN,
Infinity, lone surrogates, NUL or deep nesting never reach a model; an error never repeats the input. A byte order mark
in front of a JSON body is no part of it (some clients put one there).

JSON: RFC 8259 (section 8.1: who reads may ignore a byte order mark); duplicate names are refused as RFC 7493 (I-JSON)
section 2.3 asks.
"""

import asyncio
import json
import re
import zlib
from functools import cache
from typing import Any, TypeVar, cast
from urllib.parse import unquote_to_bytes

import orjson
from aiohttp import web
from aiohttp.web_exceptions import HTTPException
from pydantic import ValidationError

from contracts.problems import Code, Problem
from contracts.standards.text import BYTE_ORDER_MARK
from gateway.http.models import (
    Body,
    NoBody,
    NoQuery,
    Query,
)
from gateway.http.problems import Refusal, invalid
from gateway.http.validation import bad_body, bad_query

BODY_BYTES_MAX = 64 * 1024
BODY_SECONDS = 10.0
"""A body of 64 KiB that takes longer is a slow-body attack or a dead line."""
_ID = re.compile(r"[0-9]{1,19}", re.ASCII)
_ID_MAX = 2**63 - 1
_JSON_TYPE = re.compile(r"application/(?:json|[a-z0-9.\-]+\+json)")

Q = TypeVar("Q", bound=Query)
B = TypeVar("B", bound=Body)


def parse_id(text: str, name: str) -> int:
    """A path id in 1 … 2^63 - 1. Raises Refusal (400)."""
    if _ID.fullmatch(text) and 1 <= (number := int(text)) <= _ID_MAX:
        return number
    raise invalid(
        f"{name} in the address is no id.", (name, "is a whole number from 1 to 2^63 - 1")
    )


def parse_query(request: web.Request, model: type[Q]) -> Q:
    """The validated query. Raises Refusal (400) for bad values and for a known name given twice."""
    if not request.rel_url.raw_query_string:
        return cast("Q", _nothing_asked(model))
    _check_text(request.rel_url.raw_query_string)
    given = request.query
    values: dict[str, str] = {}
    for name in _query_names(model):
        found = given.getall(name, ())
        if len(found) > 1:
            raise invalid("The query does not fit this call.", ("?" + name, "is given twice"))
        if found:
            values[name] = found[0]
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise bad_query(error) from None


def _check_text(raw: str) -> None:
    """Refuse bytes that are no UTF-8: yarl would put something else in their place. Raises Refusal (400)."""
    if "%" in raw:
        try:
            unquote_to_bytes(raw).decode("utf-8")
        except UnicodeDecodeError:
            raise invalid(
                "The query is not UTF-8.", ("?", "holds bytes that are no UTF-8")
            ) from None


@cache
def _nothing_asked(model: type[Query]) -> Query:
    # Models are frozen: one instance serves every request without a query.
    return model()


@cache
def _query_names(model: type[Query]) -> list[str]:
    return [field.alias or name for name, field in model.model_fields.items()]


async def parse_body(request: web.Request, model: type[B], most: int = BODY_BYTES_MAX) -> B:
    """The validated body of at most so many bytes. Raises Refusal (400, 413, 415); an empty one fits `NoBody` alone."""
    raw = await read_body(request, most)
    if model is NoBody and not raw:
        return model()
    _require_json(request)
    raw = raw.removeprefix(BYTE_ORDER_MARK)
    check_json(raw)
    try:
        return model.model_validate_json(raw)
    except ValidationError as error:
        raise bad_body(error, orjson.loads(raw)) from None


def _require_json(request: web.Request) -> None:
    if request.headers.get("Content-Type") == "application/json":
        return
    if not _JSON_TYPE.fullmatch(request.content_type):
        raise Refusal(Problem(Code.NOT_JSON, "Send the body as application/json."))
    if (request.charset or "utf-8").lower() not in ("utf-8", "utf8"):
        raise Refusal(Problem(Code.NOT_JSON, "JSON is sent as UTF-8."))


async def read_body(request: web.Request, most: int = BODY_BYTES_MAX) -> bytes:
    """The whole body, decompressed. Raises Refusal: 413 over `most`, 415 for an unknown coding, 400 when it
    does not arrive in time or breaks off."""
    raw = _arrived(request)
    if raw is None:
        raw = await _arriving(request, most)
    if len(raw) > most:
        raise _too_large(most)
    coding = request.headers.get("Content-Encoding")
    return raw if coding is None or not raw else _decompress(raw, coding, most)


def _arrived(request: web.Request) -> bytes | None:
    """The body when all of it is here already, as a small one is: no turn of the loop, no timer."""
    content = request.content
    try:
        return content.read_nowait() if content.is_eof() else None
    except (web.RequestPayloadError, ConnectionError):
        raise _broken_off() from None


async def _arriving(request: web.Request, most: int) -> bytes:
    if (request.content_length or 0) > most:
        raise _too_large(most)
    arrived = bytearray()
    try:
        async with asyncio.timeout(BODY_SECONDS):
            async for some in request.content.iter_any():
                arrived += some
                if len(arrived) > most:
                    raise _too_large(most)
    except TimeoutError:
        raise invalid("The body did not arrive in time.") from None
    except HTTPException:
        raise invalid("The body is malformed.") from None
    except (web.RequestPayloadError, ConnectionError):
        raise _broken_off() from None
    return bytes(arrived)


def _broken_off() -> Refusal:
    # Malformed chunks, or the client is gone: not a server of ours that is away.
    return invalid("The body is malformed or broke off.")


_WINDOW_BITS = {"gzip": 31, "x-gzip": 31, "deflate": 15}


def _decompress(raw: bytes, coding: str, most: int = BODY_BYTES_MAX) -> bytes:
    coding = coding.strip().lower()
    if coding == "identity":
        return raw
    if coding not in _WINDOW_BITS:
        raise Refusal(Problem(Code.NOT_JSON, "Bodies may be plain or gzip, nothing else."))
    opened = zlib.decompressobj(_WINDOW_BITS[coding])
    try:
        # max_length stops a bomb before it unfolds.
        plain = opened.decompress(raw, most + 1)
    except zlib.error:
        raise invalid("The body is not what its Content-Encoding says.") from None
    if len(plain) > most:
        raise _too_large(most)
    if not opened.eof or opened.unused_data:
        raise invalid("The body is not what its Content-Encoding says.")
    return plain


def _too_large(most: int) -> Refusal:
    return Refusal(Problem(Code.TOO_LARGE, f"A body may have {most} bytes, unpacked too."))


class _DuplicateKey(ValueError):
    pass


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise _DuplicateKey
    return members


_DECODER = json.JSONDecoder(object_pairs_hook=_unique)


def _is_written_so(value: Any, raw: bytes) -> bool:
    try:
        return orjson.dumps(value) == raw
    except orjson.JSONEncodeError:
        return False  # deeper than orjson writes


def check_json(raw: bytes) -> None:
    """Refuse what a strict reader refuses. Raises Refusal (400)."""
    try:
        # orjson refuses NaN, Infinity, 1e999, lone surrogates, bad UTF-8 and more than 1,024 levels.
        value = orjson.loads(raw)
        # What it writes has no name twice. Most bodies are written just so; only of the others the standard decoder
        # has to be asked, which alone can tell a duplicate name.
        if not _is_written_so(value, raw):
            _DECODER.decode(raw.decode())
    except _DuplicateKey:
        raise invalid("The body names a member twice.") from None
    except (ValueError, RecursionError):
        raise invalid("The body is no well-formed JSON.") from None


EMPTY_QUERY = NoQuery()
