"""Authorization in front of every handler: who asks, how often, whether they may, and whether the request is valid.

In: a `Route` and a request. Out: the handler called with the request's CONTEXT complete, or `Refusal`.
Must stay true: the checks run in the order authentication (401), rate limit (429), role (403), path, query, body (4xx);
the route's data alone decides them; a token on a route for anyone is used when good and ignored when not.
"""

from dataclasses import dataclass

from aiohttp import web

from contracts.models import Principal
from contracts.problems import Code
from gateway.accounts.access_changes import AccessChanges
from gateway.accounts.tokens import BadToken, Tokens
from gateway.http.keys import CONTEXT
from gateway.http.models import NoQuery
from gateway.http.parsing import (
    EMPTY_QUERY,
    parse_body,
    parse_id,
    parse_query,
)
from gateway.http.problems import Refusal, forbidden, unauthenticated
from gateway.http.rate_limits import Limiter
from gateway.http.routing import (
    ANYONE,
    SEALED_URL,
    Handler,
    LimitClass,
    Route,
)


@dataclass(frozen=True, slots=True)
class Authorization:
    """What the checks need; one per application."""

    tokens: Tokens
    access: AccessChanges
    limiter: Limiter

    def authenticate(self, request: web.Request) -> Principal | None:
        """The caller, None when there is no usable token (missing, bad, expired, disabled account)."""
        header = request.headers.get("Authorization")
        if header is None or header[:7].lower() != "bearer ":
            return None
        try:
            verified = self.tokens.verify(header[7:].strip())
        except BadToken:
            return None
        return self.access.apply(verified)

    def guard(self, route: Route) -> Handler:
        """The route's handler behind its checks."""
        required = route.access if isinstance(route.access, frozenset) else None
        ids = route.ids
        needs_token = route.access not in (ANYONE, SEALED_URL)
        asks, takes_body = route.query is not NoQuery, route.takes_body

        async def guarded(request: web.Request) -> web.StreamResponse:
            context = request[CONTEXT]
            context.operation = route.operation_id
            caller = self.authenticate(request)
            if not self.limiter.is_off(request):
                context.counted = True
                await self.limiter.count(request, route.limit, caller)
            if caller is None and needs_token:
                raise unauthenticated()
            if required is not None and caller is not None and required.isdisjoint(caller.roles):
                raise forbidden()
            context.caller = caller
            if ids:
                info = request.match_info
                context.ids = {name: parse_id(info[name], name) for name in ids}
            context.query = parse_query(request, route.query) if asks else EMPTY_QUERY
            if takes_body:
                context.body = await parse_body(request, route.body)
            if route.limit is LimitClass.LOGIN and context.counted:
                return await self._signing_in(route, request)
            return await route.handler(request)

        return guarded

    async def _signing_in(self, route: Route, request: web.Request) -> web.StreamResponse:
        try:
            return await route.handler(request)
        except Refusal as refusal:
            if refusal.problem.code is Code.UNAUTHENTICATED:
                await self.limiter.count_failure(request)
            raise
