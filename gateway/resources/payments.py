"""Payments over HTTP: quote, confirm (commands), show (a read).

In: an order and an asset; a payment and the transaction that paid it. Out: the payment, or why not.
Must stay true: only the order's owner quotes and confirms; foreign orders and payments look like none.
"""

from typing import Annotated

from aiohttp import web
from pydantic import Field

from contracts.commands import Command, ConfirmPayment, CreateQuote
from contracts.models import Asset, Id, Principal, TxHash
from contracts.problems import Code
from contracts.resources import Payment, payment_resource
from db import order_reads, payments
from gateway.http.keys import (
    DATABASE,
    body,
    path_id,
    principal,
)
from gateway.http.models import Body
from gateway.http.problems import not_found
from gateway.http.replies import json_reply
from gateway.http.routing import (
    SIGNED_IN,
    Ownership,
    Route,
    RouteAnswer,
)
from gateway.resources.orders import NO_ORDER
from gateway.submission.submit import Call, submit

NO_PAYMENT = "There is no such payment, or it is not yours."
_PAID = "0x" + "ab" * 32


class CreateQuoteBody(Body):
    """Which order to pay, in which asset."""

    order_id: Annotated[Id, Field(examples=[1])]
    asset: Annotated[Asset, Field(examples=["BTC"])]


class ConfirmPaymentBody(Body):
    """The transaction that paid. Hexadecimal digits in either case."""

    tx_hash: Annotated[TxHash, Field(examples=[_PAID])]


async def create_quote(request: web.Request) -> web.Response:
    """POST /api/public/payment/create-quote."""
    wanted = body(request, CreateQuoteBody)

    async def prepare(caller: Principal, fingerprint: str) -> Command:
        owners = await order_reads.owners_of_order(request.app[DATABASE], wanted.order_id)
        if owners is None or owners.user_id != caller.user_id:
            raise not_found(NO_ORDER)
        return CreateQuote(
            principal=caller,
            fingerprint=fingerprint,
            order_id=wanted.order_id,
            asset=wanted.asset,
        )

    call = Call(CreateQuote, wanted.model_dump(by_alias=True), prepare)
    return await submit(request, call)


async def confirm_payment(request: web.Request) -> web.Response:
    """POST /api/public/payment/confirm-payment/{paymentId}."""
    payment_id = path_id(request, "paymentId")
    # Case does not matter in a hash, so it makes no other request either.
    tx_hash = body(request, ConfirmPaymentBody).tx_hash.lower()

    async def prepare(caller: Principal, fingerprint: str) -> Command:
        found = await order_reads.find_payment(request.app[DATABASE], payment_id)
        if found is None or found[1] != caller.user_id:
            raise not_found(NO_PAYMENT)
        return ConfirmPayment(
            principal=caller, fingerprint=fingerprint, payment_id=payment_id, tx_hash=tx_hash
        )

    return await submit(request, Call(ConfirmPayment, {"txHash": tx_hash}, prepare))


async def show_payment(request: web.Request) -> web.Response:
    """GET /api/payments/{paymentId}."""
    caller = principal(request)
    found = await order_reads.find_payment(request.app[DATABASE], path_id(request, "paymentId"))
    if found is None or not (found[1] == caller.user_id or caller.has(("ADMIN",))):
        raise not_found(NO_PAYMENT)
    shown = await payments.receipts_of(request.app[DATABASE], [found[0].id])
    return json_reply(payment_resource(found[0], shown[found[0].id]))


ROUTES = (
    Route(
        method="POST",
        path="/api/public/payment/create-quote",
        operation_id="createQuote",
        summary="Price an unpaid order in a crypto asset",
        handler=create_quote,
        access=SIGNED_IN,
        ownership=Ownership.OWNER,
        answers={
            201: RouteAnswer(Payment, "A new quote.", ("Location",)),
            200: RouteAnswer(Payment, "The quote that still stands."),
        },
        tag="Payment",
        body=CreateQuoteBody,
        is_command=True,
        problems=frozenset(
            {Code.NOT_FOUND, Code.ORDER_NOT_PENDING, Code.SALES_CLOSED, Code.RATE_UNAVAILABLE}
        ),
        description="A quote pays only for the total that it priced: adding items ends it.",
    ),
    Route(
        method="POST",
        path="/api/public/payment/confirm-payment/{paymentId}",
        operation_id="confirmPayment",
        summary="Show the transaction that paid",
        handler=confirm_payment,
        access=SIGNED_IN,
        ownership=Ownership.OWNER,
        answers={
            200: RouteAnswer(
                Payment,
                "The payment, CONFIRMED, as its order is.",
                example={
                    "status": "CONFIRMED",
                    "txHash": _PAID,
                    "receipts": [
                        {
                            "txHash": _PAID,
                            "status": "APPLIED",
                            "receivedAt": "2030-01-01T18:00:00.000000Z",
                            "refundId": None,
                        }
                    ],
                },
            )
        },
        tag="Payment",
        body=ConfirmPaymentBody,
        is_command=True,
        problems=frozenset({Code.TX_HASH_USED, Code.QUOTE_EXPIRED, Code.ORDER_NOT_PENDING}),
        description="A hash that can no longer buy is recorded for a refund: that 409 has "
        "`paymentStatus: LATE`.",
    ),
    Route(
        method="GET",
        path="/api/payments/{paymentId}",
        operation_id="showPayment",
        summary="A payment",
        handler=show_payment,
        access=SIGNED_IN,
        ownership=Ownership.OWNER_OR_ADMIN,
        answers={200: RouteAnswer(Payment, "The payment.")},
        tag="Payment",
    ),
)
