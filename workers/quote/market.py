"""What a report of a pair is held against. Pure: no I/O, no clock, no ids.

In: the last good rate of each source, the lowest and highest prices that rates since replaced have had, minute by
minute. Out: the bounds for the next report; the same market after a rate has come.
Must stay true: `Bounds` of somebody who reports alone hold every price that could have been quoted in the last ten
minutes, so that no walk of small steps leaves the band; a minute of a source is one `Span`, however many reports it
had, so that the memory is bounded.

What is measured in minutes is kept a little longer than ten: a span counts until its whole minute is too old.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal

from contracts.rates import Rate, RateLimits, choose, median

WINDOW = timedelta(minutes=10)
MINUTE = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Span:
    """Prices of a source that were replaced, or no longer believed, within one minute of the database's clock."""

    source: str
    minute: datetime
    lowest: Decimal
    highest: Decimal

    def joined(self, other: "Span") -> "Span":
        """Both, of the same source and minute."""
        lowest, highest = min(self.lowest, other.lowest), max(self.highest, other.highest)
        return replace(self, lowest=lowest, highest=highest)


@dataclass(frozen=True, slots=True)
class Bounds:
    """A report may be the band below the one price and the band above the other. `whose`: for people."""

    below: Decimal
    above: Decimal
    whose: str


@dataclass(frozen=True, slots=True)
class Market:
    """One pair: the last good rate of each source, and the spans of what they replaced."""

    rates: tuple[Rate, ...] = ()
    spans: tuple[Span, ...] = ()

    def of(self, source: str) -> Rate | None:
        """The last good rate of a source."""
        return next((rate for rate in self.rates if rate.source == source), None)

    def others(self, source: str, now: datetime, limits: RateLimits) -> list[Rate]:
        """The fresh rates of all other sources."""
        fresh = (one for one in self.rates if one.younger_than(limits.fresh, now))
        return [one for one in fresh if one.source != source]

    def bounds(self, source: str, now: datetime, limits: RateLimits) -> Bounds | None:
        """What a report of this source is held against now; None where nobody has said anything of the pair."""
        others = self.others(source, now, limits)
        if middle := median([one.rate for one in others]):
            return Bounds(*middle, whose=_names(others))
        prices = self._window(now, limits)
        # Near each of them: near the highest from below, and near the lowest from above.
        return Bounds(max(prices), min(prices), "the last ten minutes") if prices else None

    def _window(self, now: datetime, limits: RateLimits) -> list[Decimal]:
        """Every price that may have been quoted in the last ten minutes; the last one before where there was none."""
        prices = [one.rate for one in self.rates if self._recent(one, now, limits)]
        for span in self.spans:
            if span.minute + MINUTE > now - WINDOW:
                prices += (span.lowest, span.highest)
        standing = choose(self.rates, now, limits)
        return prices if standing is None else [*prices, standing.rate]

    def after(self, rate: Rate, now: datetime, limits: RateLimits) -> "Market":
        """With this rate in the place of its source's last one. What was believed before it is remembered."""
        own, standing = self.of(rate.source), choose(self.rates, now, limits)
        gone = {one.source: one for one in (own, standing) if one is not None}
        market = self
        for one in gone.values():
            if one is standing or self._recent(one, now, limits):
                market = market._with_span(one, now)
        kept = tuple(one for one in self.rates if one.source != rate.source)
        carried = replace(rate, accepted_at=own.accepted_at) if own else rate
        return replace(market, rates=(*kept, carried))

    def accepting(self, rate: Rate, now: datetime) -> "Market":
        """With this rate, which an admin has accepted: what was before it binds nobody any more."""
        kept = tuple(one for one in self.rates if one.source != rate.source)
        return Market((*kept, replace(rate, received_at=now, accepted_at=now)))

    def _recent(self, rate: Rate, now: datetime, limits: RateLimits) -> bool:
        """Whether it may have been quoted in the last ten minutes, and no admin has accepted another price since."""
        accepted = (one.accepted_at for one in self.rates if one.accepted_at)
        young = rate.younger_than(WINDOW.total_seconds() + limits.fresh, now)
        return young and all(rate.received_at >= moment for moment in accepted)

    def _with_span(self, rate: Rate, now: datetime) -> "Market":
        new = Span(rate.source, now.replace(second=0, microsecond=0), rate.rate, rate.rate)
        same = [s for s in self.spans if (s.source, s.minute) == (new.source, new.minute)]
        for one in same:
            new = new.joined(one)
        return replace(self, spans=(*(s for s in self.spans if s not in same), new))


def _names(rates: Sequence[Rate]) -> str:
    return ", ".join(sorted(one.source for one in rates))[:200]
