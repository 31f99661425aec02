"""What became of a command: asked for, waited for, or streamed.

In: a command id. Out: the command resource, or one server-sent event with it.
Must stay true: a command exists for its caller alone (404 for everybody else, and for forged ids); past its
deadline it is never shown as undecided while MySQL can be asked; a stream ends with its one event.
"""

import asyncio
from typing import Annotated, Any, Literal

from aiohttp import web
from aiohttp.client_exceptions import ClientConnectionResetError
from pydantic import AfterValidator, BeforeValidator, Field

from contracts.command_ids import CommandIds
from contracts.outcomes import Outcome
from contracts.problems import Code
from contracts.resources import MomentJson
from contracts.shapes import Answer
from gateway.http import keys
from gateway.http.models import Query, whole_number
from gateway.http.problems import ProblemDocument, not_found
from gateway.http.replies import raw_reply
from gateway.http.routing import (
    CALLER,
    Ownership,
    Route,
    RouteAnswer,
)
from gateway.submission.answers import (
    COMMAND_ID,
    matches,
    not_modified,
    resource_bytes,
    resource_etag,
)
from gateway.submission.decisions import DECISIONS
from gateway.submission.outcomes import Opened
from gateway.submission.waiting import Expectation

PING_SECONDS = 15.0
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


class CommandResource(Answer):
    """The command resource: what became of a ⚡ call."""

    id: str
    type: str
    status: Literal["PENDING", "SUCCEEDED", "REJECTED", "FAILED"]
    accepted_at: MomentJson
    decided_at: MomentJson | None
    status_code: int | None
    result: Any
    problem: ProblemDocument | None


async def show_command(request: web.Request) -> web.Response:
    """GET /api/commands/{commandId}."""
    opened = _opened(request)
    seconds = keys.query(request, CommandQuery).wait
    outcome = await _outcome(request.app, opened, seconds)
    etag = resource_etag(outcome)
    if matches(etag, request.headers.get("If-None-Match")):
        return not_modified(etag)
    headers = {"ETag": etag, COMMAND_ID: opened.text}
    if outcome is None:
        headers["Retry-After"] = "1"
    return raw_reply(resource_bytes(opened, outcome), 200, headers)


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
    opened, decisions = _opened(request), request.app[DECISIONS]
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
    await response.write(b"event: outcome\ndata: " + resource_bytes(opened, outcome) + b"\n\n")


def _opened(request: web.Request) -> Opened:
    text, caller = request.match_info["commandId"], keys.principal(request).caller
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
        access=CALLER,
        ownership=Ownership.OWNER,
        answers={
            200: RouteAnswer(
                None,
                "One `outcome` event with the command, then the end; a comment every 15 s until then.",
                ("X-Command-Id",),
                media_type="text/event-stream",
            )
        },
        tag="Commands",
        texts={"commandId": _ID_PATTERN},
        problems=frozenset({Code.NOT_FOUND}),
    ),
)
