"""`python -m gateway`: serve until SIGTERM or SIGINT, then finish what is in flight and exit 0 within 10 s.

In: the environment (contracts/runtime/settings.py). Out: HTTP on EVENTHUB_PORT, shared with other gateways of
this machine (SO_REUSEPORT), and the operations calls alone on EVENTHUB_HEALTH_PORT, as a worker's.
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
from contracts.runtime.settings_check import tell_concerns, wrong_settings
from gateway.app import announce_stop, build_app
from gateway.http.server import GatewayRunner
from gateway.resources.operations import health_app

BACKLOG = 1024

log = structlog.get_logger(__name__)


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
    runner, health = GatewayRunner(app), GatewayRunner(health_app(app))
    try:
        await runner.setup()
        await health.setup()
        await web.TCPSite(health, settings.health_address, settings.health_port).start()
        site = web.TCPSite(runner, port=settings.port, reuse_port=True, backlog=BACKLOG)
        await site.start()
        log.info("gateway.ready", port=settings.port, health_port=health.addresses[0][1])
        await stop.wait()
        log.info("gateway.stopping")
        await announce_stop(app)
        await runner.drain()
    finally:
        await runner.cleanup()
        await health.cleanup()
    log.info("gateway.stopped")


def main() -> int:
    """The process's exit code."""
    try:
        settings = load_settings()
    except ValidationError as error:
        print(wrong_settings(error), file=sys.stderr)
        return 2
    log_to(settings.log_file)
    logs.configure(settings.process, settings.log_level)
    tell_concerns(settings)
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
