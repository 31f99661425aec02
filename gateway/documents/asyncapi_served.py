"""The AsyncAPI documents over HTTP: what the world may send and hears, for everybody; all messages, for operators.

In: the whole document, the number of shards. Out: `/asyncapi.json` and `/asyncapi` (a page), which show rates and
webhooks alone; `/api/admin/asyncapi.json`, which shows everything.
Must stay true: what is public is cut out of the whole, never written a second time, with all that it refers to and
nothing else; it is open to members that come later, as every answer of the contract is.
"""

from collections.abc import Iterator
from copy import deepcopy
from functools import cache
from typing import Any

import orjson
from aiohttp import web

from contracts.messaging.topology import topology
from gateway.documents.asyncapi import build
from gateway.documents.asyncapi_page import render
from gateway.documents.openapi_schemas import open_up
from gateway.documents.pages import HtmlPage, page_reply
from gateway.http.keys import SETTINGS
from gateway.http.representations import Representation, representation_reply
from gateway.http.routing import (
    ADMIN,
    ANYONE,
    Route,
    RouteAnswer,
)

_COMPONENTS = "#/components/"
PUBLIC_CHANNELS = frozenset({"rates", "webhooks"})
_INFO = {
    "title": "EventHub",
    "description": (
        "What EventHub takes from rate providers and tells to webhooks. A provider publishes its rates to the broker "
        "under its own user, as plain JSON or in a CloudEvent, persistent, with a `message_id`. A webhook is told, "
        "signed after Standard Webhooks, what its owner may hear of; delivery is at least once, `webhook-id` names the "
        "event. "
        "Receivers ignore members and types that they do not know."
    ),
}


@cache
def whole(shards: int) -> Representation:
    """Every message, for so many inventory shards."""
    return Representation(orjson.dumps(build(topology(shards, 1))))


@cache
def public() -> Representation:
    """What concerns the world."""
    return Representation(orjson.dumps(cut(build(topology(1, 1)))))


@cache
def page() -> HtmlPage:
    """What concerns the world, as a page."""
    return HtmlPage(*render(orjson.loads(public().body)))


def cut(document: dict[str, Any]) -> dict[str, Any]:
    """The part of a whole document that is about `PUBLIC_CHANNELS`."""
    rest = deepcopy(document)
    open_up(rest)
    rest["info"] |= _INFO
    rest["channels"] = {n: c for n, c in rest["channels"].items() if n in PUBLIC_CHANNELS}
    rest["operations"] = {
        name: operation
        for name, operation in rest["operations"].items()
        if operation["channel"]["$ref"].rpartition("/")[2] in PUBLIC_CHANNELS
    }
    components: dict[str, dict[str, Any]] = rest.pop("components")
    used: dict[str, dict[str, Any]] = {kind: {} for kind in components}
    waiting = list(_references(rest))
    while waiting:
        kind, _, name = waiting.pop().partition("/")
        if name not in used[kind]:
            used[kind][name] = components[kind][name]
            waiting += _references(used[kind][name])
    return {**rest, "components": used}


def _references(value: Any) -> Iterator[str]:
    """Every component that a part of the document names: `kind/name`."""
    if isinstance(value, list):
        for one in value:
            yield from _references(one)
    elif isinstance(value, dict):
        reference = value.get("$ref")
        if isinstance(reference, str) and reference.startswith(_COMPONENTS):
            yield reference.removeprefix(_COMPONENTS)
        for one in value.values():
            yield from _references(one)


async def asyncapi_json(request: web.Request) -> web.Response:
    """GET /asyncapi.json."""
    return representation_reply(request, public())


async def asyncapi_page(request: web.Request) -> web.Response:
    """GET /asyncapi."""
    return page_reply(request, page())


async def internal_json(request: web.Request) -> web.Response:
    """GET /api/admin/asyncapi.json."""
    return representation_reply(request, whole(request.app[SETTINGS].shards))


_DOCUMENT = {
    200: RouteAnswer(
        None, "AsyncAPI 3.0.", ("ETag",), media_type="application/json; charset=utf-8"
    ),
    304: RouteAnswer(None, "It is still what If-None-Match names.", ("ETag",)),
}

ROUTES = (
    Route(
        method="GET",
        path="/asyncapi.json",
        operation_id="asyncapi",
        summary="The messages that come in and go out",
        handler=asyncapi_json,
        access=ANYONE,
        answers=_DOCUMENT,
        tag="Operations",
        request_headers=("If-None-Match",),
        description="Rates from providers, webhooks to their receivers.",
    ),
    Route(
        method="GET",
        path="/asyncapi",
        operation_id="asyncapiPage",
        summary="The messages that come in and go out, as a page",
        handler=asyncapi_page,
        access=ANYONE,
        answers={
            200: RouteAnswer(None, "A page.", ("ETag",), media_type="text/html"),
            304: RouteAnswer(None, "It is still what If-None-Match names.", ("ETag",)),
        },
        tag="Operations",
        request_headers=("If-None-Match",),
    ),
    Route(
        method="GET",
        path="/api/admin/asyncapi.json",
        operation_id="asyncapiInternal",
        summary="All messages, also those between EventHub's own processes",
        handler=internal_json,
        access=ADMIN,
        answers=_DOCUMENT,
        tag="Administration",
        request_headers=("If-None-Match",),
    ),
)
