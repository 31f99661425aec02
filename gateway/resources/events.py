"""Events over HTTP: create, change, cancel (commands), list, show, orders and sales (reads).

In: an event's members, a merge patch, an id. Out: the event, or why not.
Must stay true: a foreign event is 404 for organizers (403 is for those without the role); If-Match is the
worker's to judge, only its form is looked at here.
"""

import re
from typing import Any

from aiohttp import web

from contracts.commands import CancelEvent, Command, CreateEvent, UpdateEvent
from contracts.models import Principal
from contracts.outcomes import Outcome
from contracts.problems import Code
from contracts.resources import event_etag, money
from contracts.runtime.times import from_wire, to_wire
from db import order_reads
from db.order_reads import OrderFilter
from gateway.availability.cache import AVAILABILITY
from gateway.caching.catalogue import CATALOGUE, CachedResource
from gateway.caching.event_list import LIST_SECONDS
from gateway.http.keys import (
    CONTEXT,
    DATABASE,
    body,
    path_id,
    principal,
    query,
)
from gateway.http.problems import forbidden, invalid, unauthenticated
from gateway.http.replies import json_reply
from gateway.http.representations import Representation, representation_reply
from gateway.http.routing import (
    ANYONE,
    ORGANIZER_OR_ADMIN,
    Ownership,
    Route,
    RouteAnswer,
)
from gateway.resources.orders import order_page
from gateway.resources.requests_catalogue import CreateEventBody, EventsQuery, UpdateEventBody
from gateway.resources.requests_orders import OrdersQuery
from gateway.resources.responses_catalogue import EventPage, EventResource, Sales
from gateway.resources.responses_orders import OrderPage
from gateway.submission.submit import Call, submit

EVENT_CACHING = {"Cache-Control": "public, max-age=1"}
LIST_CACHING = {"Cache-Control": f"public, max-age={LIST_SECONDS:.0f}"}
_TAG = r'(?:W/)?"[\x21\x23-\x7e\x80-\xff]*"'
_IF_MATCH = re.compile(rf"\*|{_TAG}(?:\s*,\s*{_TAG})*")
_TIMES = frozenset({"startTime", "endTime", "salesStart", "salesEnd"})


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


def shown_reply(request: web.Request, shown: CachedResource) -> web.Response:
    """The resource with its entity tag, or 304."""
    return representation_reply(request, shown.shown, EVENT_CACHING)


async def list_events(request: web.Request) -> web.Response:
    """GET /api/events."""
    wanted, catalogue = query(request, EventsQuery), request.app[CATALOGUE]
    if not wanted.mine:
        page = await catalogue.published(wanted)
        # Caches count from when the page was read, not from now (RFC 9111 section 5.1).
        return representation_reply(request, page.shown, {"Age": str(page.age), **LIST_CACHING})
    caller = request[CONTEXT].caller
    if caller is None:
        raise unauthenticated("Your own events need an access token.")
    if not caller.has(("ORGANIZER",)):
        raise forbidden()
    own = Representation(await catalogue.of_organizer(caller.user_id, wanted))
    return representation_reply(request, own)


async def show_event(request: web.Request) -> web.Response:
    """GET /api/events/{eventId}."""
    return shown_reply(request, await request.app[CATALOGUE].event(path_id(request, "eventId")))


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
            patch=patch,
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
        # The types of a cancelled or changed event show nothing of it: only the event is dropped.
        app[CATALOGUE].changed(event_id, None)
        app[AVAILABILITY].changed(event_id)

    return changed


async def list_event_orders(request: web.Request) -> web.Response:
    """GET /api/events/{eventId}/orders."""
    event_id = path_id(request, "eventId")
    await request.app[CATALOGUE].managed_event(event_id, principal(request))
    return await order_page(request, OrderFilter(event_id=event_id))


async def show_sales(request: web.Request) -> web.Response:
    """GET /api/events/{eventId}/sales."""
    event_id = path_id(request, "eventId")
    await request.app[CATALOGUE].managed_event(event_id, principal(request))
    sales = await order_reads.sales_of_event(request.app[DATABASE], event_id)
    types = [
        {
            "id": one.id,
            "quota": one.quota,
            "available": one.available,
            "held": one.held,
            "sold": one.sold,
            "revenue": money(one.revenue),
        }
        for one in sales
    ]
    return json_reply({"ticketTypes": types})


_EVENT = RouteAnswer(EventResource, "The event.", ("ETag",))
_NOT_MODIFIED = RouteAnswer(None, "It is still what If-None-Match names.", ("ETag",))

ROUTES = (
    Route(
        method="GET",
        path="/api/events",
        operation_id="listEvents",
        summary="Published events by start time; with mine=true own ones in every status",
        handler=list_events,
        access=ANYONE,
        answers={
            200: RouteAnswer(EventPage, "A page of events.", ("ETag", "Age")),
            304: _NOT_MODIFIED,
        },
        tag="Events",
        request_headers=("If-None-Match",),
        query=EventsQuery,
        problems=frozenset({Code.UNAUTHENTICATED, Code.FORBIDDEN}),
        description="`q` is looked for in name, venue and description; `from` and `to` bound startTime. "
        "Up to 30 s old. `mine=true` needs the role ORGANIZER and takes no filter.",
    ),
    Route(
        method="GET",
        path="/api/events/{eventId}",
        operation_id="showEvent",
        summary="An event with its ticket types",
        handler=show_event,
        access=ANYONE,
        answers={200: _EVENT, 304: _NOT_MODIFIED},
        tag="Events",
        request_headers=("If-None-Match",),
        description="At most 1 s old.",
    ),
    Route(
        method="POST",
        path="/api/events",
        operation_id="createEvent",
        summary="Create an event",
        handler=create_event,
        access=ORGANIZER_OR_ADMIN,
        answers={201: RouteAnswer(EventResource, "The event, PUBLISHED.", ("Location", "ETag"))},
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
        problems=frozenset({Code.VERSION_CONFLICT, Code.SALES_CLOSED}),
        description="A merge patch (RFC 7396): only what is sent changes.",
    ),
    Route(
        method="DELETE",
        path="/api/events/{eventId}",
        operation_id="cancelEvent",
        summary="Cancel an event and its unpaid orders",
        handler=cancel_event,
        access=ORGANIZER_OR_ADMIN,
        ownership=Ownership.EVENT_ORGANIZER_OR_ADMIN,
        answers={200: RouteAnswer(EventResource, "The event, CANCELLED.", ("ETag",))},
        tag="Events",
        is_command=True,
        problems=frozenset({Code.EVENT_HAS_SALES}),
    ),
    Route(
        method="GET",
        path="/api/events/{eventId}/orders",
        operation_id="listEventOrders",
        summary="Orders of an event, the newest first",
        handler=list_event_orders,
        access=ORGANIZER_OR_ADMIN,
        ownership=Ownership.EVENT_ORGANIZER_OR_ADMIN,
        answers={200: RouteAnswer(OrderPage, "A page of orders.")},
        tag="Events",
        query=OrdersQuery,
    ),
    Route(
        method="GET",
        path="/api/events/{eventId}/sales",
        operation_id="showSales",
        summary="What became of an event's tickets",
        handler=show_sales,
        access=ORGANIZER_OR_ADMIN,
        ownership=Ownership.EVENT_ORGANIZER_OR_ADMIN,
        answers={200: RouteAnswer(Sales, "Per ticket type.")},
        tag="Events",
    ),
)
