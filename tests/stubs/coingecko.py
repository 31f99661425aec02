"""A CoinGecko that can be made to fail: `GET /api/v3/simple/price` as the real one answers it.

In: what it shall do with the next calls. Out: what was asked of it.
Must stay true: without a wish it answers like the real one: only asked ids and currencies, numbers as JSON
numbers, unknown ids left out, a key checked when one is set. `python -m tests.stubs.coingecko PORT` runs it
alone.
"""

import asyncio
import contextlib
import json
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field

from aiohttp import web

PRICES = {
    "binancecoin": 600.123,
    "bitcoin": 64123.4567891,
    "cardano": 0.45123,
    "dogecoin": 0.12123456789,
    "ethereum": 3201.5,
    "litecoin": 82.1,
    "polkadot": 6.2,
    "ripple": 0.52,
    "solana": 150.25,
    "tether": 1.0001,
    "tron": 0.12,
    "usd-coin": 0.9999,
}
PER_USD = {"usd": 1.0, "eur": 0.92, "gbp": 0.79, "jpy": 155.0, "twd": 32.0}

Wish = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(slots=True)
class CoinGeckoStub:
    """What it knows, what it was asked, and what it shall do next."""

    key: str | None = None
    """When set, a call without it in its header is refused."""
    prices: dict[str, float] = field(default_factory=lambda: dict(PRICES))
    age: float = 0.0
    """Seconds since `last_updated_at`; negative: its clock is ahead."""
    wishes: list[Wish] = field(default_factory=list)
    """One is granted per call, then it answers as ever."""
    calls: list[web.Request] = field(default_factory=list)
    url: str = ""

    async def simple_price(self, request: web.Request) -> web.StreamResponse:
        """The one call that EventHub makes."""
        self.calls.append(request)
        if self.wishes:
            return await self.wishes.pop(0)(request)
        sent = request.headers.get("x-cg-demo-api-key") or request.headers.get("x-cg-pro-api-key")
        if self.key and sent != self.key:
            error = {"error_code": 10002, "error_message": "API Key Missing"}
            return web.json_response({"status": error}, status=401)
        return web.json_response(self.answer(request.query["ids"], request.query["vs_currencies"]))

    def answer(self, ids: str, currencies: str) -> dict[str, dict[str, float]]:
        """The prices that were asked for and are known."""
        updated = int(time.time() - self.age)
        return {
            coin: {
                currency: self.prices[coin] * PER_USD[currency]
                for currency in currencies.split(",")
                if currency in PER_USD
            }
            | {"last_updated_at": updated}
            for coin in ids.split(",")
            if coin in self.prices
        }


def status(code: int, **headers: str) -> Wish:
    """An error as the real one words it."""

    async def grant(_: web.Request) -> web.Response:
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        error = {"error_code": code, "error_message": "no"}
        return web.json_response({"status": error}, status=code, headers=sent)

    return grant


def body(content: str | bytes, content_type: str = "application/json") -> Wish:
    """200 with anything."""

    async def grant(_: web.Request) -> web.Response:
        raw = content if isinstance(content, bytes) else content.encode()
        return web.Response(body=raw, content_type=content_type)

    return grant


def bitcoin(price: str, updated: str | None = None) -> Wish:
    """One price, written as it is: `0`, `1e400`, `NaN`, `"soon"`; as of its first telling unless told otherwise."""
    first_told: list[str] = [updated] if updated else []

    async def grant(request: web.Request) -> web.StreamResponse:
        if not first_told:
            first_told.append(str(int(time.time())))
        text = f'{{"bitcoin": {{"usd": {price}, "last_updated_at": {first_told[0]}}}}}'
        return await body(text)(request)

    return grant


def silence() -> Wish:
    """No answer until the client goes."""

    async def grant(_: web.Request) -> web.Response:
        await asyncio.Event().wait()
        raise AssertionError("the client goes first")

    return grant


def dripping() -> Wish:
    """A body that comes byte by byte and never ends."""

    async def grant(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        await response.prepare(request)
        with contextlib.suppress(ConnectionError):
            while True:
                await response.write(b" ")
                await asyncio.sleep(0.05)
        return response

    return grant


def elsewhere(url: str) -> Wish:
    """A redirect, which must not be followed: the key would travel with it."""

    async def grant(_: web.Request) -> web.Response:
        raise web.HTTPFound(url)

    return grant


@contextlib.asynccontextmanager
async def coingecko(port: int = 0) -> AsyncIterator[CoinGeckoStub]:
    """The stub on a port of its own; `stub.url` is its base address."""
    stub = CoinGeckoStub()
    app = web.Application()
    app.router.add_get("/api/v3/simple/price", stub.simple_price)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", port)
        await site.start()
        stub.url = f"http://127.0.0.1:{runner.addresses[0][1]}/api/v3"
        yield stub
    finally:
        await runner.cleanup()


async def _serve(port: int) -> None:
    async with coingecko(port) as stub:
        print(json.dumps({"url": stub.url}), flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(_serve(int(sys.argv[1])))
