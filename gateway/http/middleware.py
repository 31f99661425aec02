"""The middleware around every request: it gives the id, the log line, the metrics and the headers.

No error leaves without its problem document.

In: any request, also one that no route fits. Out: a response with X-Request-Id and the security headers.
Must stay true: whatever goes wrong below ends here as problem+json; one log line per request, without query, body or
headers of the client; a response that has begun is never mixed with another.
"""

import asyncio
import itertools
import re
import time
from secrets import token_hex

import structlog
from aiohttp import web
from aiohttp.typedefs import Handler
from multidict import CIMultiDict
from structlog.contextvars import bind_contextvars

from contracts.models import GatePrincipal
from contracts.problems import Code, Problem
from contracts.runtime.logs import LineLog
from contracts.runtime.overrides.http_replies import Reply
from contracts.runtime.streak import Streak
from gateway.http.keys import CONTEXT, NO_OPERATION, RequestContext
from gateway.http.problems import (
    INTERNAL,
    Refusal,
    allowed_methods,
    from_exception,
    to_response,
)
from gateway.http.rate_limits import LIMIT_STATE, Limiter, limit_headers
from gateway.http.replies import empty_reply
from gateway.http.representations import compress
from gateway.http.request_metrics import RequestMetrics
from gateway.http.routing import LimitClass

_CLIENT_ID = re.compile(r"[A-Za-z0-9._-]{8,64}", re.ASCII)
SECURITY_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cache-Control": "no-store",
}
"""OWASP REST Security Cheat Sheet, "Security Headers". A handler that needs another value has set it already."""
EXPOSED = (
    "Age, Allow, Deprecation, ETag, Idempotent-Replayed, Link, Location, Preference-Applied, RateLimit, "
    "RateLimit-Policy, Retry-After, Sunset, WWW-Authenticate, X-Command-Id, X-Request-Id"
)
"""What pages of another origin may read beside what the Fetch standard lets them (Cache-Control and such)."""
PREFLIGHT_SECONDS = 600
SAYS_NOTHING = frozenset({"none", "livez", "readyz", "metrics"})
"""Operations whose success is no sign that requests are answered."""
LOGGED_PATH_MAX = 200
"""Characters of a path in a log line: whoever asks for long ones is not to rotate the others away."""
ALLOWED = (
    "Authorization, Content-Type, Idempotency-Key, If-Match, If-None-Match, Last-Event-ID, Prefer, "
    "traceparent, tracestate, X-Request-Id"
)

log = structlog.get_logger("access")


# Fresh ids: random per process, then counted. They name, they do not protect; a system call each would cost more.
_PREFIX, _NUMBERS = token_hex(8), itertools.count()


def request_id(request: web.BaseRequest) -> str:
    """The client's own id when it is one, else a fresh one."""
    given = request.headers.get("X-Request-Id")
    if given is not None and _CLIENT_ID.fullmatch(given):
        return given
    return f"{_PREFIX}{next(_NUMBERS):012x}"


class RequestMiddleware:
    """Round one application's requests. `access` None: no line per request; `stopping`: connections end with
    their answer."""

    def __init__(
        self,
        seen: RequestMetrics,
        access: LineLog | None,
        stopping: asyncio.Event,
        cors_origins: tuple[str, ...] = (),
        limiter: Limiter | None = None,
        streak: Streak | None = None,
    ) -> None:
        self._streak = streak or Streak()
        self._seen, self._access, self._stopping = seen, access, stopping
        self._limiter = limiter
        self._any_origin, self._origins = "*" in cors_origins, frozenset(cors_origins)

    async def answer(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """What the handler answers, or why it does not. Raises only what cuts the connection."""
        started = time.perf_counter()
        context = request[CONTEXT] = RequestContext(request_id(request))
        # aiohttp runs each request in a task, so in a context, of its own.
        bind_contextvars(request_id=context.request_id)
        response: web.StreamResponse
        try:
            response = await handler(request)
            if context.operation not in SAYS_NOTHING:
                self._streak.succeeded()
        except Exception as error:
            error = await self._counted(request, context, error)
            response = _answer(context, request, error, self._streak)
        if not response.prepared:
            if self._stopping.is_set():
                response.force_close()
            if isinstance(response, Reply):
                compress(request, response)
                self._complete(request, context, response.headers)
        spent = time.perf_counter() - started
        self._seen.add(context.operation, response.status, spent)
        if self._access is not None:
            _write_line(self._access, request, context, response, spent)
        return response

    async def _counted(
        self, request: web.Request, context: RequestContext, error: Exception
    ) -> Exception:
        """What no route took (404, 405, OPTIONS) counts for its address as well; then why it is refused."""
        if self._limiter is None or context.operation != NO_OPERATION:
            return error
        if not isinstance(error, web.HTTPException) or self._limiter.is_off(request):
            return error
        context.counted = True
        try:
            await self._limiter.count(request, LimitClass.DEFAULT, None)
        except Refusal as refusal:
            return refusal
        return error

    async def before_stream(self, request: web.Request, response: web.StreamResponse) -> None:
        """The `on_response_prepare` hook, for answers that begin inside their handler."""
        context = request[CONTEXT]
        context.begun = True
        # aiohttp's own name and version.
        response.headers.popall("Server", None)
        self._complete(request, context, response.headers)

    def _complete(
        self, request: web.Request, context: RequestContext, headers: CIMultiDict[str]
    ) -> None:
        headers["X-Request-Id"] = context.request_id
        for name, value in SECURITY_HEADERS.items():
            headers.setdefault(name, value)
        if context.counted and (state := request.get(LIMIT_STATE)) is not None:
            headers.update(limit_headers(state))
        if self._origins:
            self._allow_origin(request, headers)

    def _allow_origin(self, request: web.Request, headers: CIMultiDict[str]) -> None:
        other = headers.get("Vary")
        headers["Vary"] = f"Origin, {other}" if other else "Origin"
        origin = request.headers.get("Origin")
        if origin is not None and (self._any_origin or origin in self._origins):
            headers["Access-Control-Allow-Origin"] = "*" if self._any_origin else origin
            headers["Access-Control-Expose-Headers"] = EXPOSED


MIDDLEWARE = web.AppKey("middleware", RequestMiddleware)


def _write_line(
    access: LineLog,
    request: web.Request,
    context: RequestContext,
    response: web.StreamResponse,
    spent: float,
) -> None:
    caller = context.caller
    line = {
        "request_id": context.request_id,
        "method": request.method,
        "path": request.path[:LOGGED_PATH_MAX],
        "operation": context.operation,
        "status": response.status,
        "ms": round(spent * 1000, 2),
        "user_id": caller.user_id if caller else None,
    }
    if isinstance(caller, GatePrincipal):
        line["user_id"], line["gate_id"] = None, caller.gate_id
    if (command_id := response.headers.get("X-Command-Id")) is not None:
        line["command_id"] = command_id
    access.write(line)


def _answer(
    context: RequestContext, request: web.Request, error: Exception, streak: Streak
) -> web.Response:
    if context.begun:
        # Half an answer is out: the only honest end is a cut connection.
        log.warning("request.cut", reason=type(error).__name__)
        raise error
    if request.method == "OPTIONS" and isinstance(error, web.HTTPMethodNotAllowed):
        return _options(request, error)
    refusal = from_exception(error)
    if refusal is None:
        streak.failed()
        log.error("request.failed", exc_info=error)
        return to_response(INTERNAL, context.request_id)
    if refusal.problem.code is Code.UNAVAILABLE:
        log.warning("request.unavailable", reason=repr(error.__cause__ or error)[:200])
    return to_response(refusal.problem, context.request_id, refusal.headers)


def _options(request: web.Request, error: web.HTTPMethodNotAllowed) -> web.Response:
    allowed = allowed_methods(error)
    headers = {"Allow": allowed}
    if "Access-Control-Request-Method" in request.headers:
        headers["Access-Control-Allow-Methods"] = allowed
        headers["Access-Control-Allow-Headers"] = ALLOWED
        headers["Access-Control-Max-Age"] = str(PREFLIGHT_SECONDS)
    return empty_reply(204, headers)


def bare_problem(request: web.BaseRequest, problem: Problem) -> web.Response:
    """A problem for a request that never reached the middleware (the HTTP parser refused it)."""
    id_ = request_id(request)
    response = to_response(problem, id_, SECURITY_HEADERS)
    response.headers["X-Request-Id"] = id_
    log.info("request.malformed", request_id=id_, status=problem.status)
    return response
