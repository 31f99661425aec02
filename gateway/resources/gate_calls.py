"""What a gate does over HTTP: it scans, and fetches what it needs to decide alone.

In: scans; the moment of the bundle before. Out: rulings; a signed bundle.
Must stay true: a gate reaches its own event's door and nothing else; a code may be any text: what is none of ours gets
its ruling like any other; a bundle is signed as a whole.
"""

import asyncio
from datetime import timedelta
from typing import Annotated, Any

import rfc8785
from aiohttp import web
from pydantic import Field

from contracts.command_ids import EPOCH
from contracts.commands import Command, RecordScans, Scan
from contracts.models import MomentText, Principal
from contracts.problems import Code
from contracts.resources import Count, EventStatusName, IdNumber, MomentJson
from contracts.runtime.times import from_wire, to_wire
from contracts.shapes import Answer
from contracts.tickets.codes import Jwk, NoSigningKey, TicketKeys, printable_code
from contracts.tickets.scans import SCANS_MAX, DeviceId, ScanResults
from db import catalogue
from db.catalogue import EventRead
from db.tickets import reads
from db.tickets.reads import Changes
from gateway.caching.catalogue import NO_EVENT
from gateway.http.keys import CLOCK, DATABASE, KEYRING, body, gate, query
from gateway.http.models import Body, Cursor, Query
from gateway.http.paging import from_cursor, to_cursor
from gateway.http.problems import invalid, not_found, unavailable
from gateway.http.replies import json_reply
from gateway.http.routing import GATE, Ownership, Route, RouteAnswer
from gateway.submission.submit import Call, submit

BODY_BYTES_MAX = 256 * 1024
"""500 scans with their codes."""
THREAD_FROM = 5000
"""A bundle of more entries is written beside the loop."""


class ScanBody(Body):
    """One code that was seen. `id`: the device's own, the same again is the same scan; `offline`: let in already."""

    id: DeviceId
    code: Annotated[str, Field(examples=["eyJhbGciOiJFZERTQSJ9.e30.c2ln"])]
    scanned_at: MomentText
    offline: bool = False


class ScansBody(Body):
    """1 to 500 scans."""

    scans: Annotated[tuple[ScanBody, ...], Field(min_length=1, max_length=SCANS_MAX)]


class BundleQuery(Query):
    """`?since=`: the `asOf` of the bundle before."""

    since: Cursor | None = None


class BundleEvent(Answer):
    """The event at whose door the gate stands."""

    id: IdNumber
    name: str
    venue: str | None
    start_time: MomentJson
    end_time: MomentJson
    status: EventStatusName


class BundleType(Answer):
    """A ticket type, to be shown."""

    id: IdNumber
    name: str


class Bundle(Answer):
    """What a device needs to decide without a network.

    `void`: pairs of a ticket and the highest version whose codes are void. `signature`: a detached JWS over the
    RFC 8785 form of all other members.
    """

    event: BundleEvent
    ticket_types: list[BundleType]
    keys: list[Jwk]
    as_of: str
    used: list[IdNumber]
    void: list[Annotated[list[Count], Field(min_length=2, max_length=2, examples=[[17, 1]])]]
    signature: str


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
    event = await catalogue.find_event(app[DATABASE], event_id)
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


ROUTES = (
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
