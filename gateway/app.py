"""The gateway as an aiohttp application: what it holds, how it begins, how it ends.

In: settings, the table of routes, the contexts that open what handlers need. Out: an application ready to be served.
Must stay true: nothing connects before start-up and everything is closed after it, in reverse order; the application
refuses to start with weak signing keys, a route outside the table, or a limit that cannot be read.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

import structlog
from aiohttp import web

from contracts.runtime.logs import LineLog
from contracts.runtime.metrics import Metrics
from contracts.runtime.settings import Settings
from contracts.runtime.streak import Streak
from contracts.runtime.tasks import end
from db.accounts import accounts, refresh_tokens
from db.mysql.database import Database
from db.redis.clients import quick_client
from db.tickets.keyring import Keyring
from db.tickets.keys import key_sealer, make_first
from gateway.accounts.access_changes import POLL_SECONDS, AccessChanges, Fetch, RecentChanges
from gateway.accounts.gate_tokens import GateAuthentication, GateTokens
from gateway.accounts.passwords import Passwords, make_hasher
from gateway.accounts.tokens import Tokens, parse_keys
from gateway.documents.pages import render_document
from gateway.http.authorization import Authorization
from gateway.http.keys import (
    ACCESS,
    DATABASE,
    GATES,
    KEYRING,
    METRICS,
    OPENAPI,
    PASSWORDS,
    PROXIES,
    REDIS,
    SETTINGS,
    STOPPING,
    TOKENS,
)
from gateway.http.middleware import MIDDLEWARE, RequestMiddleware
from gateway.http.parsing import BODY_BYTES_MAX
from gateway.http.rate_limits import CONNECTIONS, STREAMS, Connections, Limiter, Shares
from gateway.http.request_metrics import RequestMetrics
from gateway.http.routing import Route
from gateway.lifespan import command_submission
from gateway.resources.attendance import ATTENDANCE, fresh_attendance
from gateway.resources.operations import CHECKS, Checks
from gateway.routes import TABLE, check, register
from gateway.secret_renewal import secret_renewal

DATABASE_SESSIONS = 8

Context = Callable[[web.Application], AsyncIterator[None]]

log = structlog.get_logger(__name__)


async def stores(app: web.Application) -> AsyncIterator[None]:
    """MySQL and Redis. The order of contexts matters: the others find these open."""
    settings, redis, checks = app[SETTINGS], app[REDIS], app[CHECKS]
    database = app[DATABASE] = await Database.connect(
        settings.mysql_url.get_secret_value(), size=DATABASE_SESSIONS
    )

    async def ask_database() -> None:
        await database.read("SELECT 1")

    async def ask_redis() -> None:
        await redis.ping()

    checks.require("mysql", ask_database)
    checks.report("redis", ask_redis)
    yield
    await redis.aclose()
    await database.close()


async def ticket_keys(app: web.Application) -> AsyncIterator[None]:
    """The keys of ticket codes; the very first is made here when nobody has made it yet."""
    settings = app[SETTINGS]
    sealer = key_sealer(settings.secret.get_secret_value())
    await make_first(app[DATABASE], sealer, settings.ticket_key_ttl)
    app[KEYRING] = Keyring(app[DATABASE], sealer)
    yield


async def access_changes(app: web.Application) -> AsyncIterator[None]:
    """The poll that lets changes of accounts reach tokens that are out."""
    access = app[ACCESS]
    await access.poll(time.time_ns() // 1000)
    task = asyncio.create_task(_poll_access(access), name="access changes")
    yield
    await end(task)


async def password_pool(app: web.Application) -> AsyncIterator[None]:
    """Ends the hashing threads."""
    yield
    app[PASSWORDS].close()


async def _poll_access(access: AccessChanges) -> None:
    while True:
        await asyncio.sleep(POLL_SECONDS)
        try:
            await access.poll(time.time_ns() // 1000)
        except Exception as error:
            # What is known stays in force; nobody can change an account while the database is away.
            log.warning("access_changes.behind", reason=repr(error)[:200])


async def announce_stop(app: web.Application) -> None:
    """From now on: not ready, connections close with their answer, who waits is answered."""
    app[CHECKS].stopping = True
    app[STOPPING].set()


CONTEXTS: tuple[Context, ...] = (
    stores,
    ticket_keys,
    access_changes,
    password_pool,
    secret_renewal,
    command_submission,
)


def build_app(
    settings: Settings,
    *,
    table: Sequence[Route] = TABLE,
    contexts: Sequence[Context] = CONTEXTS,
    metrics: Metrics | None = None,
) -> web.Application:
    """The application, not yet started.

    Raises tokens.WeakKey, routes.RouteMismatch, ValueError (limits, networks) when it must not start.
    """
    metrics = metrics or Metrics()
    stopping = asyncio.Event()
    app = web.Application(client_max_size=BODY_BYTES_MAX)
    access_log = _access_log(settings)
    streak = Streak()
    app[SETTINGS], app[METRICS], app[CHECKS] = settings, metrics, Checks()
    app[CHECKS].require("requests", lambda: _not_broken(streak))
    app[STOPPING] = stopping
    app[ATTENDANCE] = fresh_attendance()
    app[REDIS] = quick_client(settings.redis_url.get_secret_value())
    app[TOKENS] = Tokens(parse_keys(settings.jwt_keys.get_secret_value()), settings.access_ttl)
    app[OPENAPI] = render_document(table)
    app[ACCESS] = AccessChanges(_fetch_changes(app), settings.access_ttl)
    app[PASSWORDS] = Passwords(make_hasher(settings.argon2))
    limiter = Limiter(
        app[REDIS].connection_pool,
        user=settings.limit_user,
        address=settings.limit_address,
        login=settings.limit_login,
        off_for=settings.limits_off_for,
        proxies=settings.trusted_proxies,
    )
    app[PROXIES] = limiter.proxies
    middleware = app[MIDDLEWARE] = RequestMiddleware(
        RequestMetrics(metrics), access_log, stopping, settings.cors_origins, limiter, streak
    )
    app[CONNECTIONS] = Connections(
        settings.connections_per_address, limiter.exempt, limiter.proxies
    )
    app[STREAMS] = Shares(settings.streams_per_user)
    gates = app[GATES] = GateAuthentication(
        GateTokens(settings.secret.get_secret_value()), lambda: app[DATABASE]
    )
    register(app, tuple(table), Authorization(app[TOKENS], app[ACCESS], limiter, gates))
    check(app, tuple(table))
    app.cleanup_ctx.extend(contexts)
    app.on_shutdown.append(announce_stop)
    app.on_cleanup.append(_last_lines(access_log))
    app.on_response_prepare.append(middleware.before_stream)
    return app


async def _not_broken(streak: Streak) -> None:
    """Raises when the latest requests all ended with an error of ours."""
    if streak.broken:
        raise RuntimeError("the latest requests all failed")


def _access_log(settings: Settings) -> LineLog | None:
    quiet = settings.log_level in ("warning", "error")
    return None if quiet else LineLog("request", settings.process)


def _last_lines(access_log: LineLog | None) -> Callable[[web.Application], Awaitable[None]]:
    async def write(_: web.Application) -> None:
        if access_log is not None:
            access_log.flush()

    return write


def _fetch_changes(app: web.Application) -> Fetch:
    async def fetch(since_micros: int) -> RecentChanges:
        return RecentChanges(
            await accounts.changed_since(app[DATABASE], since_micros),
            await refresh_tokens.ended_since(app[DATABASE], since_micros),
        )

    return fetch
