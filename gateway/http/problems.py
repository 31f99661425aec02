"""Refusals on HTTP: one exception, one way to turn anything that went wrong into RFC 9457 problem+json.

In: `Refusal`, aiohttp's own HTTP errors, a database or broker that is away, anything unexpected. Out: a response.
Must stay true: never HTML, never a stack trace, never the text of an internal error; `Retry-After` and `retryAfter`
say the same.
"""

from collections.abc import Mapping, Sequence
from typing import Literal

import orjson
from aiohttp import web
from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic.alias_generators import to_camel

from contracts.models import ONE_LINE, SEVERAL_LINES
from contracts.problems import CONTENT_TYPE, Code, Problem
from contracts.resources import MomentJson
from contracts.shapes import Answer
from db.mysql.database import is_away
from gateway.http.replies import raw_reply

UNAVAILABLE_SECONDS = 2
"""What a client should wait when a server behind us is away: restarts take about that long."""


class ProblemError(Answer):
    """One thing that is wrong with a request."""

    pointer: str
    detail: str


class ProblemDocument(BaseModel):
    """RFC 9457 problem details."""

    model_config = ConfigDict(extra="allow", alias_generator=to_camel, populate_by_name=True)

    type: str
    title: str
    status: int
    code: str
    detail: str
    instance: str
    errors: list[ProblemError] | None = None
    retry_after: int | None = None
    available: int | None = None
    """SOLD_OUT: tickets of that type left."""
    held: int | None = None
    """SOLD_OUT: tickets in unpaid orders."""
    next_release_at: MomentJson | None = None
    """SOLD_OUT: when the earliest unpaid order gives its tickets back."""
    payment_status: Literal["LATE"] | None = None
    """The money is recorded for a refund."""
    command_id: str | None = None
    """A publish whose end is unknown: what to poll."""


class Refusal(Exception):
    """Raised by a handler (or what it calls) to end the request with a problem document."""

    def __init__(self, problem: Problem, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(problem)
        self.problem = problem
        self.headers = headers

    def __str__(self) -> str:
        return f"{self.problem.status} {self.problem.code}: {self.problem.detail}"


def invalid(detail: str, *errors: tuple[str, str]) -> Refusal:
    """400 with (pointer, what is wrong there) pairs."""
    return Refusal(Problem(Code.INVALID, detail, errors=errors))


def unauthenticated(detail: str = "This call needs a valid access token.") -> Refusal:
    """401 with the challenge that RFC 9110 section 11.6.1 requires."""
    return Refusal(
        Problem(Code.UNAUTHENTICATED, detail), {"WWW-Authenticate": 'Bearer realm="eventhub"'}
    )


def forbidden(detail: str = "None of your roles may do this.") -> Refusal:
    """403."""
    return Refusal(Problem(Code.FORBIDDEN, detail))


def not_found(detail: str = "There is nothing here, or it is not yours.") -> Refusal:
    """404."""
    return Refusal(Problem(Code.NOT_FOUND, detail))


def unavailable(detail: str, retry_after: int = UNAVAILABLE_SECONDS) -> Refusal:
    """503: a server that this call needs is away; nothing was done."""
    return Refusal(Problem(Code.UNAVAILABLE, detail, retry_after=retry_after))


def from_validation(error: ValidationError, where: str) -> Refusal:
    """400 from a pydantic error; `where` is "body" or "query". Never repeats what was sent."""
    errors: list[tuple[str, str]] = []
    for item in error.errors(include_url=False, include_input=False)[:20]:
        message = item["msg"].removeprefix("Value error, ")
        if item.get("ctx", {}).get("pattern") in (ONE_LINE, SEVERAL_LINES):
            message = "holds a control character"
        errors.append((_pointer(item["loc"], where), message))
    return invalid(f"The {where} does not fit this call.", *errors)


def _pointer(location: Sequence[int | str], where: str) -> str:
    # RFC 6901 for bodies; a query parameter is named as it stands in the address.
    parts = [str(part)[:64] for part in location]
    if where == "query":
        return "?" + (parts[0] if parts else "")
    return "".join("/" + part.replace("~", "~0").replace("/", "~1") for part in parts)


def from_exception(error: Exception) -> Refusal | None:
    """The refusal that an error stands for, None when it is a bug of ours (500)."""
    if isinstance(error, Refusal):
        return error
    if isinstance(error, web.HTTPException):
        return _from_http(error)
    if is_away(error):
        return unavailable("The database is away for a moment; nothing was done.")
    return None


def allowed_methods(error: web.HTTPMethodNotAllowed) -> str:
    """The value of Allow: every address answers OPTIONS too."""
    return ", ".join(sorted({*error.allowed_methods, "OPTIONS"}))


_HTTP_CODES = {404: Code.NOT_FOUND, 405: Code.METHOD_NOT_ALLOWED, 413: Code.TOO_LARGE}
_HTTP_DETAILS = {
    404: "There is no such address.",
    405: "This address does not take that method; see Allow.",
    413: "The request is larger than this service takes.",
}


def _from_http(error: web.HTTPException) -> Refusal | None:
    if error.status >= 500:
        return None
    code = _HTTP_CODES.get(error.status, Code.INVALID)
    detail = _HTTP_DETAILS.get(error.status, "The request could not be understood.")
    if isinstance(error, web.HTTPMethodNotAllowed):
        return Refusal(Problem(code, detail), {"Allow": allowed_methods(error)})
    return Refusal(Problem(code, detail))


INTERNAL = Problem(Code.INTERNAL, "Something failed on our side; it has been logged under this id.")


def to_response(
    problem: Problem, request_id: str, headers: Mapping[str, str] | None = None
) -> web.Response:
    """The problem document as a response."""
    body = orjson.dumps(problem.to_json(request_id))
    response = raw_reply(body, problem.status, headers, CONTENT_TYPE)
    if problem.retry_after is not None:
        response.headers["Retry-After"] = str(problem.retry_after)
    return response
