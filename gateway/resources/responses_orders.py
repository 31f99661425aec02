"""Models of orders and payments as the gateway shows them, for OpenAPI and its tests."""

from typing import Annotated, Literal

from pydantic import Field

from gateway.http.responses import (
    IdNumber,
    Moment,
    Money,
    ResponseModel,
)
from gateway.resources.requests_orders import OrderStatusName


class OrderDetail(ResponseModel):
    """Tickets of one type at one price."""

    ticket_type_id: IdNumber
    quantity: Annotated[int, Field(ge=1)]
    unit_price: Money
    cost: Money


class Order(ResponseModel):
    """An order. `expiresAt` counts while it is PENDING_PAYMENT."""

    id: IdNumber
    user_id: IdNumber
    event_id: IdNumber
    status: OrderStatusName
    total_cost: Money
    currency: str
    expires_at: Moment
    version: IdNumber
    created_at: Moment
    updated_at: Moment
    details: list[OrderDetail]


class OrderPage(ResponseModel):
    """A page of orders, the newest first."""

    data: list[Order]
    next_cursor: str | None
    has_more: bool


class Receipt(ResponseModel):
    """A transaction that was shown for a payment. LATE: it came too late and is owed back."""

    tx_hash: Annotated[str, Field(pattern=r"^0x[0-9a-f]{64}$", examples=["0x" + "ab" * 32])]
    status: Literal["APPLIED", "LATE"]
    received_at: Moment
    refund_id: IdNumber | None


class Payment(ResponseModel):
    """A quote and what became of it. `receipts`: every transaction that was ever shown for it, the first one first."""

    id: IdNumber
    order_id: IdNumber
    asset: str
    quote_rate: Annotated[str, Field(pattern=r"^\d{1,10}\.\d{8}$", examples=["61234.50000000"])]
    amount_crypto: Annotated[
        str, Field(pattern=r"^\d{1,20}\.\d{18}$", examples=["0.000815063412289003"])
    ]
    tx_hash: Annotated[str, Field(pattern=r"^0x[0-9a-f]{64}$", examples=["0x" + "ab" * 32])] | None
    status: Literal["PENDING", "CONFIRMED", "EXPIRED", "LATE"]
    expires_at: Moment
    rate_source: str
    rate_observed_at: Moment
    created_at: Moment
    updated_at: Moment
    receipts: list[Receipt]


class LatePayment(Payment):
    """What payment.late tells. `receipt`: the hash that came too late, which need not be the payment's own."""

    receipt: Annotated[str, Field(pattern=r"^0x[0-9a-f]{64}$", examples=["0x" + "cd" * 32])]
