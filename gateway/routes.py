"""The one table of everything the gateway answers: each resource's `ROUTES`, one after the other.

Must stay true: what is registered with aiohttp and what stands here are the same set, or nothing starts.
"""

import re

from aiohttp import web

from gateway.accounts import administration, sign_in
from gateway.documents import asyncapi_served, pages
from gateway.http.authorization import Authorization
from gateway.http.routing import Route
from gateway.resources import (
    attendance,
    commands,
    event_calendar,
    event_lists,
    events,
    gate_calls,
    gates,
    operations,
    orders,
    payments,
    rates,
    ticket_types,
    tickets,
    webhook_deliveries,
    webhooks,
)

TABLE: tuple[Route, ...] = (
    *sign_in.ROUTES,
    *administration.ROUTES,
    *event_lists.ROUTES,
    *events.ROUTES,
    *event_calendar.ROUTES,
    *ticket_types.ROUTES,
    *orders.ROUTES,
    *payments.ROUTES,
    *tickets.ROUTES,
    *gates.ROUTES,
    *gate_calls.ROUTES,
    *attendance.ROUTES,
    *rates.ROUTES,
    *commands.ROUTES,
    *webhooks.ROUTES,
    *webhook_deliveries.ROUTES,
    *operations.ROUTES,
    *pages.ROUTES,
    *asyncapi_served.ROUTES,
)


class RouteMismatch(RuntimeError):
    """The table and the registered routes differ; the text names the routes."""


def register(app: web.Application, table: tuple[Route, ...], authorization: Authorization) -> None:
    """Give aiohttp every route of the table, behind its checks; GET answers HEAD as well."""
    for route in table:
        handler, path = authorization.guard(route), _unmistakable(route, table)
        app.router.add_route(route.method, path, handler, expect_handler=_expect)
        if route.method == "GET":
            app.router.add_route("HEAD", path, handler, expect_handler=_expect)


def _unmistakable(route: Route, table: tuple[Route, ...]) -> str:
    """The path, its last placeholder without the endings that other routes add to it (`.ics`).

    Else `/api/events/7.ics` would be an event with a strange id wherever the calendar does not take the method.
    """
    path = route.path
    tails = {one.path[len(path) :] for one in table if one.path.startswith(path + ".")}
    if not tails or not path.endswith("}"):
        return path
    endings = "|".join(re.escape(one) for one in sorted(tails))
    return f"{path[:-1]}:(?:(?!(?:{endings})$)[^/])+}}"


async def _expect(request: web.Request) -> None:
    # RFC 9110 section 10.1.1: a server may ignore an expectation that it does not know.
    if request.version >= (1, 1) and request.headers["Expect"].lower() == "100-continue":
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        # What the handler will send starts its own count (see RequestHandler.handle_error).
        request.writer.output_size = 0


def check(app: web.Application, table: tuple[Route, ...]) -> None:
    """Raises RouteMismatch unless table and application hold the same routes, each once."""
    wanted: list[tuple[str, str]] = [(route.method, route.path) for route in table]
    wanted += [("HEAD", route.path) for route in table if route.method == "GET"]
    registered = [
        (route.method, route.resource.canonical if route.resource else "?")
        for route in app.router.routes()
    ]
    operations_ = [route.operation_id for route in table]
    twice = {r for r in wanted if wanted.count(r) > 1} | {
        o for o in operations_ if operations_.count(o) > 1
    }
    missing, extra = set(registered) - set(wanted), set(wanted) - set(registered)
    if missing or extra or twice:
        raise RouteMismatch(
            f"not in the table: {sorted(missing)}; not registered: {sorted(extra)}; "
            f"twice: {sorted(map(str, twice))}"
        )
