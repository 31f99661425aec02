"""A second EventHub beside the running one: its own processes and databases on the same servers.

In: the running system, a name, settings. Out: a `System` while the block runs.
Must stay true: a database, a virtual host and a Redis database of its own, removed at the end, also what an
interrupted run left behind; the running system's rows and queues are never touched; the servers' CPU is read from
the running system's processes, since they are the same.
"""

import asyncio
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit, urlunsplit

import aiohttp
import aiomysql
import click
from redis.asyncio import Redis

from db.mysql.database import connection_arguments
from scripts.benching.systems.system import System, system_of
from scripts.stack.commands import up
from scripts.stack.home import Home, SetupError, State
from scripts.stack.private_servers import servers
from scripts.stack.supervised import ports
from scripts.stack.supervised.supervision import Supervision

TAKEN = "eventhub:bench:database:{}"
GENEROUS = {"EVENTHUB_UNPAID_ORDERS": "1000000", "EVENTHUB_HOLD_COOLDOWN": "0"}
"""A few load users stand for thousands of people. The check runs, so that its cost shows; it binds nobody."""
SERVERS = frozenset({"mysql", "rabbitmq", "redis", "epmd"})


@asynccontextmanager
async def second_system(
    system: System, name: str, settings: Mapping[str, str] | None = None
) -> AsyncIterator[System]:
    """Run another EventHub. Raises click.ClickException when it does not become ready."""
    async with AsyncExitStack() as stack:
        home = Home(_root(system, stack) / name)
        urls = await _urls(system, name)
        shared = {one: pid for one, pid in system.pids().items() if one in SERVERS}
        await _clear(home, urls)
        stack.push_async_callback(_clear, home, urls)
        await _vhost(urls, "PUT")
        await asyncio.to_thread(_bring_up, home, urls, settings or {})
        yield system_of(home, also=shared)


def _root(system: System, stack: AsyncExitStack) -> Path:
    """Beside the running system's own files, where the next run finds what an interrupted one left behind."""
    if system.home is not None:
        return system.home.root / "second-systems"
    return Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="eventhub-second-system-")))


async def scale_second_system(system: System, counts: dict[str, int]) -> None:
    """Run so many of each of these kinds of process. Raises click.ClickException when they do not become ready."""
    assert system.home is not None, "a second system has a home"
    try:
        await asyncio.to_thread(_scale, system.home, counts)
    except SetupError as error:
        raise click.ClickException(f"the second EventHub cannot be scaled:\n{error}") from None


def _scale(home: Home, counts: dict[str, int]) -> None:
    with home.lock():
        state = home.load()
        state.counts.update(counts)
        home.save(state)
        running = {one.name for one in Supervision(home, state).processes() if one.pid}
        up.start_processes(home, state, running)


async def _urls(system: System, name: str) -> dict[str, str]:
    if system.amqp_management_url is None:
        raise click.ClickException("a second system needs the broker's management API")
    place = f"{urlsplit(system.mysql_url).path.strip('/')}_{name}"
    return {
        "MYSQL_URL": urlsplit(system.mysql_url)._replace(path=f"/{place}").geturl(),
        "AMQP_URL": urlsplit(system.amqp_url)._replace(path=f"/{place}").geturl(),
        "AMQP_MANAGEMENT_URL": system.amqp_management_url,
        "REDIS_URL": await _redis_url(system.redis_url, place),
    }


async def _redis_url(url: str, place: str) -> str:
    """A numbered database that no other second system has, if possible that of last time; the first has the list."""
    parts = urlsplit(url)._replace(path="/0")
    keeper = Redis.from_url(parts.geturl())
    try:
        count = int((await keeper.config_get("databases"))["databases"] or 0)
        for number in range(count - 1, 0, -1):
            key = TAKEN.format(number)
            taken = await keeper.set(key, place, nx=True)
            if taken or await keeper.get(key) == place.encode():
                return parts._replace(path=f"/{number}").geturl()
    finally:
        await keeper.aclose()
    raise click.ClickException("every Redis database is taken")


async def _free_redis(url: str) -> None:
    parts = urlsplit(url)
    own, keeper = Redis.from_url(url), Redis.from_url(parts._replace(path="/0").geturl())
    try:
        await own.flushdb()
        await keeper.delete(TAKEN.format(parts.path.strip("/")))
    finally:
        await own.aclose()
        await keeper.aclose()


def _bring_up(home: Home, urls: Mapping[str, str], settings: Mapping[str, str]) -> None:
    home.prepare()
    kept = {key: value for key, value in os.environ.items() if not key.startswith("EVENTHUB_")}
    try:
        with home.lock():
            # A port of its own: the usual one is for systems that people call.
            home.save(State(ports={"gateway": ports.pick(set())}))
            up.bring_up(home, {**kept, **urls, **GENEROUS, **settings})
    except SetupError as error:
        raise click.ClickException(f"the second EventHub does not start:\n{error}") from None


async def _clear(home: Home, urls: Mapping[str, str]) -> None:
    """Stop its processes and remove its databases, whatever there is of them."""
    if (home.root / "state.json").exists():
        await asyncio.to_thread(servers.stop, home, home.load())
    shutil.rmtree(home.root, ignore_errors=True)
    await _vhost(urls, "DELETE")
    await _drop_database(urls["MYSQL_URL"])
    await _free_redis(urls["REDIS_URL"])


async def _drop_database(url: str) -> None:
    name = urlsplit(url).path.strip("/")
    connection = await aiomysql.connect(**{**connection_arguments(url), "db": None})
    try:
        async with connection.cursor() as cursor:
            await cursor.execute("SET sql_notes = 0")
            await cursor.execute(f"DROP DATABASE IF EXISTS {name}")
    finally:
        connection.close()


async def _vhost(urls: Mapping[str, str], method: str) -> None:
    """Make or remove the virtual host (RabbitMQ HTTP API, /api/vhosts and /api/permissions)."""
    parts = urlsplit(urls["AMQP_MANAGEMENT_URL"])
    user = unquote(parts.username or "")
    bare = urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
    bare = bare.rstrip("/").removesuffix("/api")
    vhost = urlsplit(urls["AMQP_URL"]).path.strip("/")
    account = aiohttp.encode_basic_auth(user, unquote(parts.password or ""))
    everything = {"configure": ".*", "write": ".*", "read": ".*"}
    async with aiohttp.ClientSession(headers={"Authorization": account}) as session:
        async with session.request(method, f"{bare}/api/vhosts/{vhost}") as answer:
            if answer.status >= 300 and not (method == "DELETE" and answer.status == 404):
                raise click.ClickException(f"virtual host {vhost}: {await answer.text()}")
        if method == "PUT":
            path = f"{bare}/api/permissions/{vhost}/{quote(user, safe='')}"
            async with session.put(path, json=everything) as answer:
                answer.raise_for_status()
