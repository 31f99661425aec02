"""Which reports of rates are good. Pure: no I/O, no clock, no ids.

In: a report as it came (texts), what is known of its pair (`Market`) and of its provider (`Grant`), the database's
time. Out: the `Rate`, or `Faulty` with its reason.
Must stay true: nothing here raises, whatever a report holds; a rate that passes is positive, fits
DECIMAL(18,8), is later than the same source's last one and near what others say, or near every price of the last ten
minutes: no sequence of reports of one provider moves the price further than the band.

The rules, first match wins: MALFORMED, NOT_A_NUMBER, NOT_POSITIVE, ABSURD (what it says), FROM_THE_FUTURE,
STALE (when), REPEATED, OUT_OF_ORDER (against the same source's last good rate), NOT_GIVEN, TOO_MANY_PAIRS (what the
provider may report), NEW_PAIR, OUT_OF_BAND (against `Market.bounds`). Our own feed is held against its own last word:
a provider must not be able to keep it out.
"""

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import ROUND_HALF_EVEN, Context, Decimal

from contracts.rates import PAIRS_MAX, Rate, RateLimits, Reason
from contracts.runtime.times import from_wire
from workers.quote.market import Bounds, Market

DECIMALS = 8
LARGEST = Decimal("9999999999.99999999")
"""DECIMAL(18,8)."""
SKEW_SECONDS = 5
"""How far a source's clock may be ahead of the database's."""
ASSET = re.compile(r"[A-Z0-9]{2,16}")
_CURRENCY = re.compile(r"[A-Z]{3}")
_NUMBER = re.compile(r"[+-]?(\d{1,60}(\.\d{0,60})?|\.\d{1,60})([eE][+-]?\d{1,4})?", re.ASCII)
_NO_NUMBER = re.compile(r"[+-]?(nan|inf|infinity)", re.ASCII | re.IGNORECASE)
_UNIT = Decimal(1).scaleb(-DECIMALS)
_WIDE = Context(prec=150, Emax=99_999, Emin=-99_999)
"""Room for all that _NUMBER lets through."""


@dataclass(frozen=True, slots=True)
class RateReport:
    """What a source says, as it came. `source`: `provider:<name>` or a feed's name."""

    source: str
    asset: str
    currency: str
    rate: str
    observed_at: str
    message_id: str | None = None


@dataclass(frozen=True, slots=True)
class Faulty:
    """A report that is not to be used, and why."""

    report: RateReport
    reason: Reason
    detail: str


@dataclass(frozen=True, slots=True)
class Grant:
    """What a provider may report. `assets`: None where the operator named none; `pairs`: of how many it has rates."""

    assets: frozenset[str] | None = None
    pairs: int = 0


NO_GRANT = Grant()


def judge(
    report: RateReport, market: Market, now: datetime, limits: RateLimits, grant: Grant = NO_GRANT
) -> Rate | Faulty:
    """The rate in a report, or what is wrong with it. `market`: of its pair; `grant`: of its provider."""
    rate = read(report, now)
    if isinstance(rate, Faulty):
        return rate
    fault = _fault_in_time(rate, market.of(rate.source), now, limits)
    if fault is None and rate.from_provider:
        fault = not_given(rate, grant) or too_many(rate, market, grant)
    if fault is None:
        fault = _fault_in_band(rate, market, now, limits)
    return Faulty(report, *fault) if fault else rate


def read(report: RateReport, now: datetime) -> Rate | Faulty:
    """What the report says, if it says anything: no comparison with other rates or the clock."""
    if not ASSET.fullmatch(report.asset):
        return Faulty(report, Reason.MALFORMED, "asset is not 2 to 16 capital letters and digits")
    if not _CURRENCY.fullmatch(report.currency):
        return Faulty(report, Reason.MALFORMED, "currency is not three capital letters")
    try:
        observed_at = from_wire(report.observed_at)
    except (ValueError, OverflowError):
        return Faulty(report, Reason.MALFORMED, "observedAt is no RFC 3339 time with an offset")
    value = _number(report)
    if isinstance(value, Faulty):
        return value
    return Rate(report.asset, report.currency, report.source, value, observed_at, now)


def _number(report: RateReport) -> Decimal | Faulty:
    text = report.rate
    if _NO_NUMBER.fullmatch(text):
        return Faulty(report, Reason.NOT_A_NUMBER, f"rate is {text[:12]}")
    if not _NUMBER.fullmatch(text):
        return Faulty(report, Reason.MALFORMED, "rate is not a decimal number as text")
    value = _WIDE.create_decimal(text)
    if value <= 0:
        return Faulty(report, Reason.NOT_POSITIVE, "rate is zero or less")
    if value > LARGEST:
        return Faulty(report, Reason.ABSURD, f"rate is over {LARGEST}")
    # The column keeps eight decimals; half to even, as IEEE 754 and DECIMAL arithmetic round by default.
    kept = value.quantize(_UNIT, ROUND_HALF_EVEN, _WIDE)
    if kept <= 0:
        return Faulty(report, Reason.ABSURD, f"rate is under {_UNIT}")
    return kept


Fault = tuple[Reason, str]


def _fault_in_time(rate: Rate, own: Rate | None, now: datetime, limits: RateLimits) -> Fault | None:
    if rate.observed_at > now + timedelta(seconds=SKEW_SECONDS):
        ahead = (rate.observed_at - now).total_seconds()
        return Reason.FROM_THE_FUTURE, f"observed {ahead:.0f} s from now"
    if not rate.younger_than(limits.max_age, now):
        old = (now - rate.observed_at).total_seconds()
        return Reason.STALE, f"observed {old:.0f} s ago, over {limits.max_age}"
    if own is not None and rate.observed_at == own.observed_at:
        return Reason.REPEATED, "this source has reported for that moment before"
    if own is not None and rate.observed_at < own.observed_at:
        return Reason.OUT_OF_ORDER, "this source has reported for a later moment before"
    return None


def not_given(rate: Rate, grant: Grant) -> Fault | None:
    """NOT_GIVEN for an asset outside the provider's own."""
    if grant.assets is None or rate.asset in grant.assets:
        return None
    return Reason.NOT_GIVEN, f"{rate.asset} is none of the assets given to this provider"


def too_many(rate: Rate, market: Market, grant: Grant) -> Fault | None:
    """TOO_MANY_PAIRS for one pair more than a provider may have."""
    if market.of(rate.source) is not None or grant.pairs < PAIRS_MAX:
        return None
    return Reason.TOO_MANY_PAIRS, f"this provider has rates of {PAIRS_MAX} pairs"


def _fault_in_band(rate: Rate, market: Market, now: datetime, limits: RateLimits) -> Fault | None:
    if rate.from_provider:
        bounds = market.bounds(rate.source, now, limits)
        if bounds is None:
            return Reason.NEW_PAIR, "no source has an accepted rate of this pair"
    else:
        bounds = _bounds_of_feed(rate, market, now, limits)
    if bounds is None or limits.allow(rate.rate, bounds.below, bounds.above):
        return None
    part = f"{limits.band * 100:f}".rstrip("0").rstrip(".")
    prices = " to ".join(str(price) for price in sorted({bounds.below, bounds.above}))
    return Reason.OUT_OF_BAND, f"more than {part} % from {prices} of {bounds.whose}"


def _bounds_of_feed(rate: Rate, market: Market, now: datetime, limits: RateLimits) -> Bounds | None:
    """A feed's own last word; after a silence what several others agree on: one alone cannot keep a feed out."""
    own = market.of(rate.source)
    if own is not None and own.younger_than(limits.max_age, now):
        return Bounds(own.rate, own.rate, own.source)
    if len(market.others(rate.source, now, limits)) < 2:
        return None
    return market.bounds(rate.source, now, limits)
