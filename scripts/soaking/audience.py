"""Everybody beside the shoppers: an admin's webhook receiver, a provider of rates, people who sign in and out.

In: the running system. Out: counts of what they heard and were answered.
Must stay true: each webhook's signature is verified; the provider is removed at the end; no password or secret leaves
this process.
"""

import asyncio
import contextlib
import itertools
import secrets
from array import array
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import aio_pika
import aiohttp
import orjson
from aio_pika.exceptions import AMQPError
from aiohttp import web
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from contracts.messaging.topology import RATES_EXCHANGE
from contracts.runtime.times import to_wire
from contracts.webhooks.messages import PING
from db.mysql.database import Database
from scripts.benching.loads.users import LoadUser, make_users
from scripts.benching.systems.system import System
from scripts.broker_users import BrokerUsers
from scripts.locating import Located
from scripts.providers import ProviderCommands, add_provider, remove_provider
from scripts.soaking.trends import percentile

RATE_SECONDS = 2.0
ACCOUNT_SECONDS = 5.0
ACTIVE_SECONDS = 30.0
TIMES_MAX = 2_000_000
REMEMBERED = 100_000
"""Webhooks whose repetition would be seen: a repeat comes soon."""
ASSETS = ("BTC", "ETH")
STEPS = ("0.995", "1", "1.005", "0.998", "1.002")
"""A provider's rates beside the believed one: all of them within the band."""


@dataclass(slots=True)
class Heard:
    """What a receiver of webhooks got."""

    good: int = 0
    forged: int = 0
    repeated: int = 0
    """Those that had come before."""
    types: Counter[str] = field(default_factory=Counter)
    seconds: "array[float]" = field(default_factory=lambda: array("f"))
    """From the event to its arrival."""
    _ids: dict[str, None] = field(default_factory=dict)

    def note(self, webhook_id: str, told: Mapping[str, Any]) -> None:
        """One that came, its signature verified."""
        self.good += 1
        self.types[told["type"]] += 1
        if webhook_id in self._ids:
            self.repeated += 1
        self._ids[webhook_id] = None
        if len(self._ids) > REMEMBERED:
            del self._ids[next(iter(self._ids))]
        if len(self.seconds) < TIMES_MAX:
            sent = datetime.fromisoformat(told["timestamp"])
            self.seconds.append((datetime.now(UTC) - sent).total_seconds())

    def to_json(self) -> dict[str, Any]:
        """Counts and times in milliseconds."""
        return {
            "received": self.good,
            "forged": self.forged,
            "repeated": self.repeated,
            "types": dict(self.types),
            "p50Ms": round(percentile(self.seconds, 0.5) * 1000),
            "p99Ms": round(percentile(self.seconds, 0.99) * 1000),
        }


class Receiver:
    """Answers 204 to every webhook whose signature is right, 400 to others."""

    def __init__(self) -> None:
        self.heard = Heard()
        self.secret: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        """Its first ping may come before the answer that brings the secret."""

    async def handle(self, request: web.Request) -> web.Response:
        """POST of one webhook."""
        raw = await request.read()
        try:
            Webhook(await self.secret).verify(raw, dict(request.headers))
        except WebhookVerificationError:
            self.heard.forged += 1
            return web.Response(status=400)
        document = orjson.loads(raw)
        if document["type"] != PING:
            self.heard.note(request.headers["webhook-id"], document)
        return web.Response(status=204)


@contextlib.asynccontextmanager
async def receiving(system: System, session: aiohttp.ClientSession) -> AsyncIterator[Heard | None]:
    """An admin's webhook for everything; None where private addresses are not allowed."""
    receiver = Receiver()
    app = web.Application()
    app.router.add_post("/", receiver.handle)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    admin = (await make_users(system, 1, ("ADMIN",)))[0]
    headers = {"Authorization": f"Bearer {admin.token}"}
    body = {"url": f"http://127.0.0.1:{runner.addresses[0][1]}/", "eventTypes": ["*"]}
    hooks = f"{system.gateway_url}/api/webhooks"
    try:
        async with session.post(hooks, json=body, headers=headers) as answer:
            made = await answer.json()
            allowed = answer.status == 201
        if not allowed:
            yield None
            return
        receiver.secret.set_result(made["secret"])
        await _active(session, f"{hooks}/{made['id']}", headers)
        yield receiver.heard
        async with session.delete(f"{hooks}/{made['id']}", headers=headers) as answer:
            answer.raise_for_status()
    finally:
        await runner.cleanup()


async def _active(session: aiohttp.ClientSession, hook: str, headers: dict[str, str]) -> None:
    """Wait until the webhook's first ping has been answered. Raises TimeoutError."""
    async with asyncio.timeout(ACTIVE_SECONDS):
        while True:
            async with session.get(hook, headers=headers) as answer:
                if (await answer.json())["status"] == "ACTIVE":
                    return
            await asyncio.sleep(0.1)


@contextlib.asynccontextmanager
async def reporting(
    system: System, database: Database, session: aiohttp.ClientSession, told: Counter[str]
) -> AsyncIterator[None]:
    """A provider who reports rates straight to the broker; its account and broker user are removed at the end."""
    management = system.amqp_management_url
    assert management is not None, "a soak asks the management API"
    users = BrokerUsers(management, system.amqp_url)
    where = Located(system.mysql_url, system.amqp_url, management, system.redis_url)
    commands, name = ProviderCommands(database, users, where), f"soak-{secrets.token_hex(4)}"
    shown = await add_provider(commands, name, f"{name}@providers.eventhub.example")
    try:
        connection = await aio_pika.connect_robust(shown["amqpUrl"])
        provider = SoakProvider(system.gateway_url, name, session, told)
        task = asyncio.create_task(provider.report(connection))
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            await connection.close()
    finally:
        await remove_provider(commands, name)
        await users.close()


@dataclass(frozen=True, slots=True)
class SoakProvider:
    """Reports rates that go up and down a little around the believed ones."""

    url: str
    name: str
    session: aiohttp.ClientSession
    told: Counter[str]

    async def report(self, connection: aio_pika.abc.AbstractRobustConnection) -> None:
        """A rate of each asset every two seconds, until cancelled."""
        channel = await connection.channel(on_return_raises=True)
        exchange = await channel.get_exchange(RATES_EXCHANGE, ensure=False)
        for step in itertools.cycle(STEPS):
            for asset in ASSETS:
                try:
                    async with asyncio.timeout(5):
                        await exchange.publish(
                            await self._message(asset, step), f"rates.{self.name}.{asset}"
                        )
                    self.told["rate reported"] += 1
                except (AMQPError, aiohttp.ClientError, OSError, TimeoutError, KeyError) as error:
                    self.told[f"rate not reported: {type(error).__name__}"] += 1
            await asyncio.sleep(RATE_SECONDS)

    async def _message(self, asset: str, step: str) -> aio_pika.Message:
        async with self.session.get(f"{self.url}/api/market/rates/{asset}") as answer:
            believed = Decimal((await answer.json())["rate"])
        seen = {
            "asset": asset,
            "currency": "USD",
            "rate": f"{believed * Decimal(step):.8f}",
            "observedAt": to_wire(datetime.now(UTC)),
        }
        return aio_pika.Message(
            orjson.dumps(seen),
            content_type="application/json",
            delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
            message_id=secrets.token_hex(8),
            user_id=self.name,
        )


async def sign_in_and_out(
    system: System, session: aiohttp.ClientSession, told: Counter[str]
) -> None:
    """Somebody signs in, refreshes, looks at themselves and signs out, every five seconds, until cancelled."""
    people = await make_users(system, 5)
    turn = 0
    while True:
        try:
            await _session_of(system.gateway_url, people[turn % len(people)], session, told)
        except (aiohttp.ClientError, OSError, TimeoutError, KeyError) as error:
            told[f"account unanswered {type(error).__name__}"] += 1
        turn += 1
        await asyncio.sleep(ACCOUNT_SECONDS)


async def _session_of(
    url: str, user: LoadUser, session: aiohttp.ClientSession, told: Counter[str]
) -> None:
    async def post(path: str, body: object, token: str = "") -> Any:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        async with session.post(f"{url}/api/auth/{path}", json=body, headers=headers) as answer:
            told[f"{path} {answer.status}"] += 1
            return await answer.json() if answer.status == 200 else {}

    first = await post("login", {"email": user.email, "password": user.password})
    second = await post("refresh", {"refreshToken": first["refreshToken"]})
    headers = {"Authorization": f"Bearer {second['accessToken']}"}
    async with session.get(f"{url}/api/auth/me", headers=headers) as answer:
        told[f"me {answer.status}"] += 1
    await post("logout", {"refreshToken": second["refreshToken"]}, second["accessToken"])
