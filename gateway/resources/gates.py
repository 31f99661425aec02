"""Gates over HTTP: an organizer makes and revokes them, looks who is in; a gate scans and fetches its bundle.

In: a name; scans; a moment. Out: the gate and its token, once; rulings; what a device needs to decide alone.
Must stay true: a gate reaches its own event's door and nothing else; its token is shown once and stored nowhere; a
bundle is signed as a whole.
"""

import asyncio
from datetime import timedelta
from typing import Any

import rfc8785
import structlog
from aiohttp import web

from contracts.command_ids import EPOCH
from contracts.commands import Command, RecordScans, Scan
from contracts.models import Principal
from contracts.problems import Code
from contracts.runtime.times import from_wire, to_wire
from contracts.tickets.codes import NoSigningKey, TicketKeys, printable_code
from contracts.tickets.scans import gate_resource
from db import catalogue as events
from db.catalogue import EventRead
from db.tickets import gates, reads
from db.tickets.gates import NewGate, TooManyGates
from db.tickets.reads import Changes
from gateway.caching.catalogue import CATALOGUE, NO_EVENT
from gateway.http.keys import (
    CLOCK,
    DATABASE,
    GATES,
    KEYRING,
    body,
    gate,
    path_id,
    principal,
    query,
)
from gateway.http.models import PageQuery
from gateway.http.paging import from_cursor, page, to_cursor
from gateway.http.problems import invalid, not_found, unavailable
from gateway.http.replies import json_reply, no_content
from gateway.http.routing import (
    GATE,
    ORGANIZER_OR_ADMIN,
    Ownership,
    Route,
    RouteAnswer,
)
from gateway.resources.requests_tickets import (
    BODY_BYTES_MAX,
    BundleQuery,
    NewGateBody,
    ScansBody,
)
from gateway.resources.responses_tickets import Bundle, CreatedGate, GatePage, ScanResults
from gateway.submission.submit import Call, submit

GATES_MAX = 500
"""Working gates of one event."""
THREAD_FROM = 5000
"""A bundle of more entries is written beside the loop."""

log = structlog.get_logger(__name__)


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


async def record_scans(request: web.Request) -> web.Response:
    """POST /api/gate/scans."""
    wanted, caller = body(request, ScansBody), gate(request)

    async def prepare(_: Principal, fingerprint: str) -> Command:
        scans = tuple(
            Scan(
                id=scan.id,
                code=printable_code(scan.code),
                scanned_at=to_wire(from_wire(scan.scanned_at)),
                offline=scan.offline,
            )
            for scan in wanted.scans
        )
        return RecordScans(principal=caller, fingerprint=fingerprint, scans=scans)

    return await submit(request, Call(RecordScans, wanted, prepare))


async def show_bundle(request: web.Request) -> web.Response:
    """GET /api/gate/bundle."""
    app, event_id = request.app, gate(request).event_id
    since = query(request, BundleQuery).since
    moment = None
    if since is not None:
        micros = int(from_cursor(since, int)[0])
        try:
            moment = EPOCH + timedelta(microseconds=micros)
        except OverflowError:
            raise invalid("The moment is none that a bundle gave.") from None
    event = await events.find_event(app[DATABASE], event_id)
    if event is None:
        raise not_found(NO_EVENT)
    changes = await reads.changes(app[DATABASE], event_id, moment)
    keys, now = await app[KEYRING].keys(), app[CLOCK].now()

    def signed() -> dict[str, Any]:
        bundle = _bundle(event, changes, keys)
        return bundle | {"signature": keys.detached(rfc8785.dumps(bundle), now)}

    large = len(changes.used) + len(changes.void) > THREAD_FROM
    try:
        return json_reply(await asyncio.to_thread(signed) if large else signed())
    except NoSigningKey:
        raise unavailable("There is no key to sign bundles with yet.") from None


def _bundle(event: EventRead, changes: Changes, keys: TicketKeys) -> dict[str, Any]:
    row = event.row
    return {
        "event": {
            "id": row.id,
            "name": row.name,
            "venue": row.venue,
            "startTime": to_wire(row.start_time),
            "endTime": to_wire(row.end_time),
            "status": row.status,
        },
        "ticketTypes": [{"id": one.id, "name": one.name} for one in event.ticket_types],
        "keys": keys.to_jwks()["keys"],
        "asOf": to_cursor(((changes.as_of - EPOCH) // timedelta(microseconds=1),)),
        "used": changes.used,
        "void": [list(one) for one in changes.void],
    }


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
    Route(
        method="POST",
        path="/api/gate/scans",
        operation_id="recordScans",
        summary="Scan codes",
        handler=record_scans,
        access=GATE,
        ownership=Ownership.SELF,
        answers={200: RouteAnswer(ScanResults, "A ruling for each scan.")},
        tag="Door",
        body=ScansBody,
        is_command=True,
        body_bytes_max=BODY_BYTES_MAX,
        problems=frozenset({Code.FORBIDDEN}),
        description="The same scan id again has the same ruling. An `offline` scan has happened already: it is "
        "ADMITTED, or CONFLICT (the ticket was admitted before), or VOID_ADMITTED.",
    ),
    Route(
        method="GET",
        path="/api/gate/bundle",
        operation_id="showBundle",
        summary="What a gate needs to decide without a network",
        handler=show_bundle,
        access=GATE,
        ownership=Ownership.SELF,
        answers={200: RouteAnswer(Bundle, "Everything, or with `since` what has changed.")},
        tag="Door",
        query=BundleQuery,
    ),
)
