"""What operators and orchestrators ask of a gateway: is it alive, can it work, what are its numbers.

In: probes. Out: `/livez` 200 while the loop turns; `/readyz` 200, or 503 with what is missing; `/metrics`.
Must stay true: a probe costs no more than one round trip per server behind us and ends within `CHECK_SECONDS`.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Literal

import structlog
from aiohttp import web

from contracts.runtime.metrics import CONTENT_TYPE
from contracts.shapes import Answer
from gateway.http.keys import METRICS
from gateway.http.replies import json_reply
from gateway.http.routing import (
    ANYONE,
    LimitClass,
    Route,
    RouteAnswer,
)

CHECK_SECONDS = 2.0

Check = Callable[[], Awaitable[None]]
"""Raises when what it looks at does not work."""

log = structlog.get_logger(__name__)


class Liveness(Answer):
    """The loop turns."""

    status: Literal["alive"]


class Readiness(Answer):
    """What is missing, and what works without its faster half."""

    status: Literal["ready", "unready"]
    missing: list[str]
    degraded: list[str]


class Checks:
    """What must work for this process to be ready. Optional ones are reported, not required."""

    def __init__(self) -> None:
        self._required: dict[str, Check] = {}
        self._optional: dict[str, Check] = {}
        self.stopping = False

    def require(self, name: str, check: Check) -> None:
        """Without it, the process is not ready."""
        self._required[name] = check

    def report(self, name: str, check: Check) -> None:
        """Without it, the process works slower."""
        self._optional[name] = check

    async def missing(self) -> tuple[list[str], list[str]]:
        """(required, optional) names that do not work now."""
        names = [*self._required, *self._optional]
        checks = [*self._required.values(), *self._optional.values()]
        works = await asyncio.gather(*(_works(check) for check in checks))
        broken = {name for name, fine in zip(names, works, strict=True) if not fine}
        if self.stopping:
            return ["stopping", *sorted(broken & set(self._required))], []
        return sorted(broken & set(self._required)), sorted(broken & set(self._optional))


async def _works(check: Check) -> bool:
    try:
        async with asyncio.timeout(CHECK_SECONDS):
            await check()
    except Exception as error:
        log.warning("check.failed", reason=repr(error)[:200])
        return False
    return True


CHECKS = web.AppKey("checks", Checks)


async def livez(request: web.Request) -> web.Response:
    """The loop turns."""
    return json_reply({"status": "alive"})


async def readyz(request: web.Request) -> web.Response:
    """What is missing, if anything."""
    missing, degraded = await request.config_dict[CHECKS].missing()
    document = {
        "status": "unready" if missing else "ready",
        "missing": missing,
        "degraded": degraded,
    }
    return json_reply(document, 503 if missing else 200)


async def metrics(request: web.Request) -> web.Response:
    """Prometheus text."""
    body = request.config_dict[METRICS].render()
    return web.Response(body=body, headers={"Content-Type": CONTENT_TYPE})


def _probe(
    path: str, operation_id: str, summary: str, handler: object, answer: RouteAnswer
) -> Route:
    return Route(
        method="GET",
        path=path,
        operation_id=operation_id,
        summary=summary,
        handler=handler,  # type: ignore[arg-type]  # one of the three above
        access=ANYONE,
        answers={200: answer},
        tag="Operations",
        limit=LimitClass.NONE,
    )


ROUTES = (
    _probe("/livez", "livez", "Is the process alive?", livez, RouteAnswer(Liveness, "It is.")),
    _probe("/readyz", "readyz", "Can it work?", readyz, RouteAnswer(Readiness, "It can.")),
    _probe(
        "/metrics",
        "metrics",
        "Its numbers, for Prometheus",
        metrics,
        RouteAnswer(None, "Prometheus text exposition.", media_type="text/plain"),
    ),
)
