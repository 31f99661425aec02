"""What handlers find in the application and in a request, by typed keys, and the short ways to get it.

Must stay true: what a handler asks for was set before it runs, or its accessor raises KeyError, a bug of ours.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeVar, cast

from aiohttp import web
from pydantic import BaseModel
from redis.asyncio import Redis

from contracts.models import GatePrincipal, Principal
from contracts.runtime.metrics import Metrics
from contracts.runtime.settings import Settings
from db.accounts.audit_log import AuditOrigin
from db.mysql.clock import DatabaseClock
from db.mysql.database import Database
from db.tickets.keyring import Keyring
from gateway.accounts.access_changes import AccessChanges
from gateway.accounts.gate_tokens import GateAuthentication
from gateway.accounts.passwords import Passwords
from gateway.accounts.tokens import Tokens
from gateway.http.client_addresses import Networks, client_address
from gateway.http.representations import Representation

SETTINGS = web.AppKey("settings", Settings)
DATABASE = web.AppKey("database", Database)
REDIS = web.AppKey("redis", Redis)
"""The fast client (short time-outs): cache, limits. Blocking reads need a client of their own."""
TOKENS = web.AppKey("tokens", Tokens)
PASSWORDS = web.AppKey("passwords", Passwords)
ACCESS = web.AppKey("access", AccessChanges)
PROXIES = web.AppKey("proxies", Networks)
"""The trusted proxies' networks."""
KEYRING = web.AppKey("keyring", Keyring)
"""The keys of ticket codes."""
GATES = web.AppKey("gates", GateAuthentication)
CLOCK = web.AppKey("clock", DatabaseClock)
"""The database's time, without asking it."""
STOPPING = web.AppKey("stopping", asyncio.Event)
"""Set when the process begins to stop: whoever waits for something answers now."""
OPENAPI = web.AppKey("openapi", Representation)
METRICS = web.AppKey("metrics", Metrics)


NO_OPERATION = "none"
"""The operation of a request that no route took."""


@dataclass(slots=True)
class RequestContext:
    """What is known of a request by now. One object: a request key of aiohttp's costs a call for each use."""

    request_id: str
    operation: str = NO_OPERATION
    """The operation id of the route that took the request."""
    caller: Principal | None = None
    """None: nobody is signed in, or the checks are not done."""
    ids: Mapping[str, int] = field(default_factory=dict)
    """The path's numeric ids by their placeholder, each in 1 … 2^63 - 1."""
    query: BaseModel | None = None
    body: BaseModel | None = None
    counted: bool = False
    """Whether a rate limit has been asked: then the request has a LIMIT_STATE."""
    begun: bool = False
    """Whether the head of an answer is out."""


CONTEXT = web.RequestKey("context", RequestContext)
"""Set by the middleware, before anything else looks at the request."""

M = TypeVar("M", bound=BaseModel)


def principal(request: web.Request) -> Principal:
    """The caller of a route for signed-in accounts."""
    caller = request[CONTEXT].caller
    if caller is None:
        raise KeyError("nobody is signed in: the route's access is ANYONE")
    return caller


def audit_origin(request: web.Request) -> AuditOrigin:
    """Who asks, by which request, from where: for the audit log."""
    context = request[CONTEXT]
    return AuditOrigin(principal(request).user_id, context.request_id, address_of(request))


def address_of(request: web.Request) -> str:
    """The client's address."""
    return client_address(request, request.app[PROXIES])


def gate(request: web.Request) -> GatePrincipal:
    """The caller of a route for gates."""
    caller = principal(request)
    assert isinstance(caller, GatePrincipal), "the route's access is GATE"
    return caller


def body(request: web.Request, model: type[M]) -> M:
    """The validated body; `model` is the route's."""
    return cast("M", request[CONTEXT].body)


def query(request: web.Request, model: type[M]) -> M:
    """The validated query; `model` is the route's."""
    return cast("M", request[CONTEXT].query)


def path_id(request: web.Request, name: str) -> int:
    """A numeric id of the path."""
    return request[CONTEXT].ids[name]
