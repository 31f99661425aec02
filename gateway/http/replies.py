"""Answers: JSON from plain values or from bytes that are JSON already.

In: a status, bytes, headers. Out: a `Reply`, which leaves the process in one write.
Must stay true: every answer that names a caller's things says `Cache-Control: no-store`, unless its handler said
otherwise (the middleware adds it).
"""

from collections.abc import Mapping
from typing import Any

import orjson
from aiohttp import web

from contracts.runtime.overrides.http_replies import Reply

JSON = "application/json"


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
