"""FakePrice: the feed of a fresh start, a price list that walks.

In: the time. Out: a report for each asset in each currency.
Must stay true: the same moment gives the same prices in every process; a price stays within 5 % of its base,
and moves by less than 1 % in a minute, so that the band never refuses it; decimals only.
"""

import zlib
from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal

from contracts.command_ids import EPOCH
from contracts.runtime.times import to_wire
from workers.quote.judging import RateReport

BASE_USD = {
    "ADA": Decimal("0.45"),
    "BNB": Decimal("600"),
    "BTC": Decimal("64000"),
    "DOGE": Decimal("0.12"),
    "DOT": Decimal("6.2"),
    "ETH": Decimal("3200"),
    "LTC": Decimal("82"),
    "SOL": Decimal("150"),
    "TRX": Decimal("0.12"),
    "USDC": Decimal("1"),
    "USDT": Decimal("1"),
    "XRP": Decimal("0.52"),
}
PER_USD = {
    "EUR": Decimal("0.92"),
    "GBP": Decimal("0.79"),
    "JPY": Decimal("155"),
    "TWD": Decimal("32"),
    "USD": Decimal("1"),
}
STABLE = frozenset({"USDC", "USDT"})
WAVES = ((3600, Decimal("0.035")), (611, Decimal("0.01")), (97, Decimal("0.001")))
"""(period in seconds, height as a part of the base): a slow, a middle and a quick one."""
_UNIT = Decimal("0.00000001")


def price_at(asset: str, currency: str, moment: datetime) -> Decimal:
    """The fake price of one unit, 8 decimals. Raises KeyError for what it does not know."""
    seconds = Decimal((moment - EPOCH) // timedelta(milliseconds=1)) / 1000
    phase = zlib.crc32(asset.encode()) % 3600
    walk = sum((height * _wave(seconds + phase, period) for period, height in WAVES), Decimal())
    if asset in STABLE:
        walk /= 100
    return (BASE_USD[asset] * PER_USD[currency] * (1 + walk)).quantize(_UNIT)


def _wave(seconds: Decimal, period: int) -> Decimal:
    """A triangle between -1 and 1."""
    part = seconds % period / period
    return 4 * abs(part - Decimal("0.5")) - 1


class FakePrice:
    """A `Feed` without a network."""

    name = "fake"

    async def fetch(self, now: datetime) -> Sequence[RateReport]:
        """Every asset in every currency, as of `now`."""
        at = to_wire(now)
        return [
            RateReport(self.name, asset, currency, str(price_at(asset, currency, now)), at)
            for asset in BASE_USD
            for currency in PER_USD
        ]

    async def close(self) -> None:
        """Nothing to give back."""
