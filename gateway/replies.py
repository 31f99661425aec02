"""Answers: JSON from plain values or from bytes that are JSON already.

Must stay true: every answer that names a caller's things says `Cache-Control: no-store`, unless its handler said
otherwise (the frame adds it).
"""

from collections.abc import Mapping
from typing import Any

import orjson
from aiohttp import web

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
    return web.Response(body=body, status=status, headers=headers, content_type=content_type)


def no_content() -> web.Response:
    """204."""
    return web.Response(status=204)
