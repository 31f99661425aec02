"""Lists about events over HTTP: published and own events, an event's orders, what became of its tickets. All reads.

In: a search, an event's id. Out: pages of events and of orders, the sales.
Must stay true: a foreign event is 404 for organizers (403 is for those without the role); who asks the same in other
words shares a page with the others.
"""

from functools import lru_cache
from typing import Annotated

import orjson
from aiohttp import web
from pydantic import AfterValidator, Field

from contracts.models import Line, MomentText
from contracts.problems import Code
from contracts.resources import Count, IdNumber, ListedEvent, MoneyJson, money
from contracts.runtime.times import from_wire
from contracts.search_terms import TERMS_ASKED_MAX, asked_terms
from contracts.shapes import Answer
from db import order_reads
from db.catalogue import Search
from db.order_reads import OrderFilter
from gateway.caching.catalogue import CATALOGUE
from gateway.caching.event_list import LIST_SECONDS
from gateway.http.keys import CONTEXT, DATABASE, path_id, principal, query
from gateway.http.models import PageQuery, QueryBool
from gateway.http.paging import Page, from_cursor
from gateway.http.problems import forbidden, invalid, unauthenticated
from gateway.http.replies import json_reply
from gateway.http.representations import Representation, representation_reply
from gateway.http.routing import ANYONE, ORGANIZER_OR_ADMIN, Ownership, Route, RouteAnswer
from gateway.resources.events import NOT_MODIFIED
from gateway.resources.orders import OrderPage, OrdersQuery, order_page

CACHING = {"Cache-Control": f"public, max-age={LIST_SECONDS:.0f}"}
WORDS_MAX = 100
SEARCHES_MAX = 1_000


def _few_words(value: str) -> str:
    if len(asked_terms(value)) > TERMS_ASKED_MAX:
        raise ValueError(f"has more than {TERMS_ASKED_MAX} words")
    return value


SearchText = Annotated[Line, Field(max_length=WORDS_MAX), AfterValidator(_few_words)]


class EventsQuery(PageQuery):
    """`?q=&from=&to=&past=&mine=&limit=&cursor=`; events that run between from and to."""

    q: SearchText | None = None
    from_: Annotated[MomentText | None, Field(alias="from")] = None
    to: MomentText | None = None
    past: QueryBool = False
    mine: QueryBool = False


class EventPage(Page):
    """A page of events."""

    data: list[ListedEvent]


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
        page = await catalogue.published(search, text, wanted.limit)
        # Caches count from when the page was read, not from now (RFC 9111 section 5.1).
        return representation_reply(request, page.shown, {"Age": str(page.age), **CACHING})
    caller = request[CONTEXT].caller
    if caller is None:
        raise unauthenticated("Your own events need an access token.")
    if not caller.has(("ORGANIZER",)):
        raise forbidden()
    own = Representation(await catalogue.of_organizer(caller.user_id, wanted))
    return representation_reply(request, own)


@lru_cache(maxsize=SEARCHES_MAX)  # a page that many look at is asked for in the same words
def _search(wanted: EventsQuery) -> tuple[Search, str]:
    """The search and its canonical text: queries that ask the same share their pages."""
    terms = tuple(asked_terms(wanted.q or ""))
    runs_from = from_wire(wanted.from_) if wanted.from_ else None
    runs_to = from_wire(wanted.to) if wanted.to else None
    after = None
    if wanted.cursor:
        start, last_id = from_cursor(wanted.cursor, str, int)
        try:
            after = (from_wire(str(start)), int(last_id))
        except (ValueError, OverflowError):
            detail = "The cursor is not one that this list gave."
            raise invalid(detail, ("?cursor", "is not a cursor of this list")) from None
    search = Search(terms, runs_from, runs_to, wanted.past, after)
    # The terms, not the words: what is found depends on them alone.
    parts = [terms, runs_from, runs_to, wanted.past, after, wanted.limit]
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
        answers={
            200: RouteAnswer(EventPage, "A page of events.", ("ETag", "Age")),
            304: NOT_MODIFIED,
        },
        tag="Events",
        request_headers=("If-None-Match",),
        query=EventsQuery,
        problems=frozenset({Code.UNAUTHENTICATED, Code.FORBIDDEN}),
        description="Events that are not over, soonest first; `from` and `to`: those that run in that time; "
        "`past=true`: those that are over, latest first. Every word of `q` is the beginning of "
        "a word in name or venue, without regard to case, accents and width. "
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
