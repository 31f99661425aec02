"""A stub of the gateway that sells so many tickets: what the load client and the crowd are tested against."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from aiohttp import web


@dataclass(slots=True)
class StubGateway:
    """Sells `left` tickets; each n-th answer is 429 when `busy_every` is set. Remembers who asked.

    together: nobody is answered before so many ask at the same time.
    """

    left: int
    busy_every: int = 0
    together: int = 1
    url: str = ""
    asked: int = 0
    at_once: int = 0
    full: asyncio.Event = field(default_factory=asyncio.Event)
    tokens: set[str] = field(default_factory=set)
    keys: list[str | None] = field(default_factory=list)

    async def place(self, request: web.Request) -> web.Response:
        """POST /api/orders."""
        self.asked += 1
        self.at_once += 1
        if self.at_once >= self.together:
            self.full.set()
        try:
            await request.read()
            await self.full.wait()
            self.tokens.add(request.headers["Authorization"])
            self.keys.append(request.headers.get("Idempotency-Key"))
            return self._answer()
        finally:
            self.at_once -= 1

    def _answer(self) -> web.Response:
        if self.busy_every and self.asked % self.busy_every == 0:
            return web.json_response({"code": "SEAT_LOCKED"}, status=429)
        if self.left <= 0:
            return web.json_response({"status": 409, "code": "SOLD_OUT"}, status=409)
        self.left -= 1
        return web.json_response({"id": self.left, "userId": 1, "details": []}, status=201)


@contextlib.asynccontextmanager
async def stub_gateway(
    left: int, *, busy_every: int = 0, together: int = 1
) -> AsyncIterator[StubGateway]:
    """It listens on a free port of the loopback address."""
    gateway = StubGateway(left, busy_every, together)
    app = web.Application()
    app.router.add_post("/api/orders", gateway.place)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        gateway.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        yield gateway
    finally:
        await runner.cleanup()
