"""`python -m gateway`: serve until SIGTERM or SIGINT, then finish what is in flight and exit 0 within 10 s.

In: the environment (contracts/runtime/settings.py). Out: HTTP on EVENTHUB_PORT, shared with other gateways of
this machine (SO_REUSEPORT), and the three operations calls alone on EVENTHUB_HEALTH_PORT when that is set.
Must stay true: with weak keys or wrong settings it says why on standard error and exits 2 before any port is open.
"""

import asyncio
import signal
import sys

import structlog
import uvloop
from aiohttp import web
from pydantic import ValidationError

from contracts.runtime import logs
from contracts.runtime.garbage_collection import settle_collector
from contracts.runtime.log_file import log_to
from contracts.runtime.settings import Settings, load_settings
from gateway.app import announce_stop, build_app
from gateway.http.keys import METRICS
from gateway.http.server import GatewayRunner
from gateway.resources import operations
from gateway.resources.operations import CHECKS

BACKLOG = 1024

log = structlog.get_logger(__name__)


def _health_app(app: web.Application) -> web.Application:
    health = web.Application()
    health[CHECKS], health[METRICS] = app[CHECKS], app[METRICS]
    for route in operations.ROUTES:
        health.router.add_get(route.path, route.handler)
    return health


class WrongSettings(Exception):
    """The environment says something that no gateway can run with; the text names it."""


def _configured(settings: Settings) -> web.Application:
    try:
        return build_app(settings)
    except ValueError as error:
        raise WrongSettings(str(error)) from None


async def serve(settings: Settings) -> None:
    """Open the ports, wait for a signal, close in order. Raises WrongSettings, and what a context raises."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    app = _configured(settings)
    runner = GatewayRunner(app)
    health: GatewayRunner | None = None
    try:
        await runner.setup()
        if settings.health_port:
            health = GatewayRunner(_health_app(app))
            await health.setup()
            await web.TCPSite(health, port=settings.health_port).start()
        site = web.TCPSite(runner, port=settings.port, reuse_port=True, backlog=BACKLOG)
        await site.start()
        log.info("gateway.ready", port=settings.port, health_port=settings.health_port)
        await stop.wait()
        log.info("gateway.stopping")
        await announce_stop(app)
        await runner.drain()
    finally:
        await runner.cleanup()
        if health is not None:
            await health.cleanup()
    log.info("gateway.stopped")


def main() -> int:
    """The process's exit code."""
    try:
        settings = load_settings()
    except ValidationError as error:
        # Which variables are wrong, never their values.
        wrong = [f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors()]
        print("settings: " + "; ".join(wrong), file=sys.stderr)
        return 2
    log_to(settings.log_file)
    logs.configure(settings.process, settings.log_level)
    settle_collector()
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(serve(settings))
    except WrongSettings as error:
        print(str(error), file=sys.stderr)
        return 2
    except Exception as error:
        # A server that is not there yet, a port that is taken: one line for the log, and the supervisor tries again.
        log.error("gateway.failed", reason=repr(error)[:300], exc_info=error)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
