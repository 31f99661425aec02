"""The API's description for machines (`/openapi.json`) and for people (`/docs`, one page, no outside call).

In: the route table. Out: the OpenAPI document, built once per process, and a page that renders it.
Must stay true: the page runs under a content security policy that lets it speak with this gateway and nobody else.
"""

import base64
import hashlib
import re
from collections.abc import Sequence
from functools import cache
from importlib import resources

import orjson
from aiohttp import web

from gateway.documents.openapi import build
from gateway.http.keys import OPENAPI
from gateway.http.replies import raw_reply
from gateway.http.routing import (
    ANYONE,
    Route,
    RouteAnswer,
)

CACHE_CONTROL = "public, max-age=60"
_INLINE = re.compile(r"<(script|style)>(.*?)</\1>", re.DOTALL)


def render_document(table: Sequence[Route]) -> bytes:
    """The OpenAPI document of a table as JSON."""
    return orjson.dumps(build(table))


@cache
def page(name: str) -> tuple[str, str]:
    """(HTML, Content-Security-Policy) of a page of this package: its own inline parts are allowed by hash."""
    html = resources.files("gateway.documents").joinpath(name).read_text("utf-8")
    hashes: dict[str, list[str]] = {"script": [], "style": []}
    for kind, text in _INLINE.findall(html):
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        hashes[kind].append(f"'sha256-{digest}'")
    script, style = (" ".join(hashes[kind]) or "'none'" for kind in ("script", "style"))
    policy = (
        f"default-src 'none'; script-src {script}; style-src {style}; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    return html, policy


def page_reply(name: str) -> web.Response:
    """A page of this package."""
    html, policy = page(name)
    headers = {"Content-Security-Policy": policy, "Cache-Control": CACHE_CONTROL}
    return web.Response(text=html, content_type="text/html", headers=headers)


async def openapi(request: web.Request) -> web.Response:
    """GET /openapi.json."""
    return raw_reply(request.app[OPENAPI], headers={"Cache-Control": CACHE_CONTROL})


async def docs(request: web.Request) -> web.Response:
    """GET /docs."""
    return page_reply("docs.html")


ROUTES = (
    Route(
        method="GET",
        path="/openapi.json",
        operation_id="openapi",
        summary="This document",
        handler=openapi,
        access=ANYONE,
        answers={
            200: RouteAnswer(None, "OpenAPI 3.1.", media_type="application/json; charset=utf-8")
        },
        tag="Operations",
    ),
    Route(
        method="GET",
        path="/docs",
        operation_id="docs",
        summary="This document as a page",
        handler=docs,
        access=ANYONE,
        answers={200: RouteAnswer(None, "A page.", media_type="text/html")},
        tag="Operations",
    ),
)
