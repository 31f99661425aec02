"""A receiver of webhooks for tests: writes down every call and answers as it is told, path by path."""

import contextlib
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import orjson
from aiohttp import web
from standardwebhooks.webhooks import Webhook

from tests.harness.waiting import eventually


@dataclass(frozen=True, slots=True)
class Call:
    """One POST as it came."""

    path: str
    headers: dict[str, str]
    raw: bytes

    @property
    def body(self) -> Any:
        return orjson.loads(self.raw)

    @property
    def id(self) -> str:
        return self.headers["webhook-id"]

    def verified_by(self, secret: str) -> Any:
        """The body, once the signature is proved by the receivers' own library. Raises if it is wrong."""
        return Webhook(secret).verify(self.raw, self.headers)


Answering = Callable[[Call], Awaitable[web.StreamResponse]]


def always(status: int, **headers: str) -> Answering:
    """Answer every call with this status."""

    async def answer(_: Call) -> web.Response:
        return web.Response(
            status=status, headers={k.replace("_", "-"): v for k, v in headers.items()}
        )

    return answer


def in_turn(*statuses: int) -> Answering:
    """Answer the calls with these statuses, one after the other; the last one for all that follow."""
    left = list(statuses)

    async def answer(_: Call) -> web.Response:
        return web.Response(status=left.pop(0) if len(left) > 1 else left[0])

    return answer


@dataclass(slots=True)
class Receiver:
    """Where webhooks arrive. Paths without an answer of their own get 204."""

    port: int = 0
    calls: dict[str, list[Call]] = field(default_factory=lambda: defaultdict(list))
    answers: dict[str, Answering] = field(default_factory=dict)
    streams: dict[str, Callable[[web.Request], Awaitable[web.StreamResponse]]] = field(
        default_factory=dict
    )
    """Answers that need the request itself, to stream."""

    def url(self, path: str) -> str:
        """The address of a path."""
        return f"http://127.0.0.1:{self.port}{path}"

    async def heard(self, path: str, count: int = 1) -> list[Call]:
        """The calls of a path, once there are so many."""

        async def look() -> list[Call] | None:
            calls = self.calls[path]
            return calls if len(calls) >= count else None

        found = await eventually(look)
        assert found is not None
        return list(found)

    async def heard_of(self, path: str, message_id: str) -> Call:
        """The call of a path with this `webhook-id`, once there is one."""

        async def look() -> Call | None:
            return next((call for call in self.calls[path] if call.id == message_id), None)

        found = await eventually(look)
        assert found is not None
        return found

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Write the call down and answer."""
        headers = {name.lower(): value for name, value in request.headers.items()}
        call = Call(request.path, headers, await request.read())
        self.calls[request.path].append(call)
        if request.path in self.streams:
            return await self.streams[request.path](request)
        return await self.answers.get(request.path, always(204))(call)


@contextlib.asynccontextmanager
async def receiving() -> AsyncIterator[Receiver]:
    """A receiver on a free port of 127.0.0.1."""
    receiver = Receiver()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", receiver.handle)
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    receiver.port = runner.addresses[0][1]
    try:
        yield receiver
    finally:
        await runner.cleanup()
