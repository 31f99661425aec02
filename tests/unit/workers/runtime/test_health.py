"""A worker's probes, asked by an orchestrator and by a stranger; what stands behind them is made up."""

import asyncio
import socket
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import aiohttp
import pytest

from contracts.runtime.streak import LEAST
from workers.runtime.health import serve_health
from workers.runtime.readiness import WorkerReadiness


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port


class Servers:
    """A broker, a database and a Redis that answer, or not."""

    def __init__(self) -> None:
        self.broken: Exception | None = None

    async def read(self, _: str) -> None:
        if self.broken:
            raise self.broken

    async def ping(self) -> None:
        return None


@pytest.fixture
def servers() -> Servers:
    return Servers()


@pytest.fixture
def readiness() -> WorkerReadiness:
    return WorkerReadiness(self_test=None)


@pytest.fixture
async def url(servers: Servers, readiness: WorkerReadiness) -> AsyncIterator[str]:
    services: Any = SimpleNamespace(
        settings=SimpleNamespace(health_port=free_port(), health_address="127.0.0.1"),
        intake=SimpleNamespace(is_open=True),
        database=servers,
        redis=servers,
        stop=asyncio.Event(),
        readiness=readiness,
    )
    async with serve_health(services, lambda: None):
        yield f"http://127.0.0.1:{services.settings.health_port}"


@pytest.mark.parametrize("path", ["/livez", "/readyz", "/metrics"])
async def test_head_and_options_work(url: str, path: str) -> None:
    """200 and nothing to read; 204 and what the address takes."""
    async with aiohttp.ClientSession() as session:
        async with session.head(url + path) as head:
            assert (head.status, await head.read()) == (200, b"")
        async with session.options(url + path) as options:
            assert (options.status, options.headers["Allow"]) == (204, "GET, HEAD, OPTIONS")
            assert "Server" not in options.headers


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/nowhere", 404, "NOT_FOUND"),
        ("OPTIONS", "/nowhere", 404, "NOT_FOUND"),
        ("POST", "/livez", 405, "METHOD_NOT_ALLOWED"),
    ],
)
async def test_a_stranger_gets_a_problem(
    url: str, method: str, path: str, status: int, code: str
) -> None:
    """As at the gateway: RFC 9457, an id, no server's version."""
    async with aiohttp.ClientSession() as session, session.request(method, url + path) as answer:
        assert answer.status == status
        assert answer.content_type == "application/problem+json"
        problem = await answer.json(content_type=None)
        assert (problem["status"], problem["code"]) == (status, code)
        assert problem["instance"] == answer.headers["X-Request-Id"]
        assert "Server" not in answer.headers


async def test_a_defect_is_no_stack_trace(url: str, servers: Servers) -> None:
    """A probe that fails for a reason nobody thought of: 500, and the reason is in the log alone."""
    servers.broken = RuntimeError("a secret reason")
    async with aiohttp.ClientSession() as session, session.get(url + "/readyz") as answer:
        assert answer.status == 500
        text = await answer.text()
        assert "INTERNAL" in text
        assert "secret" not in text


async def ready(url: str) -> tuple[int, dict[str, Any]]:
    """What `/readyz` says."""
    async with aiohttp.ClientSession() as session, session.get(url + "/readyz") as answer:
        body: dict[str, Any] = await answer.json()
        return answer.status, body


async def test_before_its_self_test_it_is_not_ready(url: str, readiness: WorkerReadiness) -> None:
    """With the reason, until it has passed."""
    readiness.self_test = "OperationalError 1271; see the log"
    status, body = await ready(url)
    assert (status, body["missing"]) == (503, ["selfTest"])
    assert body["reasons"]["selfTest"] == "OperationalError 1271; see the log"
    readiness.self_test = None
    assert (await ready(url))[0] == 200


async def test_when_all_that_it_does_fails_it_is_not_ready(
    url: str, readiness: WorkerReadiness
) -> None:
    """Not at the first failures; from then on until the first success."""
    for _ in range(LEAST - 1):
        readiness.streak.failed()
    assert (await ready(url))[0] == 200
    readiness.streak.failed()
    status, body = await ready(url)
    assert (status, body["missing"]) == (503, ["messages"])
    readiness.streak.succeeded()
    assert (await ready(url))[0] == 200


async def test_what_its_kind_asks_for_is_asked(
    url: str, readiness: WorkerReadiness, servers: Servers
) -> None:
    """A check's reason is told; without a database nobody is asked."""
    asked = 0

    async def check() -> str | None:
        nonlocal asked
        asked += 1
        return "no rate"

    readiness.checks = {"rates": check}
    status, body = await ready(url)
    assert (status, body["reasons"]) == (503, {"rates": "no rate"})
    servers.broken = TimeoutError()
    status, body = await ready(url)
    assert (status, body["missing"], asked) == (503, ["database"], 1)
