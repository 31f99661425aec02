"""A MySQL database, a RabbitMQ virtual host and a Redis database of this test session's own.

In: the four URLs of the environment (`scripts/test` sets them). Out: the same four, narrowed to scratch servers.
Must stay true: nothing outside the scratch servers is touched; they are removed at the end.
"""

import contextlib
import os
import secrets
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from urllib.parse import quote, urlsplit, urlunsplit

import aiohttp
import aiomysql
from pydantic import SecretStr
from redis.asyncio import Redis

from contracts.runtime.settings import Settings
from db.migrate import migrate
from db.mysql.database import connection_arguments
from db.privileges import grants
from db.privileges.rights import KINDS

SECRET = "a master secret for tests only and long enough"
NEVER = "1000000000"
"""Seconds: tickets come back by their events in tests, or a lost event would be seen by none of them."""
JWT_KEYS = "test:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"


@dataclass(frozen=True, slots=True)
class Scratch:
    """URLs of servers that belong to one test session."""

    mysql_url: str = field(repr=False)
    amqp_url: str = field(repr=False)
    amqp_management_url: str = field(repr=False)
    redis_url: str = field(repr=False)
    narrow: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Database URL of each kind of process, with its own rights alone; {}: all use `mysql_url`."""

    def environment(self, **more: str) -> dict[str, str]:
        """The variables a process of EventHub reads."""
        return {
            "MYSQL_URL": self.mysql_url,
            "AMQP_URL": self.amqp_url,
            "AMQP_MANAGEMENT_URL": self.amqp_management_url,
            "REDIS_URL": self.redis_url,
            "EVENTHUB_SECRET": SECRET,
            "EVENTHUB_JWT_KEYS": JWT_KEYS,
            "EVENTHUB_LIMITS_OFF_FOR": "127.0.0.0/8",
            "EVENTHUB_ARGON2": "64,1,1",
            "EVENTHUB_RETURNS_OVERDUE": NEVER,
            "EVENTHUB_UNPAID_ORDERS": "0",
            "EVENTHUB_HOLD_COOLDOWN": "0",
            **more,
        }

    def settings(self, **changes: object) -> Settings:
        """The same as an object; `changes` by field name."""
        values: dict[str, object] = {
            "MYSQL_URL": self.mysql_url,
            "AMQP_URL": self.amqp_url,
            "AMQP_MANAGEMENT_URL": self.amqp_management_url,
            "REDIS_URL": self.redis_url,
            "secret": SECRET,
            "jwt_keys": JWT_KEYS,
            "limits_off_for": "127.0.0.0/8",
            "argon2": "64,1,1",
            "returns_overdue": NEVER,
            # One person often stands for a crowd in tests; limits per person have tests of their own.
            "unpaid_orders": 0,
            "hold_cooldown": 0,
            "shards": 4,
            "port": 0,
        }
        return Settings.model_validate(values | changes)


_narrow: dict[str, Mapping[str, str]] = {}
"""Scratch.narrow of the places that are open, by their database's URL."""


def own_url(mysql_url: str, kind: str) -> str:
    """The URL with which a kind of process connects; `mysql_url` where a test chose another database."""
    return _narrow.get(mysql_url, {}).get(kind, mysql_url)


def own_account(settings: Settings, process: str) -> Settings:
    """What a process of this name runs with: its kind's account."""
    url = own_url(settings.mysql_url.get_secret_value(), process.rpartition("-")[0] or process)
    return settings.model_copy(update={"mysql_url": SecretStr(url)})


def server_url(name: str) -> str:
    """A server's URL. Raises RuntimeError with what to do when it is not given."""
    try:
        return os.environ[name]
    except KeyError:
        raise RuntimeError(
            f"{name} is not set: run the suite by scripts/test, or start servers by scripts/servers"
        ) from None


@contextlib.asynccontextmanager
async def scratch_servers() -> AsyncIterator[Scratch]:
    """Make them, migrate the database, remove everything afterwards."""
    name = f"eventhub_test_{secrets.token_hex(6)}"
    async with contextlib.AsyncExitStack() as stack:
        mysql_url = await stack.enter_async_context(_database(name))
        amqp_url = await stack.enter_async_context(_virtual_host(name))
        redis_url = await stack.enter_async_context(_redis_database(name))
        await migrate(mysql_url)
        narrow = await stack.enter_async_context(_accounts(mysql_url))
        management = server_url("AMQP_MANAGEMENT_URL")
        yield Scratch(mysql_url, amqp_url, management, redis_url, narrow)


@contextlib.asynccontextmanager
async def _database(name: str) -> AsyncIterator[str]:
    url = _with_path(server_url("MYSQL_URL"), name)
    try:
        yield url
    finally:
        connection = await aiomysql.connect(**connection_arguments(_with_path(url, "")))
        cursor = await connection.cursor()
        await cursor.execute(f"DROP DATABASE IF EXISTS {name}")
        connection.close()


@contextlib.asynccontextmanager
async def _accounts(mysql_url: str) -> AsyncIterator[dict[str, str]]:
    """An account for each kind of process, as `scripts/up` makes them."""
    parts, prefix = urlsplit(mysql_url), f"t_{secrets.token_hex(6)}"
    host = parts.netloc.rpartition("@")[2]
    urls = {
        kind: urlunsplit(parts._replace(netloc=f"{prefix}_{kind}:{secrets.token_hex(8)}@{host}"))
        for kind in KINDS
    }
    try:
        await grants.make_accounts(mysql_url, urls)
        await grants.grant(mysql_url, urls)
        _narrow[mysql_url] = urls
        yield urls
    finally:
        _narrow.pop(mysql_url, None)
        await grants.drop_accounts(mysql_url, urls)


@contextlib.asynccontextmanager
async def _virtual_host(name: str) -> AsyncIterator[str]:
    amqp_url, management = server_url("AMQP_URL"), server_url("AMQP_MANAGEMENT_URL")
    user = quote(urlsplit(amqp_url).username or "guest", safe="")
    async with aiohttp.ClientSession() as session:
        everything = {"configure": ".*", "write": ".*", "read": ".*"}
        await _ask(session, "PUT", f"{management}/api/vhosts/{name}", {})
        await _ask(session, "PUT", f"{management}/api/permissions/{name}/{user}", everything)
        try:
            yield _with_path(amqp_url, name)
        finally:
            await _ask(session, "DELETE", f"{management}/api/vhosts/{name}", None)


async def _ask(session: aiohttp.ClientSession, method: str, url: str, json: object) -> None:
    async with session.request(method, url, json=json) as response:
        if response.status >= 300:
            raise RuntimeError(f"{method} of a virtual host: {response.status}")


@contextlib.asynccontextmanager
async def _redis_database(name: str) -> AsyncIterator[str]:
    """The first numbered database that nobody has taken (database 0 keeps the list)."""
    url = server_url("REDIS_URL")
    keeper = Redis.from_url(_with_path(url, "0"))
    count = int(str((await keeper.config_get("databases"))["databases"]))
    for number in range(1, count):
        key = f"eventhub:test:database:{number}"
        if await keeper.set(key, name, nx=True, ex=7200):
            break
    else:
        raise RuntimeError("every Redis database is taken by another test session")
    mine = _with_path(url, str(number))
    own = Redis.from_url(mine)
    await own.flushdb()
    try:
        yield mine
    finally:
        await own.flushdb()
        await keeper.delete(key)
        await own.aclose()
        await keeper.aclose()


def _with_path(url: str, path: str) -> str:
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc, f"/{path}", "", ""))
