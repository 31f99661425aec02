"""Rates and the quarantine: all SQL of `rates`, `rate_spans`, `rate_quarantine`.

In: judged reports. Out: `contracts.rates.Rate`s (one per asset, currency and source), the prices that they replaced,
quarantined reports.
Must stay true: a source's row changes only by an UPDATE that names the observation it replaces, or by an INSERT
when there was none; whoever was quicker makes the other raise VersionConflict and judge again.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

import pymysql.err

from contracts.rates import Rate, Reason
from contracts.runtime.times import to_sql
from db.mysql.database import (
    Database,
    Row,
    Transaction,
    VersionConflict,
    is_duplicate,
    placeholders,
)
from db.rows import Select, stored

Pair = tuple[str, str]
"""(asset, currency)"""
_RATES = Select(Rate)
QUARANTINE_KEPT_EACH = 5000
"""Reports of one source that are kept in the quarantine while nobody accepts them: the newest."""


async def everything(reader: Database | Transaction) -> list[Rate]:
    """The last good rate of every source, for every pair."""
    fetch = reader.fetch if isinstance(reader, Transaction) else reader.read
    rows = await fetch(f"SELECT {_RATES.columns} FROM rates ORDER BY asset, currency, source")
    return _RATES.rows(rows)


async def any_younger_than(database: Database, seconds: float) -> bool:
    """Whether anything at all could be quoted now."""
    rows = await database.read(
        "SELECT 1 FROM rates WHERE observed_at >= UTC_TIMESTAMP(6) - INTERVAL %s SECOND LIMIT 1",
        seconds,
    )
    return bool(rows)


async def of_pairs(reader: Database | Transaction, pairs: Iterable[Pair]) -> dict[Pair, list[Rate]]:
    """The last good rates of these pairs, by pair; a pair that nobody knows has none."""
    wanted = sorted(set(pairs))
    found: dict[Pair, list[Rate]] = {pair: [] for pair in wanted}
    if not wanted:
        return found
    condition, values = _of_these(wanted)
    fetch = reader.fetch if isinstance(reader, Transaction) else reader.read
    rows = await fetch(f"SELECT {_RATES.columns} FROM rates WHERE {condition}", *values)
    for rate in _RATES.rows(rows):
        if rate.pair in found:
            found[rate.pair].append(rate)
    return found


def _of_these(pairs: Sequence[Pair]) -> tuple[str, list[str]]:
    """A condition that holds for these pairs (and perhaps for some more), by the front of the primary key.

    The servers differ in what a comparison of row constructors may use an index for.
    """
    assets = sorted({asset for asset, _ in pairs})
    currencies = sorted({currency for _, currency in pairs})
    condition = f"asset IN ({placeholders(assets)}) AND currency IN ({placeholders(currencies)})"
    return condition, [*assets, *currencies]


async def pairs_of(transaction: Transaction, sources: Iterable[str]) -> dict[str, int]:
    """How many pairs each of these sources has rates of."""
    wanted = sorted(set(sources))
    if not wanted:
        return {}
    rows = await transaction.fetch(
        f"SELECT source, COUNT(*) FROM rates WHERE source IN ({placeholders(wanted)}) GROUP BY source",
        *wanted,
    )
    return dict.fromkeys(wanted, 0) | {row[0]: row[1] for row in rows}


async def store(transaction: Transaction, changes: Sequence[tuple[Rate, datetime | None]]) -> None:
    """Store rates; the second of each is the observation that it replaces, None for the source's first.

    Raises VersionConflict when another report of that source was quicker.
    """
    for rate, replaced in changes:
        if replaced is None:
            await _insert(transaction, rate)
            continue
        count = await transaction.execute(
            "UPDATE rates SET rate = %s, observed_at = %s, received_at = %s, accepted_at = %s "
            "WHERE asset = %s AND currency = %s AND source = %s AND observed_at = %s",
            *_values(rate),
            *rate.pair,
            rate.source,
            to_sql(replaced),
        )
        if count != 1:
            raise VersionConflict(f"{rate.source} has another rate of {rate.pair} by now")


async def _insert(transaction: Transaction, rate: Rate) -> None:
    values = stored(rate)
    try:
        await transaction.insert("rates", tuple(values), [tuple(values.values())])
    except pymysql.err.IntegrityError as error:
        if is_duplicate(error):
            raise VersionConflict(f"{rate.source} has a rate of {rate.pair} by now") from error
        raise


def _values(rate: Rate) -> tuple[object, ...]:
    accepted_at = to_sql(rate.accepted_at) if rate.accepted_at else None
    return rate.rate, to_sql(rate.observed_at), to_sql(rate.received_at), accepted_at


async def forget_source(transaction: Transaction, source: str) -> None:
    """A source is believed no longer: its rates go, and what they were."""
    await transaction.execute("DELETE FROM rates WHERE source = %s", source)
    await transaction.execute("DELETE FROM rate_spans WHERE source = %s", source)


async def forget_old(database: Database, keep: timedelta, limit: int) -> int:
    """Delete at most `limit` rates that came longer than `keep` ago; how many were found.

    They price nothing any more.
    """
    over = "received_at < UTC_TIMESTAMP(6) - INTERVAL %s SECOND"
    seconds = int(keep.total_seconds())
    # Found without a lock: a scan that locks would hold up every report.
    rows = await database.read(
        f"SELECT asset, currency, source FROM rates WHERE {over} "
        "ORDER BY asset, currency, source LIMIT %s",
        seconds,
        limit,
    )
    gone = f"DELETE FROM rates WHERE asset = %s AND currency = %s AND source = %s AND {over}"
    async with database.transaction() as transaction:
        for asset, currency, source in rows:
            transaction.later(gone, asset, currency, source, seconds)
    return len(rows)


# -- spans -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class SpanRow:
    """The lowest and the highest price of a source that were replaced within one minute."""

    asset: str
    currency: str
    source: str
    minute: datetime
    lowest: Decimal
    highest: Decimal

    @property
    def pair(self) -> Pair:
        """(asset, currency)."""
        return self.asset, self.currency


_SPANS = Select(SpanRow)


async def spans(
    transaction: Transaction, pairs: Iterable[Pair], since: datetime
) -> dict[Pair, list[SpanRow]]:
    """The spans of these pairs whose minute began after a moment, by pair."""
    wanted = sorted(set(pairs))
    found: dict[Pair, list[SpanRow]] = {pair: [] for pair in wanted}
    if not wanted:
        return found
    condition, values = _of_these(wanted)
    rows = await transaction.fetch(
        f"SELECT {_SPANS.columns} FROM rate_spans WHERE {condition} AND minute > %s",
        *values,
        to_sql(since),
    )
    for row in _SPANS.rows(rows):
        if row.pair in found:
            found[row.pair].append(row)
    return found


async def add_spans(transaction: Transaction, rows: Iterable[SpanRow]) -> None:
    """Widen spans, or begin them."""
    # In the order of the key, so that two transactions wait for each other and never in a circle.
    ordered = sorted(rows, key=lambda row: (row.pair, row.source, row.minute))
    if not ordered:
        return
    values = [value for row in ordered for value in stored(row).values()]
    await transaction.execute(
        f"INSERT INTO rate_spans ({_SPANS.columns}) VALUES "
        + ", ".join([f"({placeholders(range(_SPANS.width))})"] * len(ordered))
        + " ON DUPLICATE KEY UPDATE lowest = LEAST(lowest, VALUES(lowest)), "
        "highest = GREATEST(highest, VALUES(highest))",
        *values,
    )


async def forget_spans_of(transaction: Transaction, pair: Pair) -> None:
    """What a pair's prices were binds nobody any more."""
    await transaction.execute("DELETE FROM rate_spans WHERE asset = %s AND currency = %s", *pair)


async def forget_spans(database: Database, keep: timedelta, limit: int) -> int:
    """Delete at most `limit` spans older than `keep`; how many went."""
    return await database.write(
        "DELETE FROM rate_spans WHERE minute < UTC_TIMESTAMP() - INTERVAL %s SECOND "
        "ORDER BY minute LIMIT %s",
        int(keep.total_seconds()),
        limit,
    )


# -- quarantine ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class PutAside:
    """A report that is not used, as it came."""

    source: str
    asset: str
    currency: str
    rate: str
    observed_at: str
    reason: Reason
    detail: str
    message_id: str | None = None


@dataclass(frozen=True, slots=True)
class QuarantineRow:
    """A report in the quarantine. `accepted_by`: the admin's account id, None while it is put aside."""

    id: int
    report: PutAside
    accepted_by: int | None
    received_at: datetime
    updated_at: datetime


BOUND_STEP = 1000
"""More than one batch of reports adds."""


@dataclass(frozen=True, slots=True)
class _Kept:
    """What a row of `rate_quarantine` says beside the report."""

    id: int
    accepted_by: int | None
    received_at: datetime
    updated_at: datetime


_REPORTS, _KEPT = Select(PutAside), Select(_Kept)
_QUARANTINE = f"{_REPORTS.columns}, {_KEPT.columns}"
_QUARANTINE_WIDTHS = {"asset": 64, "currency": 64, "rate": 128, "observed_at": 64, "detail": 500}


async def put_aside(
    transaction: Transaction, reports: Sequence[PutAside], now: datetime
) -> list[int]:
    """Keep reports that are not used; their ids in order. Texts are cut to what the columns hold."""
    if not reports:
        return []
    at = to_sql(now)
    rows = [
        (
            one.source[:64],
            *(getattr(one, name)[:width] for name, width in _QUARANTINE_WIDTHS.items()),
            str(one.reason),
            one.message_id and one.message_id[:255],
            at,
            at,
        )
        for one in reports
    ]
    columns = ("source", *_QUARANTINE_WIDTHS, "reason", "message_id", "received_at", "updated_at")
    first = await transaction.insert("rate_quarantine", columns, rows)
    return [first + n for n in range(len(rows))]


async def bound_quarantine(transaction: Transaction, sources: Iterable[str]) -> int:
    """Of these sources only the newest reports stay that nobody has accepted; how many went."""
    gone = 0
    for source in sorted(set(sources)):
        # Found without a lock, deleted by key: a range would hold up other sources' reports.
        rows = await transaction.fetch(
            "SELECT id FROM rate_quarantine WHERE source = %s AND status = 'QUARANTINED' "
            "ORDER BY id DESC LIMIT %s OFFSET %s",
            source,
            BOUND_STEP,
            QUARANTINE_KEPT_EACH,
        )
        if rows:
            gone += await transaction.execute(
                f"DELETE FROM rate_quarantine WHERE id IN ({placeholders(rows)}) "
                "AND status = 'QUARANTINED'",
                *(row[0] for row in rows),
            )
    return gone


async def quarantine_page(
    database: Database, *, status: str | None, below: int | None, limit: int
) -> list[QuarantineRow]:
    """The newest reports of the quarantine with ids under `below`; all, or of one status."""
    rows = await database.read(
        f"SELECT {_QUARANTINE} FROM rate_quarantine "
        "WHERE id < %s AND (%s IS NULL OR status = %s) ORDER BY id DESC LIMIT %s",
        2**63 - 1 if below is None else below,
        status,
        status,
        limit,
    )
    return [_quarantine_row(row) for row in rows]


async def quarantined(reader: Database | Transaction, row_id: int) -> QuarantineRow | None:
    """One report of the quarantine, without a lock."""
    fetch = reader.fetch if isinstance(reader, Transaction) else reader.read
    rows = await fetch(f"SELECT {_QUARANTINE} FROM rate_quarantine WHERE id = %s", row_id)
    return _quarantine_row(rows[0]) if rows else None


async def mark_accepted(transaction: Transaction, row_id: int, admin: int, now: datetime) -> None:
    """The report is used after all. Raises VersionConflict when another admin was quicker."""
    count = await transaction.execute(
        "UPDATE rate_quarantine SET status = 'ACCEPTED', accepted_by = %s, updated_at = %s "
        "WHERE id = %s AND status = 'QUARANTINED'",
        admin,
        to_sql(now),
        row_id,
    )
    if count != 1:
        raise VersionConflict(f"report {row_id} was accepted")


async def forget_quarantine(database: Database, keep: timedelta, limit: int) -> int:
    """Delete at most `limit` reports of the quarantine older than `keep`; how many went."""
    return await database.write(
        "DELETE FROM rate_quarantine WHERE received_at < UTC_TIMESTAMP(6) - INTERVAL %s SECOND "
        "ORDER BY received_at LIMIT %s",
        int(keep.total_seconds()),
        limit,
    )


def _quarantine_row(row: Row) -> QuarantineRow:
    report, kept = _REPORTS.row(row), _KEPT.row(_REPORTS.rest(row))
    return QuarantineRow(kept.id, report, kept.accepted_by, kept.received_at, kept.updated_at)
