"""A worker's health endpoints: `/livez`, `/readyz` and `/metrics` on a port of its own.

In: the process's services. Out: 200, or 503 with what is missing; anything else is problem+json, as at the gateway.
Must stay true: alive means the event loop turns; ready means that work would be done: broker and database answer, the
self-test has passed, the latest messages did not all fail (Redis may be away: the worker goes on, slower, and says so);
no answer tells a server's version or a stack trace.
"""

import asyncio
import contextlib
import functools
import uuid
from collections.abc import AsyncIterator, Callable

import orjson
import structlog
from aiohttp import web
from aiohttp.typedefs import Handler
from prometheus_client import generate_latest
from redis.exceptions import RedisError

from contracts.problems import CONTENT_TYPE, Code, Problem
from db.mysql.database import is_away
from workers.runtime.services import Services

CHECK_SECONDS = 2.0
_CODES = {404: Code.NOT_FOUND, 405: Code.METHOD_NOT_ALLOWED}

log = structlog.get_logger(__name__)


@contextlib.asynccontextmanager
async def serve_health(services: Services, measure: Callable[[], None]) -> AsyncIterator[None]:
    """Serve on 0.0.0.0 at EVENTHUB_HEALTH_PORT (0: any free port) while the block runs."""
    app = web.Application(middlewares=[_with_middleware])
    app.on_response_prepare.append(_nameless)
    app.router.add_get("/livez", _livez)
    app.router.add_get("/readyz", functools.partial(_readyz, services))
    app.router.add_get("/metrics", functools.partial(_metrics, measure))
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "0.0.0.0", services.settings.health_port)  # noqa: S104 - probed from outside a container
        await site.start()
        yield
    finally:
        await runner.cleanup()


@web.middleware
async def _with_middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except web.HTTPMethodNotAllowed as error:
        allowed = {"Allow": ", ".join(sorted({*error.allowed_methods, "OPTIONS"}))}
        if request.method == "OPTIONS":
            return web.Response(status=204, headers=allowed)
        return _problem(Code.METHOD_NOT_ALLOWED, "See Allow.", allowed)
    except web.HTTPException as error:
        return _problem(
            _CODES.get(error.status, Code.INVALID), "/livez, /readyz and /metrics are here."
        )
    except Exception:
        log.exception("probe failed", path=request.path)
        return _problem(Code.INTERNAL, "Something failed on our side; it has been logged.")


def _problem(code: Code, detail: str, headers: dict[str, str] | None = None) -> web.Response:
    problem, id_ = Problem(code, detail), uuid.uuid4().hex
    return web.Response(
        body=orjson.dumps(problem.to_json(id_)),
        status=problem.status,
        headers={"X-Request-Id": id_} | (headers or {}),
        content_type=CONTENT_TYPE,
    )


async def _nameless(_: web.Request, response: web.StreamResponse) -> None:
    response.headers.popall("Server", None)


async def _livez(_: web.Request) -> web.Response:
    return web.json_response({"status": "alive"})


async def _readyz(services: Services, _: web.Request) -> web.Response:
    state = {
        "broker": services.intake.is_open,
        "database": await _database_answers(services),
        "redis": await _redis_answers(services),
    }
    missing = {name: "it does not answer" for name in ("broker", "database") if not state[name]}
    missing |= await services.readiness.missing(database=state["database"])
    ready = not missing and not services.stop.is_set()
    status = "ready" if ready else "unready"
    body = {"status": status, "missing": [*missing], "reasons": missing, **state}
    return web.json_response(body, status=200 if ready else 503)


async def _metrics(measure: Callable[[], None], _: web.Request) -> web.Response:
    measure()
    return web.Response(body=generate_latest(), content_type="text/plain")


async def _database_answers(services: Services) -> bool:
    try:
        async with asyncio.timeout(CHECK_SECONDS):
            await services.database.read("SELECT 1")
    except Exception as error:
        if not is_away(error):
            raise
        return False
    return True


async def _redis_answers(services: Services) -> bool:
    try:
        await services.redis.ping()
    except (RedisError, OSError, TimeoutError):
        return False
    return True
