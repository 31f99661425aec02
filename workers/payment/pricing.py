"""What an order costs in an asset, and how long that price stands. Pure: no I/O, no clock.

In: decimal money, a decimal rate, times. Out: a decimal amount; a time.
Must stay true: no float anywhere; the amount times the rate covers the order's total and one unit of the last
decimal less does not (rounded up, so that the buyer's coins never fall short of the price); a quote never
outlives the longest hold.
"""

from datetime import datetime, timedelta
from decimal import Context, Decimal

AMOUNT_DECIMALS = 18
"""DECIMAL(38,18): one wei of ether, the smallest unit in common use."""
RATE_DECIMALS = 8
MONEY_DECIMALS = 2
AMOUNT_LIMIT = 10**38
"""Units of the last decimal that DECIMAL(38,18) has no room for."""

_WIDE = Context(prec=60)
"""Room for every digit of a DECIMAL(38,18): the default context keeps 28."""


class AmountTooLarge(ValueError):
    """The price in this asset does not fit DECIMAL(38,18): the rate is next to nothing."""


def amount_crypto(total_cost: Decimal, quote_rate: Decimal) -> Decimal:
    """`total_cost` / `quote_rate`, rounded up (towards the next larger) to 18 decimals.

    Computed in whole numbers, so exact: ceil(cents * 10^(18 + 8 - 2) / units of 10^-8).
    Raises ValueError unless both are positive and of at most 2 and 8 decimals; AmountTooLarge.
    """
    cents = _units(total_cost, MONEY_DECIMALS)
    rate = _units(quote_rate, RATE_DECIMALS)
    numerator = cents * 10 ** (AMOUNT_DECIMALS + RATE_DECIMALS - MONEY_DECIMALS)
    units = -(-numerator // rate)
    if units >= AMOUNT_LIMIT:
        raise AmountTooLarge(f"{total_cost} at {quote_rate} does not fit DECIMAL(38,18)")
    return Decimal((0, tuple(map(int, str(units))), -AMOUNT_DECIMALS))


def quote_end(
    now: datetime, order_created_at: datetime, *, quote_ttl: float, max_hold: float
) -> datetime:
    """min(now + quote_ttl, order_created_at + max_hold), durations in seconds. Source: api.md, Payment."""
    return min(now + timedelta(seconds=quote_ttl), order_created_at + timedelta(seconds=max_hold))


def _units(value: Decimal, decimals: int) -> int:
    if not value.is_finite() or value <= 0:
        raise ValueError(f"{value} is not a positive number")
    scaled = value.scaleb(decimals, _WIDE)
    units = int(scaled)
    if units != scaled:
        raise ValueError(f"{value} has more than {decimals} decimals")
    return units
