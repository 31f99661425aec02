"""The API's description for machines (`/openapi.json`) and for people (`/docs`, one page, no outside call).

In: the route table. Out: the OpenAPI document, built once per process, and a page that renders it.
Must stay true: the page runs under a content security policy that lets it speak with this gateway and nobody else.
"""

import base64
import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib import resources

import orjson
from aiohttp import web

from gateway.documents.openapi import build
from gateway.http.keys import OPENAPI
from gateway.http.representations import Representation, representation_reply
from gateway.http.routing import (
    ANYONE,
    Route,
    RouteAnswer,
)

_INLINE = re.compile(r"<(script|style)>(.*?)</\1>", re.DOTALL)


def render_document(table: Sequence[Route]) -> Representation:
    """The OpenAPI document of a table as JSON."""
    return Representation(orjson.dumps(build(table)))


@dataclass(frozen=True, slots=True)
class HtmlPage:
    """HTML, and the policy it runs under."""

    html: str
    policy: str
    shown: Representation = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "shown", Representation(self.html.encode()))


@cache
def page(name: str) -> HtmlPage:
    """A page of this package: its own inline parts are allowed by hash."""
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
    return HtmlPage(html, policy)


def page_reply(request: web.Request, shown: HtmlPage) -> web.Response:
    """A page under its policy."""
    headers = {"Content-Security-Policy": shown.policy}
    return representation_reply(request, shown.shown, headers, "text/html", "utf-8")


async def openapi(request: web.Request) -> web.Response:
    """GET /openapi.json."""
    return representation_reply(request, request.app[OPENAPI])


async def docs(request: web.Request) -> web.Response:
    """GET /docs."""
    return page_reply(request, page("docs.html"))


_NOT_MODIFIED = RouteAnswer(None, "It is still what If-None-Match names.", ("ETag",))

ROUTES = (
    Route(
        method="GET",
        path="/openapi.json",
        operation_id="openapi",
        summary="This document",
        handler=openapi,
        access=ANYONE,
        answers={
            200: RouteAnswer(
                None, "OpenAPI 3.1.", ("ETag",), media_type="application/json; charset=utf-8"
            ),
            304: _NOT_MODIFIED,
        },
        tag="Operations",
        request_headers=("If-None-Match",),
    ),
    Route(
        method="GET",
        path="/docs",
        operation_id="docs",
        summary="This document as a page",
        handler=docs,
        access=ANYONE,
        answers={
            200: RouteAnswer(None, "A page.", ("ETag",), media_type="text/html"),
            304: _NOT_MODIFIED,
        },
        tag="Operations",
        request_headers=("If-None-Match",),
    ),
)
