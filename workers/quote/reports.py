"""Judged reports become rows and events, whichever way they came.

In: reports in order, an open transaction. Out: for each the stored `Rate` or the `Quarantined` row; the events.
Must stay true: reports are judged in order on what those before them left; rates, what they replaced, quarantine,
the provider's own list of its reports and events are one transaction; what a provider's reports leave is bounded.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from contracts.command_ids import EPOCH
from contracts.events import RateQuarantined, RateUpdated
from contracts.rates import Rate, RateLimits, ReportStatus, rate_resource
from contracts.runtime.settings import Settings
from db import rates
from db.accounts import provider_reports
from db.accounts.provider_reports import NewReport, Via
from db.accounts.providers import Reporter
from db.messages.outbox import NewEvent
from db.mysql.database import Transaction
from db.rates import Pair, SpanRow
from workers.quote.judging import NO_GRANT, Faulty, Grant, RateReport, judge
from workers.quote.market import MINUTE, WINDOW, Market, Span


@dataclass(frozen=True, slots=True)
class Quarantined:
    """A report that was put aside, by the id of its row."""

    id: int
    faulty: Faulty


@dataclass(slots=True)
class Taken:
    """What became of a batch of reports, in their order, and what it makes known. `dropped`: older ones that went."""

    results: list[Rate | Quarantined] = field(default_factory=list)
    events: list[NewEvent] = field(default_factory=list)
    dropped: int = 0

    @property
    def good(self) -> list[Rate]:
        """The rates that were stored."""
        return [one for one in self.results if isinstance(one, Rate)]


@dataclass(slots=True)
class _Books:
    """The markets of a batch as the reports so far have left them, and what that changes in the database."""

    markets: dict[Pair, Market]
    grants: dict[str, Grant]
    limits: RateLimits
    now: datetime
    changes: dict[tuple[Pair, str], tuple[Rate, datetime | None]] = field(default_factory=dict)

    def judge(self, report: RateReport | Faulty) -> Rate | Faulty:
        """Judge one report, and let the next one see what it changed."""
        if isinstance(report, Faulty):
            return report
        pair, grant = (report.asset, report.currency), self.grants.get(report.source, NO_GRANT)
        market = self.markets[pair]
        verdict = judge(report, market, self.now, self.limits, grant)
        if isinstance(verdict, Rate):
            self._note(pair, market, verdict)
        return verdict

    def _note(self, pair: Pair, market: Market, rate: Rate) -> None:
        own, key = market.of(rate.source), (pair, rate.source)
        replaced = own.observed_at if own else None
        if key in self.changes:
            replaced = self.changes[key][1]
        elif own is None and rate.source in self.grants:
            grant = self.grants[rate.source]
            self.grants[rate.source] = replace(grant, pairs=grant.pairs + 1)
        self.markets[pair] = after = market.after(rate, self.now, self.limits)
        stored = after.of(rate.source)
        assert stored is not None, "a market holds the rate that has just come"
        self.changes[key] = (stored, replaced)

    @property
    def new_spans(self) -> list[SpanRow]:
        """What this batch replaced. A span of this minute that stood before only widens to itself."""
        minute = self.now.replace(second=0, microsecond=0)
        return [
            SpanRow(*pair, span.source, span.minute, span.lowest, span.highest)
            for pair in {pair for pair, _ in self.changes}
            for span in self.markets[pair].spans
            if span.minute == minute
        ]


async def take(
    transaction: Transaction,
    reports: Sequence[RateReport | Faulty],
    now: datetime,
    settings: Settings,
    *,
    via: Via | None = None,
    reporters: Iterable[Reporter] = (),
) -> Taken:
    """Judge and store reports; a `Faulty` was found wanting before. Raises VersionConflict.

    `via`: how providers sent them, None for a feed's; `reporters`: the providers among the sources.
    """
    limits = RateLimits.of(settings)
    books = _Books(
        await _markets(transaction, reports, now),
        await _grants(transaction, reporters),
        limits,
        now,
    )
    judged = [books.judge(report) for report in reports]
    await rates.store(transaction, list(books.changes.values()))
    await rates.add_spans(transaction, books.new_spans)
    results = await _put_aside(transaction, judged, now)
    taken = Taken(results, [_event(one, now, settings, n) for n, one in enumerate(results)])
    if via is not None:
        noted = [_noted(*one, via) for one in zip(reports, results, strict=True)]
        taken.dropped = await provider_reports.note(transaction, noted, now)
        # Only a provider can send what it likes; what a feed says is put aside once.
        sources = {one.faulty.report.source for one in results if isinstance(one, Quarantined)}
        taken.dropped += await rates.bound_quarantine(transaction, sources)
    return taken


async def _markets(
    transaction: Transaction, reports: Sequence[RateReport | Faulty], now: datetime
) -> dict[Pair, Market]:
    asked = {(r.asset, r.currency) for r in reports if isinstance(r, RateReport)}
    known = await rates.of_pairs(transaction, asked)
    spans = await rates.spans(transaction, asked, now - WINDOW - MINUTE)
    return {
        pair: Market(
            tuple(known[pair]),
            tuple(Span(s.source, s.minute, s.lowest, s.highest) for s in spans[pair]),
        )
        for pair in asked
    }


async def _grants(transaction: Transaction, reporters: Iterable[Reporter]) -> dict[str, Grant]:
    given = {one.source: one.assets for one in reporters}
    pairs = await rates.pairs_of(transaction, given)
    return {source: Grant(assets, pairs[source]) for source, assets in given.items()}


async def _put_aside(
    transaction: Transaction, judged: Sequence[Rate | Faulty], now: datetime
) -> list[Rate | Quarantined]:
    faulty = [one for one in judged if isinstance(one, Faulty)]
    ids = iter(await rates.put_aside(transaction, [_row(one) for one in faulty], now))
    return [one if isinstance(one, Rate) else Quarantined(next(ids), one) for one in judged]


def _noted(report: RateReport | Faulty, result: Rate | Quarantined, via: Via) -> NewReport:
    said = report.report if isinstance(report, Faulty) else report
    faulty = None if isinstance(result, Rate) else result.faulty
    return NewReport(
        source=said.source,
        via=via,
        status=ReportStatus.QUARANTINED if faulty else ReportStatus.ACCEPTED,
        asset=said.asset,
        currency=said.currency,
        rate=said.rate,
        observed_at=said.observed_at,
        reason=faulty.reason if faulty else None,
        detail=faulty.detail if faulty else None,
        message_id=said.message_id,
        quarantine_id=None if isinstance(result, Rate) else result.id,
    )


def _row(faulty: Faulty) -> rates.PutAside:
    report = faulty.report
    return rates.PutAside(
        source=report.source,
        asset=report.asset,
        currency=report.currency,
        rate=report.rate,
        observed_at=report.observed_at,
        reason=faulty.reason,
        detail=faulty.detail,
        message_id=report.message_id,
    )


def updated(rate: Rate, now: datetime, settings: Settings, position: int = 0) -> NewEvent:
    """RateUpdated. Rates have no version: the sequence is the transaction's time in microseconds plus the position."""
    event = RateUpdated(rate=rate_resource(rate, now, settings.rate_fresh))
    return NewEvent(event, f"rate:{rate.asset}:{rate.currency}", _micros(now) + position, 0)


def _event(
    result: Rate | Quarantined, now: datetime, settings: Settings, position: int
) -> NewEvent:
    if isinstance(result, Rate):
        return updated(result, now, settings, position)
    report = result.faulty.report
    shown = {
        "id": result.id,
        "source": report.source,
        "asset": report.asset,
        "currency": report.currency,
        "rate": report.rate,
        "observedAt": report.observed_at,
    }
    event = RateQuarantined(rate=shown, reason=str(result.faulty.reason))
    return NewEvent(event, f"quarantine:{result.id}", _micros(now), 0)


def _micros(now: datetime) -> int:
    return (now - EPOCH) // timedelta(microseconds=1)
