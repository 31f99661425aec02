"""EventHub in this process: a gateway on a free port and workers as tasks, all on the scratch servers.

In: a `Scratch`, settings, which workers. Out: an `Api` per person, and worker tasks that can be stopped and started.
Must stay true: everything that was started is stopped at the end, gracefully, and a worker that died is an error.
"""

import asyncio
import contextlib
import importlib
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import aiohttp
from aiohttp import web

from contracts.runtime.settings import Settings
from db.redis.seat_locks import Seats
from gateway.app import build_app
from gateway.http.server import GatewayRunner
from tests.harness.accounts import Person
from tests.harness.scratch import Scratch
from workers import KINDS
from workers.runtime import process


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer, its JSON body read."""

    status: int
    body: Any
    headers: Mapping[str, str]

    @property
    def code(self) -> str | None:
        """The problem's code, if it is one."""
        return self.body.get("code") if isinstance(self.body, dict) else None


class Api:
    """HTTP calls as one person (or nobody)."""

    def __init__(self, session: aiohttp.ClientSession, url: str, token: str | None) -> None:
        self._session, self._url, self._token = session, url, token

    async def call(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        wait: int | None = 10,
        key: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """One call; `wait` is sent as `Prefer` (None: not), `key` as Idempotency-Key."""
        sent = dict(headers or {})
        if self._token:
            sent["Authorization"] = f"Bearer {self._token}"
        if wait is not None and method != "GET":
            sent["Prefer"] = f"wait={wait}"
        if key:
            sent["Idempotency-Key"] = key
        arguments: dict[str, Any] = {} if body is None else {"json": body}
        async with self._session.request(
            method, self._url + path, headers=sent, **arguments
        ) as response:
            is_json = "json" in response.content_type
            content = await (response.json(content_type=None) if is_json else response.text())
            return Answer(response.status, content, response.headers)

    async def get(self, path: str, **options: Any) -> Answer:
        return await self.call("GET", path, **options)

    async def post(self, path: str, body: object = None, **options: Any) -> Answer:
        return await self.call("POST", path, body, **options)

    async def patch(self, path: str, body: object = None, **options: Any) -> Answer:
        return await self.call("PATCH", path, body, **options)

    async def delete(self, path: str, **options: Any) -> Answer:
        return await self.call("DELETE", path, **options)


@dataclass(slots=True)
class System:
    """A running EventHub."""

    scratch: Scratch
    settings: Settings
    url: str
    session: aiohttp.ClientSession
    seats: Seats | None = None
    _workers: dict[str, tuple["asyncio.Task[None]", asyncio.Event]] = field(default_factory=dict)

    def api(self, person: Person | None = None) -> Api:
        """Calls as `person`."""
        return Api(self.session, self.url, person.token if person else None)

    def start(self, name: str) -> None:
        """Start a worker: `inventory`, or `inventory-2` for a second one."""
        process_name = name if "-" in name else f"{name}-1"
        settings = self.settings.model_copy(update={"process": process_name, "health_port": 0})
        module = importlib.import_module(f"workers.{process_name.partition('-')[0]}.__main__")
        stop = asyncio.Event()
        running = process.run(settings, module.make, seats=self.seats, stop=stop)
        self._workers[process_name] = (asyncio.create_task(running, name=process_name), stop)

    async def stop(self, name: str) -> None:
        """Stop a worker gracefully. Raises what it died of."""
        task, stop = self._workers.pop(name if "-" in name else f"{name}-1")
        stop.set()
        await task

    async def stop_all(self) -> None:
        """Stop every worker."""
        for _, stop in self._workers.values():
            stop.set()
        tasks = [task for task, _ in self._workers.values()]
        self._workers.clear()
        await asyncio.gather(*tasks)


@contextlib.asynccontextmanager
async def running(
    scratch: Scratch,
    *,
    workers: Sequence[str] = KINDS,
    seats: Seats | None = None,
    **settings: object,
) -> AsyncIterator[System]:
    """EventHub on the scratch servers; `settings` by field name, e.g. `order_ttl=1`."""
    chosen = scratch.settings(**settings)
    async with _gateway(chosen) as url, aiohttp.ClientSession() as session:
        system = System(scratch, chosen, url, session, seats)
        for name in workers:
            system.start(name)
        try:
            yield system
        finally:
            await system.stop_all()


@contextlib.asynccontextmanager
async def _gateway(settings: Settings) -> AsyncIterator[str]:
    runner = GatewayRunner(build_app(settings.model_copy(update={"process": "gateway-1"})))
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        host, port = runner.addresses[0][:2]
        yield f"http://{host}:{port}"
    finally:
        await runner.cleanup()
