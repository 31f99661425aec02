"""Gates over HTTP: an organizer makes, lists and revokes the devices at the door of an event.

In: a name, an event's and a gate's id. Out: the gate and, once, its token.
Must stay true: the token is shown once and stored nowhere; whoever may manage the event may manage its door.
"""

from typing import Annotated

import structlog
from aiohttp import web
from pydantic import Field

from contracts.shapes import Answer, shows
from contracts.tickets.names import GateLabel
from contracts.tickets.scans import GateResource, GateRow, gate_resource
from db.tickets import gates
from db.tickets.gates import NewGate, TooManyGates
from gateway.caching.catalogue import CATALOGUE
from gateway.http.keys import DATABASE, GATES, body, path_id, principal, query
from gateway.http.models import Body, PageQuery
from gateway.http.paging import Page, from_cursor, page
from gateway.http.problems import invalid, not_found
from gateway.http.replies import json_reply, no_content
from gateway.http.routing import ORGANIZER_OR_ADMIN, Ownership, Route, RouteAnswer

GATES_MAX = 500
"""Working gates of one event."""
log = structlog.get_logger(__name__)


class NewGateBody(Body):
    """A device at the door, by the name that people there know it by."""

    name: GateLabel


@shows(GateRow)
class CreatedGate(Answer):
    """A new gate. `token` is shown here and never again."""

    token: Annotated[str, Field(pattern=r"^ehg_", examples=["ehg_AAAAAAAAABGq2uYzqfQ"])]


class GatePage(Page):
    """A page of gates by rising id."""

    data: list[GateResource]


async def create_gate(request: web.Request) -> web.Response:
    """POST /api/events/{eventId}/gates."""
    event_id, caller = path_id(request, "eventId"), principal(request)
    await request.app[CATALOGUE].managed_event(event_id, caller)
    new = NewGate(event_id, body(request, NewGateBody).name, caller.user_id)
    try:
        row, token = await gates.create(
            request.app[DATABASE], new, request.app[GATES].tokens.issue, limit=GATES_MAX
        )
    except TooManyGates:
        raise invalid(f"An event has at most {GATES_MAX} gates; revoke one first.") from None
    log.info("gate.created", gate_id=row.id, event_id=event_id, user_id=caller.user_id)
    headers = {"Location": f"/api/events/{event_id}/gates/{row.id}"}
    return json_reply(gate_resource(row) | {"token": token}, 201, headers)


async def list_gates(request: web.Request) -> web.Response:
    """GET /api/events/{eventId}/gates."""
    event_id, wanted = path_id(request, "eventId"), query(request, PageQuery)
    await request.app[CATALOGUE].managed_event(event_id, principal(request))
    after = int(from_cursor(wanted.cursor, int)[0]) if wanted.cursor else 0
    rows = await gates.page(request.app[DATABASE], event_id, after, wanted.limit + 1)
    return json_reply(page(rows, wanted.limit, lambda row: (row.id,), gate_resource))


async def revoke_gate(request: web.Request) -> web.Response:
    """DELETE /api/events/{eventId}/gates/{gateId}."""
    event_id, gate_id = path_id(request, "eventId"), path_id(request, "gateId")
    await request.app[CATALOGUE].managed_event(event_id, principal(request))
    if not await gates.revoke(request.app[DATABASE], event_id, gate_id):
        raise not_found("This event has no such gate.")
    request.app[GATES].forget(gate_id)
    log.info("gate.revoked", gate_id=gate_id, user_id=principal(request).user_id)
    return no_content()


_GATES = "/api/events/{eventId}/gates"

ROUTES = (
    Route(
        method="POST",
        path=_GATES,
        operation_id="createGate",
        summary="Make a gate",
        handler=create_gate,
        access=ORGANIZER_OR_ADMIN,
        ownership=Ownership.EVENT_ORGANIZER_OR_ADMIN,
        answers={201: RouteAnswer(CreatedGate, "The gate and its token.", ("Location",))},
        tag="Door",
        body=NewGateBody,
        description="The token is shown once. Whoever has it can scan at this event's door, and nothing else.",
    ),
    Route(
        method="GET",
        path=_GATES,
        operation_id="listGates",
        summary="An event's gates",
        handler=list_gates,
        access=ORGANIZER_OR_ADMIN,
        ownership=Ownership.EVENT_ORGANIZER_OR_ADMIN,
        answers={200: RouteAnswer(GatePage, "A page of gates by rising id, revoked ones too.")},
        tag="Door",
        query=PageQuery,
    ),
    Route(
        method="DELETE",
        path=_GATES + "/{gateId}",
        operation_id="revokeGate",
        summary="Revoke a gate",
        handler=revoke_gate,
        access=ORGANIZER_OR_ADMIN,
        ownership=Ownership.EVENT_ORGANIZER_OR_ADMIN,
        answers={
            204: RouteAnswer(None, "Its token counts no more, within two seconds everywhere.")
        },
        tag="Door",
    ),
)
