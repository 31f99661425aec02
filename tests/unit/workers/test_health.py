"""A worker's probes, asked by an orchestrator and by a stranger; what stands behind them is made up."""

import asyncio
import socket
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import aiohttp
import pytest

from workers.runtime.health import serve_health


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
async def url(servers: Servers) -> AsyncIterator[str]:
    services: Any = SimpleNamespace(
        settings=SimpleNamespace(health_port=free_port(), health_address="127.0.0.1"),
        intake=SimpleNamespace(is_open=True),
        database=servers,
        redis=servers,
        stop=asyncio.Event(),
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
