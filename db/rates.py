"""Rates, providers and the quarantine: all SQL of `rates`, `rate_quarantine`, `providers`, `provider_messages`.

In: judged reports. Out: `contracts.rates.Rate`s (one per asset, currency and source), quarantined reports.
Must stay true: a source's row changes only by an UPDATE that names the observation it replaces, or by an INSERT
when there was none; whoever was quicker makes the other raise VersionConflict and judge again.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

import pymysql.err

from contracts.rates import Rate
from contracts.times import from_sql, to_sql
from db.mysql import Database, Row, Transaction, VersionConflict, is_duplicate, placeholders

Pair = tuple[str, str]
"""(asset, currency)"""
_COLUMNS = "asset, currency, source, rate, observed_at, received_at"


async def everything(reader: Database | Transaction) -> list[Rate]:
    """The last good rate of every source, for every pair."""
    fetch = reader.fetch if isinstance(reader, Transaction) else reader.read
    rows = await fetch(f"SELECT {_COLUMNS} FROM rates ORDER BY asset, currency, source")  # noqa: S608 - our own names
    return [_rate(row) for row in rows]


async def of_pairs(transaction: Transaction, pairs: Iterable[Pair]) -> dict[Pair, list[Rate]]:
    """The last good rates of these pairs, by pair; a pair that nobody knows has none."""
    wanted = sorted(set(pairs))
    found: dict[Pair, list[Rate]] = {pair: [] for pair in wanted}
    if not wanted:
        return found
    # By asset: the servers differ in what a comparison of row constructors may use an index for.
    assets = sorted({asset for asset, _ in wanted})
    rows = await transaction.fetch(
        f"SELECT {_COLUMNS} FROM rates WHERE asset IN ({placeholders(assets)})",  # noqa: S608 - our own names
        *assets,
    )
    for rate in map(_rate, rows):
        if rate.pair in found:
            found[rate.pair].append(rate)
    return found


async def store(transaction: Transaction, changes: Sequence[tuple[Rate, datetime | None]]) -> None:
    """Store rates; the second of each is the observation that it replaces, None for the source's first.

    Raises VersionConflict when another report of that source was quicker.
    """
    for rate, replaced in changes:
        if replaced is None:
            await _insert(transaction, rate)
            continue
        count = await transaction.execute(
            "UPDATE rates SET rate = %s, observed_at = %s, received_at = %s "
            "WHERE asset = %s AND currency = %s AND source = %s AND observed_at = %s",
            rate.rate,
            to_sql(rate.observed_at),
            to_sql(rate.received_at),
            *rate.pair,
            rate.source,
            to_sql(replaced),
        )
        if count != 1:
            raise VersionConflict(f"{rate.source} has another rate of {rate.pair} by now")


async def _insert(transaction: Transaction, rate: Rate) -> None:
    columns = tuple(_COLUMNS.split(", "))
    row = (*rate.pair, rate.source, rate.rate, to_sql(rate.observed_at), to_sql(rate.received_at))
    try:
        await transaction.insert("rates", columns, [row])
    except pymysql.err.IntegrityError as error:
        if is_duplicate(error):
            raise VersionConflict(f"{rate.source} has a rate of {rate.pair} by now") from error
        raise


async def forget_source(transaction: Transaction, source: str) -> None:
    """A source is believed no longer: its rates go."""
    await transaction.execute("DELETE FROM rates WHERE source = %s", source)


def _rate(row: Row) -> Rate:
    return Rate(row[0], row[1], row[2], row[3], from_sql(row[4]), from_sql(row[5]))


# -- providers -------------------------------------------------------------------------------------


async def provider_names(transaction: Transaction, user_ids: Iterable[int]) -> dict[int, str]:
    """Account -> provider name, for those that `scripts/provider` has added and not removed."""
    wanted = sorted(set(user_ids))
    rows = await transaction.fetch(
        "SELECT user_id, name FROM providers "  # noqa: S608 - our own names
        f"WHERE user_id IN ({placeholders(wanted)}) AND removed_at IS NULL",
        *wanted,
    )
    return {row[0]: row[1] for row in rows}


async def is_provider(transaction: Transaction, name: str) -> bool:
    """Whether a provider of that name was added and not removed, and its account is active."""
    rows = await transaction.fetch(
        "SELECT 1 FROM providers p JOIN users u ON u.id = p.user_id "
        "WHERE p.name = %s AND p.removed_at IS NULL AND u.status = 'ACTIVE'",
        name,
    )
    return bool(rows)


async def note_message(transaction: Transaction, digest: bytes, now: datetime) -> bool:
    """Remember a provider's message; False when it was dealt with before."""
    return bool(
        await transaction.execute(
            "INSERT IGNORE INTO provider_messages (digest, received_at) VALUES (%s, %s)",
            digest,
            to_sql(now),
        )
    )


async def forget_messages(database: Database, keep: timedelta, limit: int) -> int:
    """Delete at most `limit` remembered messages older than `keep`; how many went."""
    return await database.write(
        "DELETE FROM provider_messages WHERE received_at < UTC_TIMESTAMP(6) - INTERVAL %s SECOND "
        "ORDER BY received_at LIMIT %s",
        int(keep.total_seconds()),
        limit,
    )
