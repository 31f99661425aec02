"""A worker's own door: `/livez`, `/readyz` and `/metrics` on a port of its own.

In: the process's services. Out: 200, or 503 with what is missing.
Must stay true: alive means the event loop turns; ready means broker and database answer (Redis may be away: the worker
goes on, slower, and says so).
"""

import asyncio
import contextlib
import functools
from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING

from aiohttp import web
from prometheus_client import generate_latest
from redis.exceptions import RedisError

from db.mysql import is_away

if TYPE_CHECKING:
    from workers.process import Services

CHECK_SECONDS = 2.0


@contextlib.asynccontextmanager
async def serve_health(services: "Services", measure: Callable[[], None]) -> AsyncIterator[None]:
    """Serve on 0.0.0.0 at EVENTHUB_HEALTH_PORT (0: any free port) while the block runs."""
    app = web.Application()
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


async def _livez(_: web.Request) -> web.Response:
    return web.json_response({"status": "alive"})


async def _readyz(services: "Services", _: web.Request) -> web.Response:
    state = {
        "broker": services.intake.is_open,
        "database": await _database_answers(services),
        "redis": await _redis_answers(services),
    }
    ready = state["broker"] and state["database"] and not services.stop.is_set()
    missing = [name for name in ("broker", "database") if not state[name]]
    body = {"status": "ready" if ready else "not ready", "missing": missing, **state}
    return web.json_response(body, status=200 if ready else 503)


async def _metrics(measure: Callable[[], None], _: web.Request) -> web.Response:
    measure()
    return web.Response(body=generate_latest(), content_type="text/plain")


async def _database_answers(services: "Services") -> bool:
    try:
        async with asyncio.timeout(CHECK_SECONDS):
            await services.database.read("SELECT 1")
    except Exception as error:
        if not is_away(error):
            raise
        return False
    return True


async def _redis_answers(services: "Services") -> bool:
    try:
        await services.redis.ping()
    except (RedisError, OSError, TimeoutError):
        return False
    return True
