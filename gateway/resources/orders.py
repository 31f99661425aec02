"""Orders over HTTP: place, add, cancel (commands), list and show (reads).

In: items, an order's id. Out: the order, or why not.
Must stay true: the gateway refuses early only what a worker would refuse (unknown or foreign ids, types
of several events, sold out); it decides nothing. Foreign orders look like none.
"""

from collections.abc import Sequence
from typing import Annotated

from aiohttp import web
from pydantic import AfterValidator, Field

from contracts.commands import AddItems, CancelOrder, Command, OrderItem, PlaceOrder
from contracts.models import Id, Principal, Quantity
from contracts.problems import Code, Problem
from contracts.resources import Order, OrderStatusName, order_resource
from contracts.sales import ITEMS_MAX, each_once
from db import order_reads
from db.order_reads import OrderFilter, OrderOwners, OrderRead
from gateway.availability.cache import AVAILABILITY
from gateway.availability.directory import DIRECTORY, Directory
from gateway.http.keys import (
    DATABASE,
    body,
    path_id,
    principal,
    query,
)
from gateway.http.models import Body, PageQuery
from gateway.http.paging import Page, from_cursor, page
from gateway.http.problems import invalid, not_found
from gateway.http.replies import json_reply
from gateway.http.routing import (
    SIGNED_IN,
    USER,
    Ownership,
    Route,
    RouteAnswer,
)
from gateway.submission.submit import Call, submit

NO_ORDER = "There is no such order, or it is not yours."


class OrderItemBody(Body):
    """So many tickets of one type."""

    ticket_type_id: Annotated[Id, Field(examples=[1])]
    quantity: Annotated[Quantity, Field(examples=[2])]


def _one_line_each(items: tuple[OrderItemBody, ...]) -> tuple[OrderItemBody, ...]:
    if len(items) > 1 and not each_once(item.ticket_type_id for item in items):
        raise ValueError("names a ticket type twice")
    return items


class PlaceOrderBody(Body):
    """Items of one event; with `orderId` they are added to that unpaid order of yours."""

    items: Annotated[
        tuple[OrderItemBody, ...],
        Field(min_length=1, max_length=ITEMS_MAX),
        AfterValidator(_one_line_each),
    ]
    order_id: Id | None = None


class OrdersQuery(PageQuery):
    """`?status=&limit=&cursor=`."""

    status: OrderStatusName | None = None


class OrderPage(Page):
    """A page of orders, the newest first."""

    data: list[Order]


async def place_order(request: web.Request) -> web.Response:
    """POST /api/orders."""
    app, wanted = request.app, body(request, PlaceOrderBody)
    if wanted.order_id is not None:
        return await submit(request, _adding(app, wanted, wanted.order_id))
    directory, availability = app[DIRECTORY], app[AVAILABILITY]

    async def precheck() -> Problem | None:
        event_id = await _one_event(directory, wanted.items, principal(request))
        return availability.check(event_id, wanted.items)

    async def prepare(caller: Principal, fingerprint: str) -> Command:
        event_id = await _one_event(directory, wanted.items, caller)
        return PlaceOrder(
            principal=caller, fingerprint=fingerprint, event_id=event_id, items=_items(wanted)
        )

    return await submit(
        request, Call(PlaceOrder, wanted, prepare, precheck, on_outcome=availability.learn)
    )


def _adding(app: web.Application, wanted: PlaceOrderBody, order_id: int) -> Call:
    async def prepare(caller: Principal, fingerprint: str) -> Command:
        owners = await order_reads.owners_of_order(app[DATABASE], order_id)
        if owners is None or owners.user_id != caller.user_id:
            raise not_found(NO_ORDER)
        event_id = await _one_event(app[DIRECTORY], wanted.items, caller)
        if owners.event_id != event_id:
            raise invalid(
                "The ticket types belong to another event than the order.",
                ("/items", "are not of the order's event"),
            )
        return AddItems(
            principal=caller,
            fingerprint=fingerprint,
            event_id=event_id,
            order_id=order_id,
            items=_items(wanted),
        )

    return Call(AddItems, wanted, prepare)


def _items(wanted: PlaceOrderBody) -> tuple[OrderItem, ...]:
    return tuple(
        OrderItem(ticket_type_id=item.ticket_type_id, quantity=item.quantity)
        for item in wanted.items
    )


async def _one_event(
    directory: Directory, items: Sequence[OrderItemBody], caller: Principal
) -> int:
    if len(items) == 1:
        known = directory.known_event_of(items[0].ticket_type_id)
        if known is not None:
            return known
    events = await directory.events_of([item.ticket_type_id for item in items], caller)
    for item in items:
        if item.ticket_type_id not in events:
            raise not_found(f"There is no ticket type {item.ticket_type_id}.")
    if len(set(events.values())) > 1:
        raise invalid(
            "The ticket types of an order belong to one event.",
            ("/items", "are of several events"),
        )
    return next(iter(events.values()))


async def cancel_order(request: web.Request) -> web.Response:
    """POST /api/orders/{orderId}/cancel."""
    order_id = path_id(request, "orderId")

    async def prepare(caller: Principal, fingerprint: str) -> Command:
        owners = await order_reads.owners_of_order(request.app[DATABASE], order_id)
        if owners is None or not _concerns(owners, caller):
            raise not_found(NO_ORDER)
        return CancelOrder(principal=caller, fingerprint=fingerprint, order_id=order_id)

    return await submit(request, Call(command=CancelOrder, body={}, prepare=prepare))


async def list_orders(request: web.Request) -> web.Response:
    """GET /api/orders."""
    chosen = OrderFilter(user_id=principal(request).user_id)
    return await order_page(request, chosen)


async def order_page(request: web.Request, chosen: OrderFilter) -> web.Response:
    """A page of the chosen orders, narrowed by the request's `OrdersQuery`."""
    wanted = query(request, OrdersQuery)
    below = from_cursor(wanted.cursor, int)[0] if wanted.cursor else None
    narrowed = OrderFilter(
        user_id=chosen.user_id,
        event_id=chosen.event_id,
        status=wanted.status,
        below=int(below) if below is not None else None,
    )
    rows = await order_reads.list_orders(request.app[DATABASE], narrowed, wanted.limit + 1)
    return json_reply(page(rows, wanted.limit, lambda one: (one.row.id,), _shown))


async def show_order(request: web.Request) -> web.Response:
    """GET /api/orders/{orderId}."""
    caller, order_id = principal(request), path_id(request, "orderId")
    database = request.app[DATABASE]
    order = await order_reads.find_order(database, order_id)
    if order is None:
        raise not_found(NO_ORDER)
    if order.row.user_id != caller.user_id and not caller.has(("ADMIN",)):
        owners = await order_reads.owners_of_order(database, order_id)
        if owners is None or not _concerns(owners, caller):
            raise not_found(NO_ORDER)
    return json_reply(_shown(order))


def _concerns(owners: OrderOwners, caller: Principal) -> bool:
    """Whether the caller owns the order (whatever roles are left), organizes its event, or is an admin."""
    organizes = owners.organizer_id == caller.user_id and caller.has(("ORGANIZER",))
    return owners.user_id == caller.user_id or organizes or caller.has(("ADMIN",))


def _shown(order: OrderRead) -> dict[str, object]:
    return order_resource(order.row, order.details)


ROUTES = (
    Route(
        method="POST",
        path="/api/orders",
        operation_id="placeOrder",
        summary="Order tickets, or add some to an unpaid order",
        handler=place_order,
        access=USER,
        ownership=Ownership.SELF,
        answers={
            201: RouteAnswer(
                Order, "The order, PENDING_PAYMENT; CONFIRMED when it is free.", ("Location",)
            )
        },
        tag="Orders",
        body=PlaceOrderBody,
        is_command=True,
        problems=frozenset(
            {
                Code.NOT_FOUND,
                Code.SALES_CLOSED,
                Code.LIMIT_EXCEEDED,
                Code.SOLD_OUT,
                Code.ORDER_NOT_PENDING,
                Code.SEAT_LOCKED,
            }
        ),
        description="All items or none. With `orderId` the items join that order of yours; its "
        "`expiresAt` stays, and its pending quotes end.",
    ),
    Route(
        method="GET",
        path="/api/orders",
        operation_id="listOrders",
        summary="Own orders, the newest first",
        handler=list_orders,
        access=SIGNED_IN,
        ownership=Ownership.SELF,
        answers={200: RouteAnswer(OrderPage, "A page of orders.")},
        tag="Orders",
        query=OrdersQuery,
        description="What an account bought it sees, pays and cancels whatever roles it has today.",
    ),
    Route(
        method="GET",
        path="/api/orders/{orderId}",
        operation_id="showOrder",
        summary="An order",
        handler=show_order,
        access=SIGNED_IN,
        ownership=Ownership.OWNER_ORGANIZER_OR_ADMIN,
        answers={200: RouteAnswer(Order, "The order.")},
        tag="Orders",
    ),
    Route(
        method="POST",
        path="/api/orders/{orderId}/cancel",
        operation_id="cancelOrder",
        summary="Cancel an unpaid order",
        handler=cancel_order,
        access=SIGNED_IN,
        ownership=Ownership.OWNER_ORGANIZER_OR_ADMIN,
        answers={200: RouteAnswer(Order, "The order, CANCELLED.", example={"status": "CANCELLED"})},
        tag="Orders",
        is_command=True,
        problems=frozenset({Code.ORDER_NOT_PENDING}),
        description="Its tickets are for sale again within a second.",
    ),
)
