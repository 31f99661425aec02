"""Bodies and queries of orders, payments and commands.

Must stay true: no member that is the server's to set (price, total, status, owner) exists here.
"""

from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from contracts.models import Asset, Id, Quantity, TxHash
from gateway.http.models import (
    Body,
    Line,
    PageQuery,
    Query,
    whole_number,
)

ITEMS_MAX = 50
WAIT_MAX = 30

OrderStatusName = Literal["PENDING_PAYMENT", "CONFIRMED", "CANCELLED", "EXPIRED"]


class OrderItemBody(Body):
    """So many tickets of one type."""

    ticket_type_id: Annotated[Id, Field(examples=[1])]
    quantity: Annotated[Quantity, Field(examples=[2])]


def _one_line_each(items: tuple[OrderItemBody, ...]) -> tuple[OrderItemBody, ...]:
    if len(items) > 1 and len({item.ticket_type_id for item in items}) != len(items):
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


class CreateQuoteBody(Body):
    """Which order to pay, in which asset."""

    order_id: Annotated[Id, Field(examples=[1])]
    asset: Annotated[Asset, Field(examples=["BTC"])]


class ConfirmPaymentBody(Body):
    """The transaction that paid. Hexadecimal digits in either case."""

    tx_hash: Annotated[TxHash, Field(examples=["0x" + "ab" * 32])]


class CommandQuery(Query):
    """`?wait=N`: seconds to wait for the decision; more than 30 count as 30."""

    wait: Annotated[
        int,
        Field(ge=0),
        BeforeValidator(whole_number),
        AfterValidator(lambda seconds: min(seconds, WAIT_MAX)),
    ] = 0


class StreamQuery(Query):
    """`?token=` of an `eventsUrl`."""

    token: Annotated[Line | None, Field(max_length=64)] = None
