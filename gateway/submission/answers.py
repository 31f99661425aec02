"""How a command's state becomes an HTTP answer: the decision itself, or 202 and where to ask.

In: an outcome (or none yet) and the request being answered. Out: a response.
Must stay true: every answer here carries X-Command-Id; a problem's `instance` is the id of the request
being answered, except inside a command resource; 429 and 503 always say Retry-After.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import orjson
from aiohttp import web

from contracts.outcomes import CommandStatus, Outcome, command_resource
from contracts.problems import CONTENT_TYPE
from gateway.http.replies import empty_reply, raw_reply
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
    replayed: bool = False
    etag: Etag | None = None


def location_of(command_id: str) -> str:
    """Where a command is polled."""
    return f"/api/commands/{command_id}"


def accepted_reply(reply: CommandReply, outcome: Outcome | None) -> web.Response:
    """202: the broker has (or had) the command; the body says how far it is."""
    headers = _headers(reply) | {"Location": location_of(reply.opened.text), "Retry-After": "1"}
    return raw_reply(resource_bytes(reply.opened, outcome), 202, headers)


def decided_reply(reply: CommandReply, outcome: Outcome) -> web.Response:
    """The decision's own status and body."""
    headers = _headers(reply)
    if reply.waited:
        headers["Preference-Applied"] = f"wait={reply.waited}"
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


def _headers(reply: CommandReply) -> dict[str, str]:
    headers = {COMMAND_ID: reply.opened.text}
    if reply.replayed:
        headers[REPLAYED] = "true"
    return headers


def resource_bytes(opened: Opened, outcome: Outcome | None) -> bytes:
    """The command resource as JSON."""
    return command_resource(opened.text, opened.type, outcome, opened.id.accepted_at)


def resource_etag(outcome: Outcome | None) -> str:
    """A command changes once: from undecided to how it ended."""
    return '"undecided"' if outcome is None else f'"decided-{outcome.status_code}"'


def matches(etag: str, if_none_match: str | None) -> bool:
    """Whether If-None-Match names this entity tag (weak comparison, RFC 9110 section 13.1.2)."""
    if if_none_match is None:
        return False
    if if_none_match.strip() == "*":
        return True
    tags = (part.strip().removeprefix("W/") for part in if_none_match.split(","))
    return etag.removeprefix("W/") in tags


def not_modified(etag: str, headers: Mapping[str, str] | None = None) -> web.Response:
    """304 with the entity tag that still holds."""
    return empty_reply(304, {"ETag": etag, **(headers or {})})
