"""Events over HTTP: create, change, cancel (commands), show (a read). Lists stand in `event_lists`.

In: an event's members, a merge patch, an id. Out: the event, or why not.
Must stay true: a foreign event is 404 for organizers (403 is for those without the role); If-Match is the
worker's to judge, only its form is looked at here.
"""

import re
from typing import Any

import orjson
from aiohttp import web

from contracts.catalogue import EventMembers, EventPatch
from contracts.commands import CancelEvent, Command, CreateEvent, UpdateEvent
from contracts.models import Principal
from contracts.outcomes import Outcome
from contracts.problems import Code
from contracts.resources import EventResource, event_etag
from contracts.runtime.times import from_wire, to_wire
from gateway.availability.cache import AVAILABILITY
from gateway.availability.directory import DIRECTORY
from gateway.caching.catalogue import CATALOGUE, CachedResource
from gateway.http.keys import CONTEXT, body, path_id
from gateway.http.models import Body
from gateway.http.problems import invalid
from gateway.http.representations import representation_reply
from gateway.http.routing import (
    ANYONE,
    ORGANIZER_OR_ADMIN,
    Ownership,
    Route,
    RouteAnswer,
)
from gateway.submission.submit import Call, submit

CACHING = {"Cache-Control": "public, max-age=1"}
_TAG = r'(?:W/)?"[\x21\x23-\x7e\x80-\xff]*"'
_IF_MATCH = re.compile(rf"\*|{_TAG}(?:\s*,\s*{_TAG})*")
_TIMES = frozenset({"startTime", "endTime", "salesStart", "salesEnd", "refundUntil"})


class CreateEventBody(EventMembers, Body):
    """A new event. A DRAFT is seen by its organizer and admins alone; refundUntil null: buyers cannot refund."""


class UpdateEventBody(EventPatch, Body):
    """A merge patch: only what is sent changes; null removes a description, a venue or refundUntil, and makes the time
    zone UTC."""


def if_match(request: web.Request) -> str | None:
    """The If-Match header. Raises Refusal (400) when it is no list of entity tags (RFC 9110, 13.1.1)."""
    given = request.headers.getall("If-Match", ())
    if not given:
        return None
    value = ", ".join(given).strip()
    if not _IF_MATCH.fullmatch(value):
        raise invalid("If-Match is no list of entity tags.", ("If-Match", 'is not like "v3"'))
    return value


def canonical(members: dict[str, Any]) -> dict[str, Any]:
    """The members with their times in UTC: what is the same moment is the same request."""
    return {
        name: to_wire(from_wire(value)) if name in _TIMES and value is not None else value
        for name, value in members.items()
    }


def cache_policy(shown: CachedResource) -> dict[str, str]:
    """What caches may do with it; of a draft nothing, as with all that is somebody's own."""
    return {} if shown.concealed else CACHING


def shown_reply(request: web.Request, shown: CachedResource) -> web.Response:
    """The resource with its entity tag, or 304."""
    return representation_reply(request, shown.shown, cache_policy(shown))


async def show_event(request: web.Request) -> web.Response:
    """GET /api/events/{eventId}."""
    event_id, caller = path_id(request, "eventId"), request[CONTEXT].caller
    return shown_reply(request, await request.app[CATALOGUE].event(event_id, caller))


async def create_event(request: web.Request) -> web.Response:
    """POST /api/events."""
    members = canonical(body(request, CreateEventBody).model_dump(by_alias=True))

    async def prepare(caller: Principal, fingerprint: str) -> Command:
        return CreateEvent.model_validate(
            {**members, "principal": caller, "fingerprint": fingerprint}
        )

    return await submit(request, Call(CreateEvent, members, prepare, etag=event_etag))


async def update_event(request: web.Request) -> web.Response:
    """PATCH /api/events/{eventId}."""
    event_id, precondition = path_id(request, "eventId"), if_match(request)
    patch = canonical(body(request, UpdateEventBody).model_dump(by_alias=True, exclude_unset=True))

    async def prepare(caller: Principal, fingerprint: str) -> Command:
        await request.app[CATALOGUE].managed_event(event_id, caller)
        return UpdateEvent(
            principal=caller,
            fingerprint=fingerprint,
            event_id=event_id,
            patch=EventPatch.model_validate(patch),
            if_match=precondition,
        )

    call = Call(UpdateEvent, patch, prepare, etag=event_etag, on_outcome=_changed(request))
    return await submit(request, call)


async def cancel_event(request: web.Request) -> web.Response:
    """DELETE /api/events/{eventId}."""
    event_id = path_id(request, "eventId")

    async def prepare(caller: Principal, fingerprint: str) -> Command:
        await request.app[CATALOGUE].managed_event(event_id, caller)
        return CancelEvent(principal=caller, fingerprint=fingerprint, event_id=event_id)

    call = Call(CancelEvent, {}, prepare, etag=event_etag, on_outcome=_changed(request))
    return await submit(request, call)


def _changed(request: web.Request) -> Any:
    app, event_id = request.app, path_id(request, "eventId")

    def changed(_: Command, outcome: Outcome) -> None:
        app[CATALOGUE].changed(event_id, None)
        app[AVAILABILITY].changed(event_id)
        if outcome.code is None:
            # Its types show nothing of it but whether they are there: it may have been a draft, or become one.
            for one in orjson.loads(outcome.body)["ticketTypes"]:
                app[CATALOGUE].changed(None, one["id"])
                app[DIRECTORY].forget(one["id"])

    return changed


_EVENT = RouteAnswer(EventResource, "The event.", ("ETag",))
NOT_MODIFIED = RouteAnswer(None, "It is still what If-None-Match names.", ("ETag",))

ROUTES = (
    Route(
        method="GET",
        path="/api/events/{eventId}",
        operation_id="showEvent",
        summary="An event with its ticket types",
        handler=show_event,
        access=ANYONE,
        answers={200: _EVENT, 304: NOT_MODIFIED},
        tag="Events",
        request_headers=("If-None-Match",),
        description="At most 1 s old. A draft is 404 to others than its organizer and admins.",
    ),
    Route(
        method="POST",
        path="/api/events",
        operation_id="createEvent",
        summary="Create an event",
        handler=create_event,
        access=ORGANIZER_OR_ADMIN,
        answers={201: RouteAnswer(EventResource, "The event.", ("Location", "ETag"))},
        tag="Events",
        body=CreateEventBody,
        is_command=True,
    ),
    Route(
        method="PATCH",
        path="/api/events/{eventId}",
        operation_id="updateEvent",
        summary="Change an event",
        handler=update_event,
        access=ORGANIZER_OR_ADMIN,
        ownership=Ownership.EVENT_ORGANIZER_OR_ADMIN,
        answers={200: _EVENT},
        tag="Events",
        body=UpdateEventBody,
        is_command=True,
        request_headers=("If-Match",),
        problems=frozenset({Code.VERSION_CONFLICT, Code.SALES_CLOSED, Code.EVENT_HAS_SALES}),
        description="A merge patch (RFC 7396): only what is sent changes. `status` moves between DRAFT and PUBLISHED "
        "while no ticket is held or sold. `salesPaused` closes the sale within a second, and opens it again; orders "
        "that exist are paid on.",
    ),
    Route(
        method="DELETE",
        path="/api/events/{eventId}",
        operation_id="cancelEvent",
        summary="Cancel an event and its unpaid orders",
        handler=cancel_event,
        access=ORGANIZER_OR_ADMIN,
        ownership=Ownership.EVENT_ORGANIZER_OR_ADMIN,
        answers={
            200: RouteAnswer(
                EventResource,
                "The event, CANCELLED.",
                ("ETag",),
                example={"status": "CANCELLED", "version": 2},
            )
        },
        tag="Events",
        is_command=True,
        problems=frozenset({Code.EVENT_HAS_SALES}),
    ),
)
