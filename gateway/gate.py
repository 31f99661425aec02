"""The gate in front of every handler: who is asking, how often, may they, and is the request well formed.

In: a `Route` and a request. Out: the handler called with PRINCIPAL, IDS, QUERY and BODY set, or `Refusal`.
Must stay true: the checks run in the order authentication (401), rate limit (429), role (403), path, query, body (4xx);
the route's data alone decides them; a token on a route for anyone is used when good and ignored when not.
"""

from dataclasses import dataclass

from aiohttp import web

from contracts.models import Principal
from gateway.access import AccessChanges
from gateway.keys import BODY, IDS, OPERATION, PRINCIPAL, QUERY
from gateway.limiting import Limiter
from gateway.models import NoQuery
from gateway.parsing import EMPTY_QUERY, parse_body, parse_id, parse_query
from gateway.problems import forbidden, unauthenticated
from gateway.routing import ANYONE, Handler, LimitClass, Route
from gateway.tokens import BadToken, Tokens


@dataclass(frozen=True, slots=True)
class Gate:
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
        ids, limited = route.ids, route.limit is not LimitClass.NONE

        async def guarded(request: web.Request) -> web.StreamResponse:
            request[OPERATION] = route.operation_id
            caller = self.authenticate(request)
            if limited and not self.limiter.is_off(request):
                await self.limiter.count(request, route.limit, caller)
            if caller is None and route.access is not ANYONE:
                raise unauthenticated()
            if required is not None and caller is not None and required.isdisjoint(caller.roles):
                raise forbidden()
            request[PRINCIPAL] = caller
            info = request.match_info
            request[IDS] = {name: parse_id(info[name], name) for name in ids} if ids else {}
            request[QUERY] = (
                EMPTY_QUERY if route.query is NoQuery else parse_query(request, route.query)
            )
            if route.takes_body:
                request[BODY] = await parse_body(request, route.body)
            return await route.handler(request)

        return guarded
