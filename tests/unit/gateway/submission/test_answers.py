"""An outcome as an HTTP answer: whose request it names, what it must say, when it is unchanged."""

from dataclasses import replace
from datetime import UTC, datetime

import orjson
import pytest
from aiohttp import web

from contracts.command_ids import CommandId
from contracts.outcomes import Outcome
from contracts.problems import Code, Problem
from gateway.http.representations import matches
from gateway.submission.answers import (
    CommandReply,
    accepted_reply,
    decided_reply,
    undecided_reply,
)
from gateway.submission.outcomes import Opened

AT = datetime(2026, 5, 1, tzinfo=UTC)
OPENED = Opened(CommandId(b"u" * 16, AT, 1), "the-id", 7, "first-request")
REPLY = CommandReply(OPENED, "this-request", waited=5)
PLACED = Outcome(
    b"u" * 16, 7, "eventhub.order.place.v1", "f" * 32, 201, None, "/api/orders/1", "first-request",
    b'{"id":1}', AT, AT,
)  # fmt: skip


def refused(code: Code, retry_after: int | None = None) -> Outcome:
    problem = Problem(code, "no", retry_after=retry_after)
    body = orjson.dumps(problem.to_json("first-request"))
    return replace(PLACED, status_code=problem.status, code=str(code), location=None, body=body)


def document(response: web.Response) -> dict[str, object]:
    assert isinstance(response.body, bytes)
    found: dict[str, object] = orjson.loads(response.body)
    return found


def test_a_success_is_the_decisions_own_answer() -> None:
    """Status, body, Location, X-Command-Id, Preference-Applied; not a replay."""
    response = decided_reply(REPLY, PLACED)
    assert (response.status, response.body) == (201, b'{"id":1}')
    assert response.headers["Location"] == "/api/orders/1"
    assert response.headers["X-Command-Id"] == "the-id"
    assert response.headers["Preference-Applied"] == "wait=5"
    assert "Idempotent-Replayed" not in response.headers


def test_a_replayed_problem_names_the_present_request() -> None:
    """`instance` is the id of the request being answered."""
    response = decided_reply(replace(REPLY, replayed=True), refused(Code.LIMIT_EXCEEDED))
    assert response.status == 409
    assert response.content_type == "application/problem+json"
    assert document(response)["instance"] == "this-request"
    assert response.headers["Idempotent-Replayed"] == "true"


@pytest.mark.parametrize("code", [Code.SEAT_LOCKED, Code.UNAVAILABLE])
def test_429_and_503_always_say_when_to_come_back(code: Code) -> None:
    """Header and member alike, also when the worker said nothing of it."""
    response = decided_reply(REPLY, refused(code))
    assert response.headers["Retry-After"] == "1"
    assert document(response)["retryAfter"] == 1
    assert decided_reply(REPLY, refused(code, 7)).headers["Retry-After"] == "7"


def test_inside_the_resource_a_problem_stays_as_it_was_decided() -> None:
    """There `instance` is the request that made the command."""
    response = accepted_reply(REPLY, refused(Code.LIMIT_EXCEEDED), "/listen?token=t")
    assert response.status == 202
    assert document(response)["eventsUrl"] == "/listen?token=t"
    problem = document(response)["problem"]
    assert isinstance(problem, dict)
    assert problem["instance"] == "first-request"


def test_who_takes_no_202_is_told_that_it_is_undecided() -> None:
    """503 with everything that is needed to go on, and both preferences that were honoured."""
    response = undecided_reply(replace(REPLY, strict=True, replayed=True))
    assert (response.status, document(response)["code"]) == (503, "UNDECIDED")
    assert document(response)["commandId"] == response.headers["X-Command-Id"] == "the-id"
    assert document(response)["instance"] == "this-request"
    assert response.headers["Location"] == "/api/commands/the-id"
    assert response.headers["Retry-After"] == "1"
    assert response.headers["Preference-Applied"] == "wait=5, handling=strict"
    assert response.headers["Idempotent-Replayed"] == "true"


def test_an_entity_tag_comes_with_what_has_one() -> None:
    """Events and ticket types: their handler says how."""
    response = decided_reply(replace(REPLY, etag=lambda one: f'"v{one["id"]}"'), PLACED)
    assert response.headers["ETag"] == '"v1"'


@pytest.mark.parametrize(
    ("header", "same"),
    [
        ('"v1.2"', True),
        ('W/"v1.2"', True),
        ('"v1.1", "v1.2"', True),
        ("*", True),
        ('"v1.3"', False),
        ("v1.2", False),
        ("", False),
        (None, False),
    ],
)
def test_if_none_match_compares_weakly(header: str | None, same: bool) -> None:
    """RFC 9110 section 13.1.2."""
    assert matches('"v1.2"', header) is same
