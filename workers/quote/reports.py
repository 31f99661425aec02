"""Judged reports become rows and events, whichever way they came.

In: reports in order, an open transaction. Out: for each the stored `Rate` or the `Quarantined` row; the events.
Must stay true: reports are judged in order on what those before them left; rates, quarantine and events are one
transaction.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal

from contracts.command_ids import EPOCH
from contracts.events import RateQuarantined, RateUpdated
from contracts.rates import Rate, rate_resource
from contracts.runtime.settings import Settings
from db import rates
from db.messages.outbox import NewEvent
from db.mysql.database import Transaction
from db.rates import Pair
from workers.quote.judging import Faulty, Limits, RateReport, judge


@dataclass(frozen=True, slots=True)
class Quarantined:
    """A report that was put aside, by the id of its row."""

    id: int
    faulty: Faulty


@dataclass(slots=True)
class Taken:
    """What became of a batch of reports, in their order, and what it makes known."""

    results: list[Rate | Quarantined] = field(default_factory=list)
    events: list[NewEvent] = field(default_factory=list)

    @property
    def good(self) -> list[Rate]:
        """The rates that were stored."""
        return [one for one in self.results if isinstance(one, Rate)]


def limits_of(settings: Settings) -> Limits:
    """The limits that the settings name."""
    band = Decimal(str(settings.rate_band))
    return Limits(settings.rate_fresh, settings.rate_max_age, band)


async def take(
    transaction: Transaction,
    reports: Sequence[RateReport | Faulty],
    now: datetime,
    settings: Settings,
) -> Taken:
    """Judge and store reports; a `Faulty` was found wanting before. Raises VersionConflict."""
    asked = {(r.asset, r.currency) for r in reports if isinstance(r, RateReport)}
    known = await rates.of_pairs(transaction, asked)
    limits = limits_of(settings)
    judged: list[Rate | Faulty] = []
    changes: dict[tuple[Pair, str], tuple[Rate, datetime | None]] = {}
    for report in reports:
        verdict = (
            report
            if isinstance(report, Faulty)
            else judge(report, known[report.asset, report.currency], now, limits)
        )
        judged.append(verdict)
        if isinstance(verdict, Rate):
            _note(known, changes, verdict)
    await rates.store(transaction, list(changes.values()))
    faulty = [one for one in judged if isinstance(one, Faulty)]
    ids = iter(await rates.put_aside(transaction, [_row(one) for one in faulty], now))
    results = [one if isinstance(one, Rate) else Quarantined(next(ids), one) for one in judged]
    return Taken(results, [_event(one, now, settings, n) for n, one in enumerate(results)])


def _note(
    known: dict[Pair, list[Rate]],
    changes: dict[tuple[Pair, str], tuple[Rate, datetime | None]],
    rate: Rate,
) -> None:
    """Let the next report see this rate; in the database it replaces what stood there at first."""
    key = (rate.pair, rate.source)
    replaced = {one.source: one.observed_at for one in known[rate.pair]}.get(rate.source)
    if key in changes:
        replaced = changes[key][1]
    changes[key] = (rate, replaced)
    others = [one for one in known[rate.pair] if one.source != rate.source]
    known[rate.pair] = [*others, rate]


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
