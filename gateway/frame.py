"""The frame round every request: its id, its log line, its metrics, its headers, and no error without its document.

In: any request, also one that no route fits. Out: a response with X-Request-Id and the security headers.
Must stay true: whatever goes wrong below ends here as problem+json; one log line per request, without query, body or
headers of the client; a response that has begun is never mixed with another.
"""

import asyncio
import itertools
import re
import time
from collections.abc import Awaitable, Callable
from secrets import token_hex

import structlog
from aiohttp import web
from aiohttp.typedefs import Handler, Middleware
from structlog.contextvars import bind_contextvars

from contracts.logs import LineLog
from contracts.problems import Code, Problem
from gateway.keys import OPERATION, PRINCIPAL, REQUEST_ID
from gateway.limiting import LIMIT_STATE, limit_headers
from gateway.problems import INTERNAL, allowed_methods, from_exception, to_response
from gateway.request_metrics import RequestMetrics

_CLIENT_ID = re.compile(r"[A-Za-z0-9._-]{8,64}", re.ASCII)
SECURITY_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cache-Control": "no-store",
}
"""OWASP REST Security Cheat Sheet, "Security Headers". A handler that needs another value has set it already."""
EXPOSED = (
    "ETag, Link, Location, Preference-Applied, Idempotent-Replayed, RateLimit, RateLimit-Policy, "
    "Retry-After, X-Command-Id, X-Request-Id"
)
PREFLIGHT_SECONDS = 600
_ALLOWED_HEADERS = (
    "Authorization, Content-Type, Idempotency-Key, If-Match, If-None-Match, Prefer, X-Request-Id"
)

_STARTED = web.RequestKey("started", bool)

log = structlog.get_logger("access")


# Fresh ids: random per process, then counted. They name, they do not protect; a system call each would cost more.
_PREFIX, _NUMBERS = token_hex(8), itertools.count()


def request_id(request: web.BaseRequest) -> str:
    """The client's own id when it is one, else a fresh one."""
    given = request.headers.get("X-Request-Id")
    if given is not None and _CLIENT_ID.fullmatch(given):
        return given
    return f"{_PREFIX}{next(_NUMBERS):012x}"


def frame(seen: RequestMetrics, access: LineLog | None, stopping: asyncio.Event) -> Middleware:
    """The one middleware. `access` None: no line per request; `stopping`: connections end with their answer."""

    @web.middleware
    async def framed(request: web.Request, handler: Handler) -> web.StreamResponse:
        started = time.perf_counter()
        request[REQUEST_ID] = id_ = request_id(request)
        # aiohttp runs each request in a task, so in a context, of its own.
        bind_contextvars(request_id=id_)
        response: web.StreamResponse
        try:
            response = await handler(request)
        except Exception as error:
            response = _answer(request, error, id_)
        if stopping.is_set() and not response.prepared:
            response.force_close()
        spent = time.perf_counter() - started
        operation = request.get(OPERATION, "none")
        seen.add(operation, response.status, spent)
        if access is not None:
            _write_line(access, request, response, operation, spent)
        return response

    return framed


def _write_line(
    access: LineLog,
    request: web.Request,
    response: web.StreamResponse,
    operation: str,
    spent: float,
) -> None:
    caller = request.get(PRINCIPAL)
    line = {
        "request_id": request[REQUEST_ID],
        "method": request.method,
        "path": request.path,
        "operation": operation,
        "status": response.status,
        "ms": round(spent * 1000, 2),
        "user_id": caller.user_id if caller else None,
    }
    if (command_id := response.headers.get("X-Command-Id")) is not None:
        line["command_id"] = command_id
    access.write(line)


def _answer(request: web.Request, error: Exception, id_: str) -> web.StreamResponse:
    if _STARTED in request:
        # Half an answer is out: the only honest end is a cut connection.
        log.warning("request.cut", reason=type(error).__name__)
        raise error
    if request.method == "OPTIONS" and isinstance(error, web.HTTPMethodNotAllowed):
        return _options(request, error)
    refusal = from_exception(error)
    if refusal is None:
        log.error("request.failed", exc_info=error)
        return to_response(INTERNAL, id_)
    if refusal.problem.code is Code.UNAVAILABLE:
        log.warning("request.unavailable", reason=repr(error.__cause__ or error)[:200])
    return to_response(refusal.problem, id_, refusal.headers)


def _options(request: web.Request, error: web.HTTPMethodNotAllowed) -> web.Response:
    allowed = allowed_methods(error)
    headers = {"Allow": allowed}
    if "Access-Control-Request-Method" in request.headers:
        headers["Access-Control-Allow-Methods"] = allowed
        headers["Access-Control-Allow-Headers"] = _ALLOWED_HEADERS
        headers["Access-Control-Max-Age"] = str(PREFLIGHT_SECONDS)
    return web.Response(status=204, headers=headers)


def response_headers(
    cors_origins: tuple[str, ...],
) -> Callable[[web.Request, web.StreamResponse], Awaitable[None]]:
    """The `on_response_prepare` hook: it sees streams too, before their first byte."""
    any_origin, origins = "*" in cors_origins, frozenset(cors_origins)

    async def prepare(request: web.Request, response: web.StreamResponse) -> None:
        headers = response.headers
        request[_STARTED] = True
        headers.popall("Server", None)
        headers["X-Request-Id"] = request.get(REQUEST_ID) or request_id(request)
        for name, value in SECURITY_HEADERS.items():
            headers.setdefault(name, value)
        if (state := request.get(LIMIT_STATE)) is not None:
            headers.update(limit_headers(state))
        if origins:
            headers.add("Vary", "Origin")
            origin = request.headers.get("Origin")
            if origin is not None and (any_origin or origin in origins):
                headers["Access-Control-Allow-Origin"] = "*" if any_origin else origin
                headers["Access-Control-Expose-Headers"] = EXPOSED

    return prepare


def bare_problem(request: web.BaseRequest, problem: Problem) -> web.Response:
    """A problem for a request that never reached the frame (the HTTP parser refused it)."""
    request[REQUEST_ID] = id_ = request_id(request)
    response = to_response(problem, id_, SECURITY_HEADERS)
    response.headers["X-Request-Id"] = id_
    # aiohttp fills in its own name and version unless there is one.
    response.headers["Server"] = "EventHub"
    log.info("request.malformed", request_id=id_, status=problem.status)
    return response
