"""What clients see of an event, a ticket type, an order and a payment: each described once.

In: frozen rows (aware UTC times, `Decimal` money), read from MySQL or made by a worker's decision.
Out: plain dicts, and the models that describe them.
Must stay true: every process shows the same thing in the same shape (answers, outcomes, events,
webhooks); money and crypto amounts are decimal texts with all their decimals; times are RFC 3339
in UTC; an order's details are summed per (ticket type, unit price), because one row of
`order_details` belongs to one command (of a type that was renamed in between, the older name).

A column is a field of its row class, annotated with its JSON (see `contracts.shapes`). A member that is no column
stands in the resource's model and in the function that shows the resource.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any, Literal

from pydantic import Field, WithJsonSchema

from contracts.runtime.times import from_wire, to_wire
from contracts.shapes import INTERNAL, Answer, AsJson, json_writer, shows


def money(amount: Decimal) -> str:
    """DECIMAL(18,2) as text: `49.90`."""
    return format(amount, ".2f")


def _eight_decimals(rate: Decimal) -> str:
    return format(rate, ".8f")


def _eighteen_decimals(amount: Decimal) -> str:
    return format(amount, ".18f")


IdNumber = Annotated[int, Field(ge=1, le=2**63 - 1)]
Count = Annotated[int, Field(ge=0)]
MomentJson = Annotated[
    str, Field(pattern=r"Z$"), WithJsonSchema({"type": "string", "format": "date-time"})
]
"""RFC 3339 in UTC, six decimals, ending in Z."""
MoneyJson = Annotated[str, Field(pattern=r"^\d{1,16}\.\d{2}$")]
RateJson = Annotated[str, Field(pattern=r"^\d{1,10}\.\d{8}$", examples=["61234.50000000"])]
_CryptoJson = Annotated[
    str, Field(pattern=r"^\d{1,20}\.\d{18}$", examples=["0.000815063412289003"])
]
_TxHashJson = Annotated[str, Field(pattern=r"^0x[0-9a-f]{64}$", examples=["0x" + "ab" * 32])]
EventStatusName = Literal["PUBLISHED", "CANCELLED", "DRAFT"]
OrderStatusName = Literal["PENDING_PAYMENT", "CONFIRMED", "CANCELLED", "EXPIRED"]
PaymentStatusName = Literal["PENDING", "CONFIRMED", "EXPIRED", "LATE"]
ReceiptStatusName = Literal["APPLIED", "LATE"]

Moment = Annotated[datetime, AsJson(MomentJson, to_wire, from_wire)]
Money = Annotated[Decimal, AsJson(MoneyJson, money, Decimal)]


@dataclass(frozen=True, slots=True)
class TicketTypeRow:
    """A row of `ticket_types`. `version` is the number of its stock and description changes."""

    id: IdNumber
    event_id: IdNumber
    name: str
    price: Money
    currency: str
    quota: Count
    available: Count
    max_per_order: Annotated[int, Field(ge=1)]
    sales_start: Moment | None
    sales_end: Moment | None
    version: IdNumber
    created_at: Moment
    updated_at: Moment
    max_per_user: Annotated[int, Field(ge=1)] | None = None
    """Tickets of this type that one account may buy; None: any number."""


@dataclass(frozen=True, slots=True)
class EventRow:
    """A row of `events`."""

    id: IdNumber
    organizer_id: IdNumber
    name: str
    description: str | None
    venue: str | None
    start_time: Moment
    end_time: Moment
    status: Annotated[str, AsJson(EventStatusName)]
    version: IdNumber
    created_at: Moment
    updated_at: Moment
    timezone: str = "UTC"
    """IANA name of the zone whose clock the visitors read."""
    sales_paused: bool = False
    refund_until: Moment | None = None
    """Until when buyers may give tickets back themselves; None: never."""
    concealed: Annotated[bool, INTERNAL] = False
    """Only its organizer and admins know of it: a draft, or one that was cancelled as a draft."""


@dataclass(frozen=True, slots=True)
class OrderDetailRow:
    """What clients see of a row of `order_details`: one item of one command."""

    ticket_type_id: IdNumber
    quantity: Annotated[int, Field(ge=1)]
    unit_price: Money
    items_version: Annotated[int, INTERNAL] = 1
    """The order's `items_version` that brought it."""
    ticket_type_name: str = ""
    """As the type was called when it was ordered."""


@dataclass(frozen=True, slots=True)
class OrderRow:
    """A row of `orders`. `status` is one of `contracts.orders.OrderStatus`."""

    id: IdNumber
    user_id: IdNumber
    event_id: IdNumber
    status: Annotated[str, AsJson(OrderStatusName)]
    total_cost: Money
    currency: str
    expires_at: Moment
    version: IdNumber
    created_at: Moment
    updated_at: Moment
    items_version: Annotated[int, INTERNAL] = 1
    """Rises with each addition of items: a quote pays for the items that it priced, and a free one changes no total."""
    event_name: str = ""
    """As the event was called when it was ordered."""


@dataclass(frozen=True, slots=True)
class PaymentRow:
    """A row of `payments`. `status` is one of `contracts.orders.PaymentStatus`."""

    id: IdNumber
    order_id: IdNumber
    asset: str
    quote_rate: Annotated[Decimal, AsJson(RateJson, _eight_decimals, Decimal)]
    amount_crypto: Annotated[Decimal, AsJson(_CryptoJson, _eighteen_decimals, Decimal)]
    tx_hash: Annotated[str, AsJson(_TxHashJson)] | None
    status: Annotated[str, AsJson(PaymentStatusName)]
    expires_at: Moment
    rate_source: str
    rate_observed_at: Moment
    created_at: Moment
    updated_at: Moment


@dataclass(frozen=True, slots=True)
class ReceiptRow:
    """What clients see of a row of `payment_receipts`: a hash that was shown. `status` is APPLIED or LATE."""

    tx_hash: Annotated[str, AsJson(_TxHashJson)]
    status: Annotated[str, AsJson(ReceiptStatusName)]
    received_at: Moment


@shows(TicketTypeRow)
class TicketType(Answer):
    """A kind of ticket. `version` moves with every sale, too."""


@shows(EventRow)
class EventResource(Answer):
    """An event with its ticket types."""

    ticket_types: list[TicketType]


@shows(EventRow)
class ListedEvent(Answer):
    """An event with its ticket types, as lists show it: only one's own events with their description."""

    description: str | None = None
    ticket_types: list[TicketType]


@shows(OrderDetailRow)
class OrderDetail(Answer):
    """Tickets of one type at one price."""

    cost: MoneyJson


@shows(OrderRow)
class Order(Answer):
    """An order. `expiresAt` counts while it is PENDING_PAYMENT."""

    details: list[OrderDetail]


@shows(ReceiptRow)
class PaymentReceipt(Answer):
    """A transaction that was shown for a payment. LATE: it came too late and is owed back."""

    refund_id: IdNumber | None


@shows(PaymentRow)
class Payment(Answer):
    """A quote and what became of it. `receipts`: every transaction that was ever shown for it, the first one first."""

    receipts: list[PaymentReceipt] = Field(default=[], examples=[[]])


class LatePayment(Payment):
    """What payment.late tells. `receipt`: the hash that came too late, which need not be the payment's own."""

    receipt: _TxHashJson


ticket_type_resource = json_writer(TicketTypeRow)
_event_members, _order_members = json_writer(EventRow), json_writer(OrderRow)
_payment_members, _receipt_members = json_writer(PaymentRow), json_writer(ReceiptRow)


def event_resource(row: EventRow, ticket_types: Iterable[TicketTypeRow]) -> dict[str, Any]:
    """The event of the contract with its ticket types by id (the caller left out deleted ones)."""
    types = sorted(ticket_types, key=lambda one: one.id)
    shown = _event_members(row)
    shown["ticketTypes"] = [ticket_type_resource(one) for one in types]
    return shown


def order_resource(row: OrderRow, details: Iterable[OrderDetailRow]) -> dict[str, Any]:
    """The order of the contract; `details` are all its item rows, the oldest first."""
    shown = _order_members(row)
    shown["details"] = _summed(details)
    return shown


def payment_resource(row: PaymentRow, receipts: Iterable[ReceiptRow]) -> dict[str, Any]:
    """The payment of the contract; `receipts` are all hashes that were ever shown for it, in any order."""
    shown = _payment_members(row)
    shown["receipts"] = [
        _receipt_members(one) | {"refundId": None}
        for one in sorted(receipts, key=lambda one: (one.received_at, one.tx_hash))
    ]
    return shown


def event_etag(event: dict[str, Any]) -> str:
    """`"v<version>.<stock>"` of an event resource; stock = sum of its types' versions."""
    stock = sum(one["version"] for one in event["ticketTypes"])
    return f'"v{event["version"]}.{stock}"'


def ticket_type_etag(ticket_type: dict[str, Any]) -> str:
    """`"v<version>.<stock>"` of a ticket type resource: its one version counts both."""
    return f'"v{ticket_type["version"]}.{ticket_type["version"]}"'


def _summed(details: Iterable[OrderDetailRow]) -> list[dict[str, Any]]:
    quantities: dict[tuple[int, Decimal], int] = {}
    names: dict[tuple[int, Decimal], str] = {}
    for one in details:
        key = (one.ticket_type_id, one.unit_price)
        quantities[key] = quantities.get(key, 0) + one.quantity
        names.setdefault(key, one.ticket_type_name)
    return [
        {
            "ticketTypeId": type_id,
            "ticketTypeName": names[type_id, price],
            "quantity": quantity,
            "unitPrice": money(price),
            "cost": money(price * quantity),
        }
        for (type_id, price), quantity in sorted(quantities.items())
    ]
