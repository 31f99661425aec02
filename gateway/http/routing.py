"""A route as data: everything the gateway must know of a call, for routing, authorisation and OpenAPI.

In: one `Route` per call, in the `ROUTES` of its resource's module. Out: `gateway.routes.TABLE`.
Must stay true: authorisation is decided from this data alone (and ownership, which `ownership` names, by the handler
and again by the worker); a placeholder of the path is a numeric id unless `texts` says otherwise.
"""

import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum, StrEnum
from typing import Any, Literal

from aiohttp import web
from pydantic import BaseModel

from contracts.models import RoleName
from contracts.problems import Code
from gateway.http.models import (
    Body,
    NoBody,
    NoQuery,
    Query,
)

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Method = Literal["GET", "POST", "PUT", "PATCH", "DELETE"]


class Everyone(Enum):
    """Access that no role decides."""

    ANYONE = "anyone, signed in or not"
    SIGNED_IN = "any active account"
    GATE = "a gate, with its own token"
    CALLER = "any active account, and any gate"
    SEALED_URL = "any active account, any gate, or whoever was given the sealed URL"
    """The handler opens the seal: a browser's EventSource sends no Authorization header."""


ANYONE, SIGNED_IN, SEALED_URL = Everyone.ANYONE, Everyone.SIGNED_IN, Everyone.SEALED_URL
GATE, CALLER = Everyone.GATE, Everyone.CALLER
Access = Everyone | frozenset[RoleName]
ADMIN: Access = frozenset({"ADMIN"})
USER: Access = frozenset({"USER"})
PROVIDER: Access = frozenset({"PROVIDER"})
ORGANIZER_OR_ADMIN: Access = frozenset({"ORGANIZER", "ADMIN"})


class Ownership(Enum):
    """Who else is asked, beside the role: the value is the sentence for people."""

    NONE = "the role is enough"
    SELF = "always about the caller's own things"
    OWNER = "the owner only; 404 for everybody else"
    OWNER_OR_ADMIN = "the owner or an admin; 404 for everybody else"
    OWNER_ORGANIZER_OR_ADMIN = (
        "the owner, the event's organizer or an admin; 404 for everybody else"
    )
    HOLDER = "the ticket's holder only; 404 for everybody else"
    HOLDER_OWNER_ORGANIZER_OR_ADMIN = (
        "the holder, the order's owner, the event's organizer or an admin; 404 for everybody else"
    )
    EVENT_ORGANIZER_OR_ADMIN = "the event's organizer or an admin; 404 for other organizers"


class LimitClass(StrEnum):
    """Which rate limit counts a call."""

    DEFAULT = "default"
    """Per user when signed in, per address when not."""
    ADDRESS = "address"
    """Per address whoever is signed in, for calls that give credentials."""
    LOGIN = "login"
    """The same, and an address whose sign-ins failed too often (401) is refused."""


@dataclass(frozen=True, slots=True)
class RouteAnswer:
    """One successful answer: its body's model (None: no JSON body) and what a client finds beside it."""

    model: type[BaseModel] | None
    description: str
    headers: tuple[str, ...] = ()
    """Names in `gateway.documents.openapi_parts.HEADERS`, beside X-Request-Id and RateLimit that every answer has."""
    media_type: str = "application/json"
    example: Mapping[str, Any] = field(default_factory=dict)
    """Members of the example that this call's answer has and others of the model have not."""


_PLACEHOLDER = re.compile(r"\{([a-zA-Z]+)\}")


@dataclass(frozen=True, slots=True)
class Route:
    """One call. `operation_id` is camelCase and unique; `answers` are the successes, `problems` the codes of
    this call's own (those that follow from its shape are added by `codes`)."""

    method: Method
    path: str
    operation_id: str
    summary: str
    handler: Handler
    access: Access
    answers: Mapping[int, RouteAnswer]
    tag: str
    ownership: Ownership = Ownership.NONE
    body: type[Body] = NoBody
    query: type[Query] = NoQuery
    is_command: bool = False
    """Publishes a command: takes Prefer and Idempotency-Key, may answer 202."""
    body_bytes_max: int = 64 * 1024
    problems: frozenset[Code] = frozenset()
    limit: LimitClass = LimitClass.DEFAULT
    texts: Mapping[str, str] = field(default_factory=dict)
    """Placeholders that are no numeric ids -> the pattern (a regular expression) of their values."""
    request_headers: tuple[str, ...] = ()
    """Further request headers that it reads, e.g. If-Match."""
    description: str = ""

    @property
    def placeholders(self) -> tuple[str, ...]:
        """The names in the path's braces, in order."""
        return tuple(_PLACEHOLDER.findall(self.path))

    @property
    def ids(self) -> tuple[str, ...]:
        """The placeholders that are numeric ids."""
        return tuple(name for name in self.placeholders if name not in self.texts)

    @property
    def takes_body(self) -> bool:
        """Whether the method has a body at all (GET's is ignored)."""
        return self.method != "GET"

    @property
    def codes(self) -> frozenset[Code]:
        """Every problem code this call can answer."""
        codes = {Code.INTERNAL, Code.UNAVAILABLE, Code.INVALID, Code.RATE_LIMITED} | self.problems
        if self.access is not ANYONE:
            codes.add(Code.UNAUTHENTICATED)
        if self.access not in (ANYONE, CALLER, SEALED_URL):
            # A role is missing, or a gate shows its token where accounts are asked for (or the other way round).
            codes.add(Code.FORBIDDEN)
        if self.placeholders:
            codes.add(Code.NOT_FOUND)
        if self.takes_body:
            codes |= {Code.TOO_LARGE, Code.NOT_JSON}
        if self.is_command:
            codes |= {Code.IDEMPOTENCY_MISMATCH, Code.BUSY, Code.UNDECIDED}
        return frozenset(codes)
