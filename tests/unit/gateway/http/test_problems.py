"""What went wrong, as the client hears it: one document per cause, never an internal word."""

import json

import pymysql.err
import pytest
from aiohttp import web

from contracts.problems import STATUS, TITLE, Code, Problem
from db.mysql.database import DatabaseAway
from gateway.http.problems import Refusal, from_exception, to_response
from gateway.resources.operations import Checks


@pytest.mark.parametrize(
    "error",
    [
        DatabaseAway("no session"),
        TimeoutError(),
        ConnectionRefusedError(111, "secret host"),
        pymysql.err.OperationalError(2003, "Can't connect to secret host"),
        pymysql.err.OperationalError(2013, "Lost connection"),
        pymysql.err.OperationalError(1114, "The table 'secret' is full"),
        pymysql.err.OperationalError(
            1290, "The MySQL server is running with the --read-only option"
        ),
        pymysql.err.InterfaceError(0, "closed"),
    ],
)
def test_a_database_that_is_away_is_503(error: Exception) -> None:
    """With Retry-After, and without the server's own words."""
    refusal = from_exception(error)
    assert refusal is not None
    response = to_response(refusal.problem, "request-17")
    assert (response.status, response.headers["Retry-After"]) == (503, "2")
    assert b"secret" not in bytes(response.body)  # type: ignore[arg-type]  # bytes were given


@pytest.mark.parametrize(
    "error",
    [
        ValueError("x"),
        KeyError("x"),
        pymysql.err.ProgrammingError(1064, "syntax"),
        web.HTTPBadGateway(),
    ],
)
def test_anything_unexpected_is_ours(error: Exception) -> None:
    """None means 500: nobody guesses what a bug meant."""
    assert from_exception(error) is None


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (web.HTTPNotFound(), "NOT_FOUND"),
        (web.HTTPMethodNotAllowed("PUT", ["GET"]), "METHOD_NOT_ALLOWED"),
        (web.HTTPRequestEntityTooLarge(1, 2), "TOO_LARGE"),
        (web.HTTPBadRequest(text="<html>"), "INVALID"),
        (web.HTTPExpectationFailed(), "INVALID"),
    ],
)
def test_the_framework_s_errors_become_ours(error: web.HTTPException, code: str) -> None:
    """404, 405 with Allow, 413 and whatever else it raises."""
    refusal = from_exception(error)
    assert refusal is not None
    assert refusal.problem.code == code
    assert "<html>" not in str(refusal.problem.to_json("x"))
    if code == "METHOD_NOT_ALLOWED":
        assert refusal.headers == {"Allow": "GET, OPTIONS"}


@pytest.mark.parametrize("code", list(Code))
def test_every_code_has_a_status_and_a_title(code: Code) -> None:
    """And its document the members of RFC 9457."""
    response = to_response(Problem(code, "why"), "request-17", {"X": "y"})
    document = json.loads(bytes(response.body))  # type: ignore[arg-type]  # bytes were given
    assert response.status == document["status"] == STATUS[code]
    assert document["title"] == TITLE[code]
    assert (document["code"], document["detail"], document["instance"]) == (
        code,
        "why",
        "request-17",
    )
    assert response.content_type == "application/problem+json"
    assert response.headers["X"] == "y"


async def test_readiness_names_what_is_missing() -> None:
    """Required and optional apart; a check that raises or hangs does not work; stopping is not ready."""

    async def fine() -> None:
        pass

    async def broken() -> None:
        raise OSError

    checks = Checks()
    checks.require("mysql", fine)
    checks.report("redis", fine)
    assert await checks.missing() == ([], [])
    checks.report("redis", broken)
    assert await checks.missing() == ([], ["redis"])
    checks.require("broker", broken)
    assert await checks.missing() == (["broker"], ["redis"])
    checks.stopping = True
    missing, _ = await checks.missing()
    assert missing == ["stopping", "broker"]


def test_a_refusal_says_what_it_is() -> None:
    """In a log line or a failed test."""
    assert str(Refusal(Problem(Code.SOLD_OUT, "one left"))) == "409 SOLD_OUT: one left"
