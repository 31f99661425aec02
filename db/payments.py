"""Payments and receipts: all SQL of `payments` and `payment_receipts`.

In: rows of a decision. Out: `contracts.payments` values with aware UTC times.
Must stay true: a payment is changed only after it was locked by its primary key, ids ascending, after its
order; by an UPDATE that names the status it had. Ids are found by a plain read before that: what such a read
missed shows as a duplicate key or a short count, raises VersionConflict, and the transaction runs again on a
new snapshot. Updates force the primary key as well: with few pending rows the optimizer would rather lock a
range of the index on status.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

import pymysql.err

from contracts.orders import PaymentStatus
from contracts.payments import Quote, Receipt
from contracts.resources import PaymentRow, ReceiptRow
from contracts.runtime.times import to_sql
from db.mysql.database import (
    Database,
    Transaction,
    VersionConflict,
    is_duplicate,
    placeholders,
)
from db.rows import PAYMENTS, Select

_INSERTED = (
    "order_id",
    "asset",
    "quote_rate",
    "amount_crypto",
    "total_cost",
    "items_version",
    "expires_at",
    "rate_source",
    "rate_observed_at",
    "command_id",
    "created_at",
    "updated_at",
)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a payment belongs; none of it ever changes."""

    payment_id: int
    order_id: int
    event_id: int


@dataclass(frozen=True, slots=True)
class NewQuote:
    """A pending payment about to be stored."""

    order_id: int
    asset: str
    quote_rate: Decimal
    amount_crypto: Decimal
    total_cost: Decimal
    items_version: int
    expires_at: datetime
    rate_source: str
    rate_observed_at: datetime
    command: bytes


_RECEIPTS = Select(Receipt, command="command_id", received_at="created_at")
_SHOWN = Select(ReceiptRow, received_at="created_at")


async def places(transaction: Transaction, payment_ids: Iterable[int]) -> list[Place]:
    """The asked payments that exist, and all other payments of the same orders. Takes no lock."""
    wanted = sorted(set(payment_ids))
    rows = await transaction.fetch(
        "SELECT DISTINCT p.id, o.id, o.event_id FROM payments asked "
        "JOIN orders o ON o.id = asked.order_id JOIN payments p ON p.order_id = o.id "
        f"WHERE asked.id IN ({placeholders(wanted)})",
        *wanted,
    )
    return [Place(payment_id=p, order_id=o, event_id=e) for p, o, e in rows]


async def events_of(transaction: Transaction, order_ids: Iterable[int]) -> dict[int, int]:
    """Order id -> the event it belongs to, for the orders that exist. Takes no lock."""
    wanted = sorted(set(order_ids))
    rows = await transaction.fetch(
        f"SELECT id, event_id FROM orders WHERE id IN ({placeholders(wanted)})",
        *wanted,
    )
    return dict(rows)


async def pending_of(
    transaction: Transaction, order_ids: Iterable[int]
) -> dict[int, tuple[int, Decimal, int]]:
    """Pending payments of these orders: id -> (order id, the total and the items that were priced). Takes no lock."""
    wanted = sorted(set(order_ids))
    rows = await transaction.fetch(
        "SELECT id, order_id, total_cost, items_version FROM payments "
        f"WHERE order_id IN ({placeholders(wanted)}) AND status = %s",
        *wanted,
        str(PaymentStatus.PENDING),
    )
    return {id_: (order_id, total, items) for id_, order_id, total, items in rows}


async def lock(transaction: Transaction, ids: Iterable[int]) -> dict[int, Quote]:
    """Lock payments by primary key, ids ascending; those that exist. Their orders are locked before."""
    wanted = sorted(set(ids))
    if not wanted:
        return {}
    rows = await transaction.fetch(
        f"SELECT {PAYMENTS.columns}, p.total_cost, p.items_version FROM payments p FORCE INDEX (PRIMARY) "
        f"WHERE p.id IN ({placeholders(wanted)}) ORDER BY p.id FOR UPDATE",
        *wanted,
    )
    quotes = (Quote(PAYMENTS.row(values), *PAYMENTS.rest(values)) for values in rows)
    return {quote.row.id: quote for quote in quotes}


async def insert(
    transaction: Transaction, quotes: Sequence[NewQuote], now: datetime
) -> list[PaymentRow]:
    """Store pending quotes; the rows in the same order.

    Raises VersionConflict when another pending quote of that order and asset was made since the snapshot.
    """
    if not quotes:
        return []
    at = to_sql(now)
    rows = [
        (
            quote.order_id,
            quote.asset,
            quote.quote_rate,
            quote.amount_crypto,
            quote.total_cost,
            quote.items_version,
            to_sql(quote.expires_at),
            quote.rate_source,
            to_sql(quote.rate_observed_at),
            quote.command,
            at,
            at,
        )
        for quote in quotes
    ]
    with _conflict_on("uq_payments_pending"):
        first = await transaction.insert("payments", _INSERTED, rows)
    return [_new_row(first + n, quote, now) for n, quote in enumerate(quotes)]


def _new_row(payment_id: int, quote: NewQuote, now: datetime) -> PaymentRow:
    return PaymentRow(
        id=payment_id,
        order_id=quote.order_id,
        asset=quote.asset,
        quote_rate=quote.quote_rate,
        amount_crypto=quote.amount_crypto,
        tx_hash=None,
        status=str(PaymentStatus.PENDING),
        expires_at=quote.expires_at,
        rate_source=quote.rate_source,
        rate_observed_at=quote.rate_observed_at,
        created_at=now,
        updated_at=now,
    )


async def end(transaction: Transaction, ids: Iterable[int], now: datetime) -> int:
    """Pending payments become EXPIRED; how many were still pending."""
    wanted = sorted(set(ids))
    if not wanted:
        return 0
    return await transaction.execute(
        "UPDATE payments FORCE INDEX (PRIMARY) SET status = 'EXPIRED', updated_at = %s "
        f"WHERE id IN ({placeholders(wanted)}) AND status = 'PENDING'",
        to_sql(now),
        *wanted,
    )


def confirm(transaction: Transaction, payments: Sequence[PaymentRow], now: datetime) -> None:
    """Locked pending payments become CONFIRMED with their hashes, with the next statement (VersionConflict)."""
    _settle(transaction, payments, PaymentStatus.CONFIRMED, ("PENDING",), now)


def make_late(transaction: Transaction, payments: Sequence[PaymentRow], now: datetime) -> None:
    """Locked pending or expired payments become LATE with their hashes, with the next statement (VersionConflict)."""
    _settle(transaction, payments, PaymentStatus.LATE, ("PENDING", "EXPIRED"), now)


def _settle(
    transaction: Transaction,
    payments: Sequence[PaymentRow],
    to: PaymentStatus,
    before: tuple[str, ...],
    now: datetime,
) -> None:
    if not payments:
        return
    whens = " ".join(["WHEN %s THEN %s"] * len(payments))
    hashes = [value for payment in payments for value in (payment.id, payment.tx_hash)]
    ids = [payment.id for payment in payments]
    transaction.change_later(
        f"UPDATE payments FORCE INDEX (PRIMARY) SET status = %s, updated_at = %s, tx_hash = CASE id {whens} END "
        f"WHERE id IN ({placeholders(ids)}) AND status IN ({placeholders(before)})",
        str(to),
        to_sql(now),
        *hashes,
        *ids,
        *before,
        expect=len(payments),
        conflict=f"payments {ids}",
    )


async def receipts(transaction: Transaction, hashes: Iterable[str]) -> dict[str, Receipt]:
    """Receipts by hash (lower case). Takes no lock: `add_receipts` notices what this misses."""
    wanted = sorted(set(hashes))
    rows = await transaction.fetch(
        f"SELECT {_RECEIPTS.columns} FROM payment_receipts "
        f"WHERE tx_hash IN ({placeholders(wanted)})",
        *wanted,
    )
    return {one.tx_hash: one for one in _RECEIPTS.rows(rows)}


async def receipts_of(
    reader: Database | Transaction, payment_ids: Iterable[int]
) -> dict[int, list[ReceiptRow]]:
    """Every hash that was ever shown for these payments, by payment. Takes no lock."""
    wanted = sorted(set(payment_ids))
    found: dict[int, list[ReceiptRow]] = {payment_id: [] for payment_id in wanted}
    if not wanted:
        return found
    fetch = reader.fetch if isinstance(reader, Transaction) else reader.read
    rows = await fetch(
        f"SELECT {_SHOWN.columns}, payment_id FROM payment_receipts "
        f"WHERE payment_id IN ({placeholders(wanted)})",
        *wanted,
    )
    for values in rows:
        [payment_id] = _SHOWN.rest(values)
        found[payment_id].append(_SHOWN.row(values))
    return found


def add_receipts(transaction: Transaction, new: Iterable[Receipt], now: datetime) -> None:
    """Store receipts with the next statement, inside `receipt_conflicts`."""
    # By hash, so that two transactions with the same hashes wait for each other and never in a circle.
    ordered = sorted(new, key=lambda receipt: receipt.tx_hash)
    columns = ("tx_hash", "payment_id", "status", "code", "command_id", "created_at")
    at = to_sql(now)
    rows = [
        (r.tx_hash, r.payment_id, str(r.status), r.code and str(r.code), r.command, at)
        for r in ordered
    ]
    transaction.insert_later("payment_receipts", columns, rows)


def receipt_conflicts() -> AbstractContextManager[None]:
    """Round the statement that receipts travel with: VersionConflict when a hash was shown elsewhere meanwhile."""
    return _conflict_on("PRIMARY")


@contextmanager
def _conflict_on(key: str) -> Iterator[None]:
    """Turn the duplicate of a key into VersionConflict: seen afresh, it is an ordinary case."""
    try:
        yield
    except pymysql.err.IntegrityError as error:
        if is_duplicate(error) and key in str(error.args[-1]):
            raise VersionConflict(str(error)) from error
        raise


async def past_their_time(database: Database, limit: int) -> list[int]:
    """Ids of pending payments whose time is over; read without a lock."""
    rows = await database.read(
        "SELECT id FROM payments WHERE status = 'PENDING' AND expires_at <= UTC_TIMESTAMP(6) "
        "ORDER BY expires_at LIMIT %s",
        limit,
    )
    return [id_ for (id_,) in rows]


async def end_past_their_time(transaction: Transaction, ids: Iterable[int]) -> int:
    """Those of these payments that are pending and over become EXPIRED; how many."""
    wanted = sorted(set(ids))
    if not wanted:
        return 0
    return await transaction.execute(
        "UPDATE payments FORCE INDEX (PRIMARY) SET status = 'EXPIRED', updated_at = UTC_TIMESTAMP(6) "
        f"WHERE id IN ({placeholders(wanted)}) AND status = 'PENDING' "
        "AND expires_at <= UTC_TIMESTAMP(6)",
        *wanted,
    )


def by_id(payments: Mapping[int, Quote], ids: Iterable[int]) -> list[PaymentRow]:
    """The rows of these payments, ids ascending."""
    return [payments[payment_id].row for payment_id in sorted(set(ids))]
