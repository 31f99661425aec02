"""Scans in SQL: what was ruled before, who let a ticket in, what is ruled now.

In: scans of a gate's event. Out: their rulings.
Must stay true: read after the tickets are locked, so that the admission of a used ticket is seen; a scan is stored once
(event, id, kind), a ticket is admitted once: both by unique keys, whose duplicates end the transaction.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from contracts.runtime.times import from_sql, to_sql
from contracts.tickets.scans import Admission, Ruling
from db.mysql.database import Row, Statement, Transaction, placeholders


@dataclass(frozen=True, slots=True)
class StoredScan:
    """A scan that was ruled on."""

    id: bytes
    offline: bool
    ticket_id: int | None
    ruling: Ruling


@dataclass(frozen=True, slots=True)
class NewScan:
    """A scan about to be stored."""

    event_id: int
    id: bytes
    offline: bool
    gate_id: int
    ticket_id: int | None
    version: int | None
    ruling: Ruling
    scanned_at: datetime


def stored_queries(keys: Iterable[tuple[int, bytes]]) -> list[Statement]:
    """The queries of `stored`, one for each event, for whoever reads ahead."""
    by_event: dict[int, list[bytes]] = {}
    for event_id, scan_id in sorted(set(keys)):
        by_event.setdefault(event_id, []).append(scan_id)
    return [
        Statement(
            "SELECT event_id, id, offline, ticket_id, ruling FROM scans "
            f"WHERE event_id = %s AND id IN ({placeholders(ids)})",
            (event_id, *ids),
        )
        for event_id, ids in by_event.items()
    ]


async def stored(
    transaction: Transaction, keys: Iterable[tuple[int, bytes]]
) -> dict[tuple[int, bytes, bool], StoredScan]:
    """Scans by (event, id, whether offline), for those (event, id) that were ruled on. Takes no lock."""
    rows: list[Row] = []
    for query in stored_queries(keys):
        rows += await transaction.fetch(query.sql, *query.parameters)
    return {
        (event_id, scan_id, bool(offline)): StoredScan(
            scan_id, bool(offline), ticket_id, Ruling(ruling)
        )
        for event_id, scan_id, offline, ticket_id, ruling in rows
    }


def admissions_query(ticket_ids: Iterable[int]) -> Statement:
    """The query of `admissions`, for whoever reads ahead (`ticket_ids` not empty)."""
    wanted = sorted(set(ticket_ids))
    return Statement(
        "SELECT s.admitted_ticket, s.id, s.gate_id, g.name, s.scanned_at FROM scans s "
        f"JOIN gates g ON g.id = s.gate_id WHERE s.admitted_ticket IN ({placeholders(wanted)})",
        tuple(wanted),
    )


async def admissions(transaction: Transaction, ticket_ids: Iterable[int]) -> dict[int, Admission]:
    """Ticket id -> the scan that it was admitted by, for those that were. The tickets are locked."""
    query = admissions_query(ticket_ids)
    if not query.parameters:
        return {}
    rows = await transaction.fetch(query.sql, *query.parameters)
    return {row[0]: Admission(row[1], row[2], row[3], from_sql(row[4])) for row in rows}


def add(transaction: Transaction, new: Sequence[NewScan], now: datetime) -> None:
    """Store scans with the next statement."""
    at = to_sql(now)
    columns = (
        "event_id",
        "id",
        "offline",
        "gate_id",
        "ticket_id",
        "version",
        "ruling",
        "scanned_at",
        "received_at",
    )
    rows = [
        (
            scan.event_id,
            scan.id,
            int(scan.offline),
            scan.gate_id,
            scan.ticket_id,
            scan.version,
            str(scan.ruling),
            to_sql(scan.scanned_at),
            at,
        )
        for scan in new
    ]
    transaction.insert_later("scans", columns, rows)
