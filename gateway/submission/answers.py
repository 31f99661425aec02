"""How a command's state becomes an HTTP answer: the decision itself, or 202 (or 503) and where to ask.

In: an outcome (or none yet) and the request being answered. Out: a response.
Must stay true: every answer here carries X-Command-Id; a problem's `instance` is the id of the request
being answered, except inside a command resource; 429 and 503 always say Retry-After.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson
from aiohttp import web

from contracts.command_ids import CommandIds
from contracts.outcomes import CommandStatus, Outcome, command_resource
from contracts.problems import CONTENT_TYPE, Code, Problem
from gateway.http.problems import to_response
from gateway.http.replies import raw_reply
from gateway.submission.outcomes import Opened

COMMAND_ID = "X-Command-Id"
REPLAYED = "Idempotent-Replayed"
MUST_SAY_RETRY_AFTER = frozenset({429, 503})

Etag = Callable[[dict[str, Any]], str]


@dataclass(slots=True)
class CommandReply:
    """What the answer to a ⚡ call depends on beside its outcome."""

    opened: Opened
    request_id: str
    """Of the request being answered; `opened.request_id` is that of the one that made the command."""
    waited: int = 0
    """Seconds that the client was ready to wait; 0: it did not ask."""
    strict: bool = False
    """Whether the client takes a decision or an error, and no 202."""
    replayed: bool = False
    etag: Etag | None = None


def location_of(command_id: str) -> str:
    """Where a command is polled."""
    return f"/api/commands/{command_id}"


def events_url(ids: CommandIds, opened: Opened, now: datetime) -> str:
    """Where a command's events are heard without an Authorization header, for a few minutes."""
    token = ids.seal_stream(opened.text, opened.user_id, now)
    return f"{location_of(opened.text)}/events?token={token}"


def accepted_reply(reply: CommandReply, outcome: Outcome | None, listen_at: str) -> web.Response:
    """202: the broker has (or had) the command; the body says how far it is."""
    headers = _headers(reply) | {"Location": location_of(reply.opened.text), "Retry-After": "1"}
    return raw_reply(resource_bytes(reply.opened, outcome, listen_at), 202, headers)


def undecided_reply(reply: CommandReply) -> web.Response:
    """503 for a client that takes no 202: the command lives on, and may be polled or asked for again."""
    problem = Problem(
        Code.UNDECIDED,
        "The command is accepted and not decided yet: ask at Location, or again with the same Idempotency-Key.",
        {"commandId": reply.opened.text},
        retry_after=1,
    )
    headers = _headers(reply) | {"Location": location_of(reply.opened.text)} | _applied(reply)
    return to_response(problem, reply.request_id, headers)


def decided_reply(reply: CommandReply, outcome: Outcome) -> web.Response:
    """The decision's own status and body."""
    headers = _headers(reply) | _applied(reply)
    if outcome.status is not CommandStatus.SUCCEEDED:
        return _problem_reply(reply, outcome, headers)
    if outcome.location:
        headers["Location"] = outcome.location
    if reply.etag is not None:
        headers["ETag"] = reply.etag(orjson.loads(outcome.body))
    return raw_reply(outcome.body, outcome.status_code, headers)


def _problem_reply(reply: CommandReply, outcome: Outcome, headers: dict[str, str]) -> web.Response:
    problem = orjson.loads(outcome.body)
    problem["instance"] = reply.request_id
    if outcome.status_code in MUST_SAY_RETRY_AFTER:
        problem.setdefault("retryAfter", 1)
    if "retryAfter" in problem:
        headers["Retry-After"] = str(problem["retryAfter"])
    return raw_reply(orjson.dumps(problem), outcome.status_code, headers, CONTENT_TYPE)


def _applied(reply: CommandReply) -> dict[str, str]:
    """Which preferences were honoured (RFC 7240 section 3)."""
    honoured = [f"wait={reply.waited}"] * bool(reply.waited) + ["handling=strict"] * reply.strict
    return {"Preference-Applied": ", ".join(honoured)} if honoured else {}


def _headers(reply: CommandReply) -> dict[str, str]:
    headers = {COMMAND_ID: reply.opened.text}
    if reply.replayed:
        headers[REPLAYED] = "true"
    return headers


def resource_bytes(opened: Opened, outcome: Outcome | None, listen_at: str) -> bytes:
    """The command resource as JSON; `listen_at` is its `events_url`."""
    return command_resource(opened.text, opened.type, outcome, opened.id.accepted_at, listen_at)


def resource_etag(outcome: Outcome | None) -> str:
    """A command changes once: from undecided to how it ended."""
    return '"undecided"' if outcome is None else f'"decided-{outcome.status_code}"'
