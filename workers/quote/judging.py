"""Which reports of rates are good. Pure: no I/O, no clock, no ids.

In: a report as it came (texts), the rates we have, the database's time. Out: the `Rate`, or `Faulty` with its reason.
Must stay true: nothing here raises, whatever a report holds; a rate that passes is positive, fits
DECIMAL(18,8), is later than the same source's last one and near the last good one.

The rules, first match wins: MALFORMED, NOT_A_NUMBER, NOT_POSITIVE, ABSURD (what it says), FROM_THE_FUTURE,
STALE (when), REPEATED, OUT_OF_ORDER (against the same source's last good rate), OUT_OF_BAND (against the
reference: the rate that quotes would use now; without one, the feed's while it is young enough; without either
any rate passes).
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import ROUND_HALF_EVEN, Context, Decimal

from contracts.rates import Rate, Reason, quotable
from contracts.runtime.times import from_wire

DECIMALS = 8
LARGEST = Decimal("9999999999.99999999")
"""DECIMAL(18,8)."""
SKEW_SECONDS = 5
"""How far a source's clock may be ahead of the database's."""
_ASSET = re.compile(r"[A-Z0-9]{2,16}")
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
class Limits:
    """Durations in seconds; `band` as a part of the reference (0.2: a fifth)."""

    fresh: int
    max_age: int
    band: Decimal


def judge(
    report: RateReport, known: Iterable[Rate], now: datetime, limits: Limits
) -> Rate | Faulty:
    """The rate in a report, or what is wrong with it. `known`: the last good rates of all sources of its pair."""
    rate = read(report, now)
    if isinstance(rate, Faulty):
        return rate
    rates = list(known)
    own = next((one for one in rates if one.source == rate.source), None)
    fault = _fault_in_time(rate, own, now, limits) or _fault_in_band(rate, rates, now, limits)
    return Faulty(report, *fault) if fault else rate


def read(report: RateReport, now: datetime) -> Rate | Faulty:
    """What the report says, if it says anything: no comparison with other rates or the clock."""
    if not _ASSET.fullmatch(report.asset):
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


def _fault_in_time(rate: Rate, own: Rate | None, now: datetime, limits: Limits) -> Fault | None:
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


def _fault_in_band(rate: Rate, known: list[Rate], now: datetime, limits: Limits) -> Fault | None:
    reference = _reference(rate, known, now, limits)
    if reference is None:
        return None
    if abs(rate.rate - reference.rate) <= reference.rate * limits.band:
        return None
    part = f"{limits.band * 100:f}".rstrip("0").rstrip(".")
    return Reason.OUT_OF_BAND, f"more than {part} % from {reference.rate} of {reference.source}"


def _reference(rate: Rate, known: list[Rate], now: datetime, limits: Limits) -> Rate | None:
    """What quotes would use now; else the feed's word; a feed is held against its own last word first."""
    if not rate.from_provider:
        own = [one for one in known if one.source == rate.source]
        if own and own[0].younger_than(limits.max_age, now):
            return own[0]
    chosen = quotable(known, now, fresh_seconds=limits.fresh, max_age_seconds=limits.max_age)
    if chosen is not None:
        return chosen
    feeds = [one for one in known if not one.from_provider]
    return quotable(feeds, now, fresh_seconds=limits.fresh, max_age_seconds=limits.max_age)
