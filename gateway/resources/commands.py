"""What became of a command: asked for, waited for, or streamed.

In: a command id. Out: the command resource, or one server-sent event with it.
Must stay true: a command exists for its caller alone (404 for everybody else, and for forged ids); past its
deadline it is never shown as undecided while MySQL can be asked; a stream ends with its one event, and who connects
again having had it gets a 204, at which a browser's EventSource stops.
"""

import asyncio
from datetime import timedelta
from typing import Annotated, Literal

from aiohttp import web
from aiohttp.client_exceptions import ClientConnectionResetError
from pydantic import AfterValidator, BeforeValidator, Field

from contracts.command_ids import EPOCH, CommandIds
from contracts.models import Line
from contracts.outcomes import Outcome
from contracts.problems import Code, Problem
from contracts.rates import RateResource
from contracts.resources import EventResource, MomentJson, Order, Payment, TicketType
from contracts.shapes import Answer
from contracts.tickets.scans import ScanResults
from contracts.tickets.ticket import TicketResource
from gateway.http import keys
from gateway.http.models import Query, whole_number
from gateway.http.problems import ProblemDocument, Refusal, not_found, unauthenticated
from gateway.http.rate_limits import STREAMS
from gateway.http.replies import no_content, raw_reply
from gateway.http.representations import matches, not_modified
from gateway.http.routing import (
    CALLER,
    SEALED_URL,
    Ownership,
    Route,
    RouteAnswer,
)
from gateway.submission.answers import (
    COMMAND_ID,
    events_url,
    resource_bytes,
    resource_etag,
)
from gateway.submission.decisions import DECISIONS
from gateway.submission.outcomes import Opened
from gateway.submission.waiting import Expectation

PING_SECONDS = 15.0
MICROSECOND = timedelta(microseconds=1)
_ID_PATTERN = r"[A-Za-z0-9_-]{1,128}"

COMMAND_IDS = web.AppKey("command_ids", CommandIds)


WAIT_MAX = 30


class CommandQuery(Query):
    """`?wait=N`: seconds to wait for the decision; more than 30 count as 30."""

    wait: Annotated[
        int,
        Field(ge=0),
        BeforeValidator(whole_number),
        AfterValidator(lambda seconds: min(seconds, WAIT_MAX)),
    ] = 0


class StreamQuery(Query):
    """`?token=` of an `eventsUrl`."""

    token: Annotated[Line | None, Field(max_length=64)] = None


class CommandResource(Answer):
    """The command resource: what became of a ⚡ call."""

    id: str
    type: str
    status: Literal["PENDING", "SUCCEEDED", "REJECTED", "FAILED"]
    accepted_at: MomentJson
    decided_at: MomentJson | None
    status_code: int | None
    result: (
        EventResource
        | TicketType
        | Order
        | Payment
        | RateResource
        | TicketResource
        | ScanResults
        | None
    )
    problem: ProblemDocument | None
    events_url: Annotated[str, Field(json_schema_extra={"format": "uri-reference"})]


async def show_command(request: web.Request) -> web.Response:
    """GET /api/commands/{commandId}."""
    opened = _opened(request, keys.principal(request).caller)
    seconds = keys.query(request, CommandQuery).wait
    outcome = await _outcome(request.app, opened, seconds)
    etag = resource_etag(outcome)
    if matches(etag, request.headers.get("If-None-Match")):
        return not_modified(etag)
    headers = {"ETag": etag, COMMAND_ID: opened.text}
    if outcome is None:
        headers["Retry-After"] = "1"
    return raw_reply(_resource(request.app, opened, outcome), 200, headers)


def _resource(app: web.Application, opened: Opened, outcome: Outcome | None) -> bytes:
    listen_at = events_url(app[COMMAND_IDS], opened, app[keys.CLOCK].now())
    return resource_bytes(opened, outcome, listen_at)


async def _outcome(app: web.Application, opened: Opened, seconds: float) -> Outcome | None:
    decisions = app[DECISIONS]
    until = asyncio.get_running_loop().time() + seconds
    with decisions.expecting(opened.id.uuid, seconds) as expectation:
        outcome = await decisions.now(opened)
        if outcome is None:
            outcome = await decisions.wait(opened, expectation, until)
        return outcome


async def stream_command(request: web.Request) -> web.StreamResponse:
    """GET /api/commands/{commandId}/events."""
    opened, streams = _opened(request, _listener(request)), request.app[STREAMS]
    if not streams.take(opened.user_id):
        detail = "This account has as many event streams open as it may have; close one, or poll."
        raise Refusal(Problem(Code.RATE_LIMITED, detail, retry_after=int(PING_SECONDS)))
    try:
        return await _streamed(request, opened)
    finally:
        streams.give_back(opened.user_id)


async def _streamed(request: web.Request, opened: Opened) -> web.StreamResponse:
    decisions = request.app[DECISIONS]
    response = web.StreamResponse(
        headers={
            "Content-Type": "text/event-stream; charset=utf-8",
            "X-Accel-Buffering": "no",
            COMMAND_ID: opened.text,
        }
    )
    with decisions.expecting(opened.id.uuid, PING_SECONDS) as expectation:
        # Asked before the first byte: what goes wrong here is still a problem document.
        outcome = await decisions.now(opened)
        if outcome and request.headers.get("Last-Event-ID") == _message_id(outcome):
            return no_content()
        await response.prepare(request)
        if request.method != "HEAD":
            try:
                await _stream(request, response, opened, outcome, expectation)
            except (ClientConnectionResetError, ConnectionResetError):
                pass  # the client is gone: nobody is left to tell
    return response


async def _stream(
    request: web.Request,
    response: web.StreamResponse,
    opened: Opened,
    outcome: Outcome | None,
    expectation: Expectation | None,
) -> None:
    loop, decisions = asyncio.get_running_loop(), request.app[DECISIONS]
    while outcome is None:
        await response.write(b": undecided\n\n")
        outcome = await decisions.wait(opened, expectation, loop.time() + PING_SECONDS)
        if outcome is None and expectation is not None and expectation.given_up:
            await response.write(b": this gateway ends, ask again\n\n")
            return
    await response.write(
        b"id: %b\nevent: outcome\ndata: %b\n\n"
        % (_message_id(outcome).encode(), _resource(request.app, opened, outcome))
    )


def _message_id(outcome: Outcome) -> str:
    """The id of a stream's one message: which end the command came to."""
    return resource_etag(outcome).strip('"')


def _listener(request: web.Request) -> int:
    """Who listens: the caller, or whoever was given the `eventsUrl`. Raises Refusal (401)."""
    caller, token = request[keys.CONTEXT].caller, keys.query(request, StreamQuery).token
    if caller is not None:
        return caller.caller
    if token is None:
        raise unauthenticated()
    app = request.app
    now = app[keys.CLOCK].now()
    found = app[COMMAND_IDS].open_stream(request.match_info["commandId"], token, now)
    if found is None or app[keys.ACCESS].is_disabled(
        found.user_id, (found.since - EPOCH) // MICROSECOND
    ):
        raise unauthenticated("This eventsUrl is not one of this command's, or its time is over.")
    return found.user_id


def _opened(request: web.Request, caller: int) -> Opened:
    text = request.match_info["commandId"]
    id_ = request.app[COMMAND_IDS].open(text, caller)
    if id_ is None:
        raise not_found("There is no such command, or it is not yours.")
    return Opened(id_, text, caller, request[keys.CONTEXT].request_id)


ROUTES = (
    Route(
        method="GET",
        path="/api/commands/{commandId}",
        operation_id="showCommand",
        summary="What became of a command",
        handler=show_command,
        access=CALLER,
        ownership=Ownership.OWNER,
        answers={
            200: RouteAnswer(
                CommandResource, "The command as it is.", ("ETag", "X-Command-Id", "Retry-After")
            ),
            304: RouteAnswer(None, "Nothing has changed.", ("ETag",)),
        },
        tag="Commands",
        query=CommandQuery,
        texts={"commandId": _ID_PATTERN},
        request_headers=("If-None-Match",),
        problems=frozenset({Code.NOT_FOUND}),
        description="`?wait=N` answers as soon as the command is decided, after N seconds at the latest.",
    ),
    Route(
        method="GET",
        path="/api/commands/{commandId}/events",
        operation_id="streamCommand",
        summary="The decision of a command as a server-sent event",
        handler=stream_command,
        access=SEALED_URL,
        ownership=Ownership.OWNER,
        answers={
            200: RouteAnswer(
                None,
                "One `outcome` event with the command, then the end; a comment every 15 s until then.",
                ("X-Command-Id",),
                media_type="text/event-stream",
            ),
            204: RouteAnswer(
                None, "Last-Event-ID names the outcome: it has been heard, nothing more comes."
            ),
        },
        tag="Commands",
        query=StreamQuery,
        texts={"commandId": _ID_PATTERN},
        request_headers=("Last-Event-ID",),
        problems=frozenset({Code.NOT_FOUND}),
        description="Needs an access token, or the token in the `eventsUrl` of the command: that one opens this stream "
        "for five minutes, for clients that cannot send a header, as a browser's own EventSource.",
    ),
)
