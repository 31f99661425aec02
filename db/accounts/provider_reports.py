"""What providers sent and what became of it: all SQL of `provider_reports`, `provider_messages`.

In: reports by how they ended; messages of the broker by their digest. Out: a provider's newest reports; whether a
message was dealt with before.
Must stay true: of each source only the newest reports are kept, whatever it sends; a message is remembered with its
effect, in the same transaction.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum, auto
from typing import Literal

from contracts.rates import Reason, ReportStatus
from contracts.runtime.times import from_sql, to_sql
from db.mysql.database import Database, Row, Transaction, placeholders

KEPT_EACH = 1000
"""Reports of one source that are kept: the newest."""
Via = Literal["HTTP", "BROKER"]


@dataclass(frozen=True, slots=True)
class NewReport:
    """A report about to be noted, its texts as they came."""

    source: str
    via: Via
    status: ReportStatus
    asset: str
    currency: str
    rate: str
    observed_at: str
    reason: Reason | None = None
    detail: str | None = None
    message_id: str | None = None
    quarantine_id: int | None = None


@dataclass(frozen=True, slots=True)
class ReportRow:
    """A noted report."""

    id: int
    report: NewReport
    received_at: datetime


_WIDTHS = {
    "source": 64,
    "via": 6,
    "status": 11,
    "asset": 64,
    "currency": 64,
    "rate": 128,
    "observed_at": 64,
    "reason": 32,
    "detail": 500,
    "message_id": 255,
}
_COLUMNS = ", ".join([*_WIDTHS, "quarantine_id"])


async def note(transaction: Transaction, reports: Sequence[NewReport], now: datetime) -> int:
    """Note reports, texts cut to what the columns hold; how many older ones had to go for them."""
    if not reports:
        return 0
    rows = [
        (
            *(_cut(getattr(one, name), width) for name, width in _WIDTHS.items()),
            one.quarantine_id,
            to_sql(now),
        )
        for one in reports
    ]
    await transaction.insert("provider_reports", (*_WIDTHS, "quarantine_id", "received_at"), rows)
    gone = 0
    for source in sorted({one.source for one in reports}):
        gone += await _bound(transaction, source)
    return gone


def _cut(text: str | None, width: int) -> str | None:
    return None if text is None else str(text)[:width]


async def _bound(transaction: Transaction, source: str) -> int:
    """Delete what is older than the newest of this source; found without a lock, deleted by key."""
    rows = await transaction.fetch(
        "SELECT id FROM provider_reports WHERE source = %s ORDER BY id DESC LIMIT %s OFFSET %s",
        source,
        KEPT_EACH,
        KEPT_EACH,
    )
    if not rows:
        return 0
    return await transaction.execute(
        f"DELETE FROM provider_reports WHERE id IN ({placeholders(rows)})",
        *(row[0] for row in rows),
    )


async def accepted(transaction: Transaction, quarantine_id: int) -> None:
    """An admin has accepted a report after all."""
    await transaction.execute(
        "UPDATE provider_reports SET status = 'ACCEPTED' WHERE quarantine_id = %s", quarantine_id
    )


async def listed(
    database: Database,
    sources: Sequence[str],
    *,
    status: str | None,
    below: int | None,
    limit: int,
) -> list[ReportRow]:
    """The newest reports of these sources with ids under `below`; all, or of one status."""
    conditions, values = [f"source IN ({placeholders(sources)})", "id < %s"], [*sources]
    if status is not None:
        conditions.append("status = %s")
    rows = await database.read(
        f"SELECT {_COLUMNS}, id, received_at FROM provider_reports "
        f"WHERE {' AND '.join(conditions)} ORDER BY id DESC LIMIT %s",
        *values,
        2**63 - 1 if below is None else below,
        *([status] if status is not None else []),
        limit,
    )
    return [_row(row) for row in rows]


def _row(row: Row) -> ReportRow:
    source, via, status, asset, currency, rate, observed_at, reason, detail, message_id, put = row[
        :11
    ]
    report = NewReport(
        source=source,
        via=via,
        status=ReportStatus(status),
        asset=asset,
        currency=currency,
        rate=rate,
        observed_at=observed_at,
        reason=Reason(reason) if reason else None,
        detail=detail,
        message_id=message_id,
        quarantine_id=put,
    )
    return ReportRow(row[11], report, from_sql(row[12]))


async def forget_reports(database: Database, keep: timedelta, limit: int) -> int:
    """Delete at most `limit` reports older than `keep`; how many went."""
    return await database.write(
        "DELETE FROM provider_reports WHERE received_at < UTC_TIMESTAMP(6) - INTERVAL %s SECOND "
        "ORDER BY received_at LIMIT %s",
        int(keep.total_seconds()),
        limit,
    )


# -- messages of the broker ------------------------------------------------------------------------


class Seen(Enum):
    """Whether a message came before."""

    NEW = auto()
    REPEATED = auto()
    """The same message: its effect is there."""
    ANOTHER = auto()
    """Another message under the id of one that was dealt with."""


async def note_message(
    transaction: Transaction, digest: bytes, content: bytes, now: datetime
) -> Seen:
    """Remember a message. digest: over provider and message id; content: over its body, 32 bytes each."""
    new = await transaction.execute(
        "INSERT INTO provider_messages (digest, content, received_at) VALUES (%s, %s, %s) "
        "ON DUPLICATE KEY UPDATE digest = VALUES(digest)",
        digest,
        content,
        to_sql(now),
    )
    if new:
        return Seen.NEW
    rows = await transaction.fetch(
        "SELECT content FROM provider_messages WHERE digest = %s LOCK IN SHARE MODE", digest
    )
    # Those remembered by an older release have no content.
    same = not rows or rows[0][0] is None or rows[0][0] == content
    return Seen.REPEATED if same else Seen.ANOTHER


async def forget_messages(database: Database, keep: timedelta, limit: int) -> int:
    """Delete at most `limit` remembered messages older than `keep`; how many went."""
    return await database.write(
        "DELETE FROM provider_messages WHERE received_at < UTC_TIMESTAMP(6) - INTERVAL %s SECOND "
        "ORDER BY received_at LIMIT %s",
        int(keep.total_seconds()),
        limit,
    )
