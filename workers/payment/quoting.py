"""Whether an order gets a quote, an old one or a new one. Pure: no I/O, no clock, no ids.

In: the order, its event and its pending quotes as they stand (locked), the rate, the database's time.
Out: `Reused`, `Priced` or a `Problem`, and which of the order's pending quotes have come to their end.
Must stay true: an order has at most one pending quote per asset, and it prices the order's present items.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from contracts.orders import OrderStatus, PaymentStatus
from contracts.payments import priced
from contracts.problems import Code, Problem
from contracts.rates import Rate
from contracts.resources import OrderRow
from workers.payment.pricing import AmountTooLarge, amount_crypto, quote_end


@dataclass(frozen=True, slots=True)
class PendingQuote:
    """A quote of the order. `key` says which, to the caller."""

    key: int
    asset: str
    status: str
    total_cost: Decimal
    items_version: int
    expires_at: datetime

    def pays_for(self, order: OrderRow) -> bool:
        """Whether it priced the order as it is."""
        return priced(order, self.total_cost, self.items_version)


@dataclass(frozen=True, slots=True)
class Reused:
    """The quote that still stands."""

    key: int


@dataclass(frozen=True, slots=True)
class Priced:
    """A new quote; `order_expires_at` is the order's end from now on."""

    amount_crypto: Decimal
    rate: Rate
    expires_at: datetime
    order_expires_at: datetime


def over(order: OrderRow, now: datetime) -> Problem | None:
    """ORDER_NOT_PENDING, unless the order waits for its payment and its time is not over."""
    if order.status != OrderStatus.PENDING_PAYMENT:
        return Problem(Code.ORDER_NOT_PENDING, f"The order is {order.status}.")
    if now >= order.expires_at:
        return Problem(Code.ORDER_NOT_PENDING, "The order's time to pay is over.")
    return None


def outdated(order: OrderRow, quotes: Iterable[PendingQuote], now: datetime) -> list[int]:
    """Keys of the pending quotes that can no longer pay: too old, or priced for other items."""
    return [
        quote.key
        for quote in quotes
        if quote.status == PaymentStatus.PENDING
        and (now >= quote.expires_at or not quote.pays_for(order))
    ]


def reusable(
    order: OrderRow, quotes: Iterable[PendingQuote], asset: str, now: datetime
) -> Reused | None:
    """The pending quote of this asset that still pays for the order as it is."""
    for quote in quotes:
        if (
            quote.asset == asset
            and quote.status == PaymentStatus.PENDING
            and quote.pays_for(order)
            and now < quote.expires_at
        ):
            return Reused(quote.key)
    return None


def price(
    order: OrderRow, asset: str, rate: Rate | None, now: datetime, *, quote_ttl: int, max_hold: int
) -> Priced | Problem:
    """A new quote for the order's present total. `rate`: quotable now, None when there is none."""
    if rate is None:
        detail = f"There is no rate of {asset} in {order.currency} that is fresh enough."
        return Problem(Code.RATE_UNAVAILABLE, detail)
    expires_at = quote_end(now, order.created_at, quote_ttl=quote_ttl, max_hold=max_hold)
    if expires_at <= now:
        return Problem(Code.ORDER_NOT_PENDING, "The order has been held for as long as it may.")
    try:
        amount = amount_crypto(order.total_cost, rate.rate)
    except AmountTooLarge:
        detail = f"{asset} is worth too little in {order.currency} to pay this order with."
        return Problem(Code.RATE_UNAVAILABLE, detail)
    return Priced(amount, rate, expires_at, max(order.expires_at, expires_at))
