"""Lists about events over HTTP: published and own events, an event's orders, what became of its tickets. All reads.

In: a search, an event's id. Out: pages of events and of orders, the sales.
Must stay true: a foreign event is 404 for organizers (403 is for those without the role); who asks the same in other
words shares a page with the others.
"""

from functools import lru_cache
from typing import Annotated

import orjson
from aiohttp import web
from pydantic import Field

from contracts.models import Line, MomentText
from contracts.problems import Code
from contracts.resources import Count, EventResource, IdNumber, MoneyJson, money
from contracts.runtime.times import from_wire
from contracts.shapes import Answer
from db import order_reads
from db.catalogue import Search
from db.order_reads import OrderFilter
from gateway.caching.catalogue import CATALOGUE
from gateway.http.keys import CONTEXT, DATABASE, path_id, principal, query
from gateway.http.models import PageQuery, QueryBool
from gateway.http.paging import Page, from_cursor
from gateway.http.problems import forbidden, invalid, unauthenticated
from gateway.http.replies import json_reply, raw_reply
from gateway.http.routing import ANYONE, ORGANIZER_OR_ADMIN, Ownership, Route, RouteAnswer
from gateway.resources.events import REVALIDATE
from gateway.resources.orders import OrderPage, OrdersQuery, order_page

WORDS_MAX = 100
SEARCHES_MAX = 1_000


class EventsQuery(PageQuery):
    """`?q=&from=&to=&mine=&limit=&cursor=`; from and to are about startTime, both included."""

    q: Annotated[Line | None, Field(max_length=WORDS_MAX)] = None
    from_: Annotated[MomentText | None, Field(alias="from")] = None
    to: MomentText | None = None
    mine: QueryBool = False


class EventPage(Page):
    """A page of events."""

    data: list[EventResource]


class TypeSalesResource(Answer):
    """What became of a ticket type's tickets; the rest of the quota is on its way back."""

    id: IdNumber
    quota: Count
    available: Count
    held: Count
    sold: Count
    revenue: MoneyJson


class Sales(Answer):
    """An event's sales."""

    ticket_types: list[TypeSalesResource]


async def list_events(request: web.Request) -> web.Response:
    """GET /api/events."""
    wanted, catalogue = query(request, EventsQuery), request.app[CATALOGUE]
    if not wanted.mine:
        search, text = _search(wanted)
        return raw_reply(await catalogue.published(search, text, wanted.limit), 200, REVALIDATE)
    caller = request[CONTEXT].caller
    if caller is None:
        raise unauthenticated("Your own events need an access token.")
    if not caller.has(("ORGANIZER",)):
        raise forbidden()
    return raw_reply(await catalogue.of_organizer(caller.user_id, wanted))


@lru_cache(maxsize=SEARCHES_MAX)  # a page that many look at is asked for in the same words
def _search(wanted: EventsQuery) -> tuple[Search, str]:
    """The search and its canonical text: queries that ask the same share their pages."""
    words = (wanted.q or "").strip() or None
    starts_from = from_wire(wanted.from_) if wanted.from_ else None
    starts_to = from_wire(wanted.to) if wanted.to else None
    after = None
    if wanted.cursor:
        start, last_id = from_cursor(wanted.cursor, str, int)
        try:
            after = (from_wire(str(start)), int(last_id))
        except (ValueError, OverflowError):
            detail = "The cursor is not one that this list gave."
            raise invalid(detail, ("?cursor", "is not a cursor of this list")) from None
    search = Search(words, starts_from, starts_to, after)
    parts = [words and words.casefold(), starts_from, starts_to, after, wanted.limit]
    return search, orjson.dumps(parts).decode()


async def list_event_orders(request: web.Request) -> web.Response:
    """GET /api/events/{eventId}/orders."""
    event_id = path_id(request, "eventId")
    await request.app[CATALOGUE].managed_event(event_id, principal(request))
    return await order_page(request, OrderFilter(event_id=event_id))


async def show_sales(request: web.Request) -> web.Response:
    """GET /api/events/{eventId}/sales."""
    event_id = path_id(request, "eventId")
    await request.app[CATALOGUE].managed_event(event_id, principal(request))
    sales = await order_reads.sales_of_event(request.app[DATABASE], event_id)
    types = [
        {
            "id": one.id,
            "quota": one.quota,
            "available": one.available,
            "held": one.held,
            "sold": one.sold,
            "revenue": money(one.revenue),
        }
        for one in sales
    ]
    return json_reply({"ticketTypes": types})


ROUTES = (
    Route(
        method="GET",
        path="/api/events",
        operation_id="listEvents",
        summary="Published events by start time; with mine=true own ones in every status",
        handler=list_events,
        access=ANYONE,
        answers={200: RouteAnswer(EventPage, "A page of events.")},
        tag="Events",
        query=EventsQuery,
        problems=frozenset({Code.UNAUTHENTICATED, Code.FORBIDDEN}),
        description="`q` is looked for in name, venue and description; `from` and `to` bound startTime. "
        "Up to 30 s old. `mine=true` needs the role ORGANIZER and takes no filter.",
    ),
    Route(
        method="GET",
        path="/api/events/{eventId}/orders",
        operation_id="listEventOrders",
        summary="Orders of an event, the newest first",
        handler=list_event_orders,
        access=ORGANIZER_OR_ADMIN,
        ownership=Ownership.EVENT_ORGANIZER_OR_ADMIN,
        answers={200: RouteAnswer(OrderPage, "A page of orders.")},
        tag="Events",
        query=OrdersQuery,
    ),
    Route(
        method="GET",
        path="/api/events/{eventId}/sales",
        operation_id="showSales",
        summary="What became of an event's tickets",
        handler=show_sales,
        access=ORGANIZER_OR_ADMIN,
        ownership=Ownership.EVENT_ORGANIZER_OR_ADMIN,
        answers={200: RouteAnswer(Sales, "Per ticket type.")},
        tag="Events",
    ),
)
