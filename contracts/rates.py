"""What an asset costs, who says so, and which of several sources is believed.

In: rates (one per asset, currency and source). Out: the rate that quotes use; the rate of api.md as plain JSON.
Must stay true: a rate is a positive `Decimal` of at most 8 decimals, never a float; age counts from
`observed_at`, the moment that the source names; the same rule chooses for quotes, for clients and for the
judgement of the next report.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Any

from contracts.resources import IdNumber, MomentJson, RateJson
from contracts.runtime.times import to_wire
from contracts.shapes import Answer

PROVIDER_PREFIX = "provider:"
"""Sources that are providers: `provider:<name>`. Any other source is a feed of ours."""


@dataclass(frozen=True, slots=True)
class Rate:
    """The price of one unit of `asset` in `currency`, as `source` saw it. Times are aware UTC."""

    asset: str
    currency: str
    source: str
    rate: Decimal
    observed_at: datetime
    received_at: datetime

    @property
    def pair(self) -> tuple[str, str]:
        """(asset, currency)."""
        return self.asset, self.currency

    @property
    def from_provider(self) -> bool:
        """Whether a provider reported it, rather than a feed."""
        return self.source.startswith(PROVIDER_PREFIX)

    def younger_than(self, seconds: float, now: datetime) -> bool:
        """Whether it was observed at most that long ago."""
        return now - self.observed_at <= timedelta(seconds=seconds)


def choose(rates: Iterable[Rate], now: datetime, fresh_seconds: float) -> Rate | None:
    """Which of several sources of one pair is believed; None when there is none.

    The rule: what is fresh beats what is not; among the fresh a provider beats a feed (it reports on purpose, a
    feed is polled); then the newest observation wins; the source's name only breaks ties. What is not fresh
    competes by its age alone.
    """

    def rank(rate: Rate) -> tuple[bool, bool, datetime, str]:
        fresh = rate.younger_than(fresh_seconds, now)
        return fresh, fresh and rate.from_provider, rate.observed_at, rate.source

    return max(rates, key=rank, default=None)


def quotable(
    rates: Iterable[Rate], now: datetime, *, fresh_seconds: float, max_age_seconds: float
) -> Rate | None:
    """The rate that a quote may use now: the chosen one, unless even that is too old."""
    chosen = choose(rates, now, fresh_seconds)
    return chosen if chosen and chosen.younger_than(max_age_seconds, now) else None


class RateResource(Answer):
    """What one unit of an asset costs. `stale`: observed longer ago than rates are fresh."""

    asset: str
    currency: str
    rate: RateJson
    source: str
    observed_at: MomentJson
    stale: bool


class QuarantinedReport(Answer):
    """A report of a rate that was put aside, its fields as they came."""

    id: IdNumber
    source: str
    asset: str
    currency: str
    rate: str
    observed_at: str


def rate_resource(rate: Rate, now: datetime, fresh_seconds: float) -> dict[str, Any]:
    """The rate of the contract."""
    return {
        "asset": rate.asset,
        "currency": rate.currency,
        "rate": format(rate.rate, ".8f"),
        "source": rate.source,
        "observedAt": to_wire(rate.observed_at),
        "stale": not rate.younger_than(fresh_seconds, now),
    }


class Reason(StrEnum):
    """Why a report was put aside."""

    MALFORMED = "MALFORMED"
    """A field is missing, of another kind, or no such thing (asset, currency, time)."""
    FORGED = "FORGED"
    """The broker does not vouch that a known provider sent it under its own name."""
    NOT_A_NUMBER = "NOT_A_NUMBER"
    NOT_POSITIVE = "NOT_POSITIVE"
    ABSURD = "ABSURD"
    """It does not fit DECIMAL(18,8)."""
    FROM_THE_FUTURE = "FROM_THE_FUTURE"
    STALE = "STALE"
    """Older than a rate may be to be quoted."""
    REPEATED = "REPEATED"
    OUT_OF_ORDER = "OUT_OF_ORDER"
    OUT_OF_BAND = "OUT_OF_BAND"
    """Too far from the last good rate."""


ACCEPTABLE = frozenset({Reason.OUT_OF_BAND, Reason.FROM_THE_FUTURE})
"""What an admin may accept after all. The others are no usable rate, or an older one than we have."""
