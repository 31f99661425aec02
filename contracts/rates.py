"""What an asset costs, who says so, and which of several sources is believed.

In: rates (one per asset, currency and source). Out: the rate that quotes use; the rate of api.md as plain JSON.
Must stay true: a rate is a positive `Decimal` of at most 8 decimals, never a float; age counts from
`observed_at`, the moment that the source names; the same rule chooses for quotes, for clients and for the
judgement of the next report.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Any

from contracts.resources import IdNumber, MomentJson, RateJson
from contracts.runtime.settings import Settings
from contracts.runtime.times import to_wire
from contracts.shapes import INTERNAL, Answer

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
    accepted_at: Annotated[datetime | None, INTERNAL] = None
    """When an admin last accepted a report of this source of this pair."""

    @property
    def pair(self) -> tuple[str, str]:
        """(asset, currency)."""
        return self.asset, self.currency

    @property
    def by_admin(self) -> bool:
        """Whether an admin has accepted this very rate."""
        return self.accepted_at is not None and self.accepted_at == self.received_at

    @property
    def from_provider(self) -> bool:
        """Whether a provider reported it, rather than a feed."""
        return self.source.startswith(PROVIDER_PREFIX)

    def younger_than(self, seconds: float, now: datetime) -> bool:
        """Whether it was observed at most that long ago."""
        return now - self.observed_at <= timedelta(seconds=seconds)


@dataclass(frozen=True, slots=True)
class RateLimits:
    """Durations in seconds; `band` as a part of a price (0.2: a fifth)."""

    fresh: int
    max_age: int
    band: Decimal

    @classmethod
    def of(cls, settings: Settings) -> "RateLimits":
        """The limits that the settings name."""
        return cls(settings.rate_fresh, settings.rate_max_age, Decimal(str(settings.rate_band)))

    def allow(self, rate: Decimal, below: Decimal, above: Decimal) -> bool:
        """Whether a price is at most the band below the one, and at most the band above the other."""
        return below * (1 - self.band) <= rate <= above * (1 + self.band)


def choose(rates: Iterable[Rate], now: datetime, limits: RateLimits) -> Rate | None:
    """Which of several sources of one pair is believed; None when there is none, or when providers contradict.

    The rule: what is fresh beats what is not. Among the fresh, one that lies outside the band of the others is not
    believed, unless an admin has accepted it; of the rest a provider beats a feed (it reports on purpose, a feed is
    polled); then the newest observation wins; the source's name only breaks ties. Where all lie outside each other's
    band our own feed is believed, and without one nobody. What is not fresh competes by its age alone.
    """
    known = list(rates)
    fresh = [rate for rate in known if rate.younger_than(limits.fresh, now)]
    if not fresh:
        return max(known, key=lambda rate: (rate.observed_at, rate.source), default=None)
    agreed = [one for one in fresh if one.by_admin or _within_the_others(one, fresh, limits)]
    believed = agreed or [rate for rate in fresh if not rate.from_provider]
    return max(
        believed, key=lambda rate: (rate.from_provider, rate.observed_at, rate.source), default=None
    )


def _within_the_others(rate: Rate, fresh: Iterable[Rate], limits: RateLimits) -> bool:
    middle = median([one.rate for one in fresh if one.source != rate.source])
    return middle is None or limits.allow(rate.rate, *middle)


def median(values: Sequence[Decimal]) -> tuple[Decimal, Decimal] | None:
    """The middle of some prices as (lower, upper): of an odd number twice the same; None of no prices.

    Of an even number both middle ones count, not their mean: a single wrong price never moves what is near a right one
    out of the band.
    """
    if not values:
        return None
    ordered = sorted(values)
    return ordered[(len(ordered) - 1) // 2], ordered[len(ordered) // 2]


def quotable(rates: Iterable[Rate], now: datetime, limits: RateLimits) -> Rate | None:
    """The rate that a quote may use now: the chosen one, unless even that is too old."""
    chosen = choose(rates, now, limits)
    return chosen if chosen and chosen.younger_than(limits.max_age, now) else None


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
    """Too far from what the other sources say; where there are none, from the prices of the last ten minutes."""
    NEW_PAIR = "NEW_PAIR"
    """No source has an accepted rate of that pair."""
    NOT_GIVEN = "NOT_GIVEN"
    """The asset is none of those that the provider was given."""
    TOO_MANY_PAIRS = "TOO_MANY_PAIRS"
    """The provider has rates of as many pairs as one provider may."""
    UNREADABLE = "UNREADABLE"
    """No report could be read in the message."""


ACCEPTABLE = frozenset(
    {Reason.OUT_OF_BAND, Reason.FROM_THE_FUTURE, Reason.NEW_PAIR, Reason.NOT_GIVEN}
)
"""What an admin may accept after all. The others are no usable rate, or an older one than we have."""
PAIRS_MAX = 50
"""Pairs of which one provider may have rates."""


class ReportStatus(StrEnum):
    """What became of a provider's report."""

    ACCEPTED = "ACCEPTED"
    QUARANTINED = "QUARANTINED"
    UNREADABLE = "UNREADABLE"
