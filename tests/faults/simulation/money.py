"""The statements of the simulated payment worker, each as what it does to rows.

In: a session, the statement's parameters in their order. Out: rows as the driver gives them, or a count.
Must stay true: as in `statements`: which rows are locked, and which are read from the snapshot, is as in the SQL.
"""

from collections.abc import Callable, Iterable
from typing import Any

from db import orders, payments, rates
from db.mysql.database import Row
from tests.faults.simulation.store import Change, Maker, Query, Session, naive

_PAYMENT = (
    "id", "order_id", "asset", "quote_rate", "amount_crypto", "tx_hash", "status", "expires_at",
    "rate_source", "rate_observed_at", "created_at", "updated_at", "total_cost", "items_version",
)  # fmt: skip


def _these(rows: Iterable[dict[str, Any]], names: str, wanted: Callable[[Any], bool]) -> list[Row]:
    columns = names.split(", ")
    return [tuple(row[name] for name in columns) for row in rows if wanted(row)]


async def _places(session: Session, _: str, ids: list[Any]) -> list[Row]:
    all_payments = session.plain("payments")
    asked = {one["order_id"] for one in all_payments if one["id"] in ids}
    event_of = {one["id"]: one["event_id"] for one in session.plain("orders")}
    return [
        (one["id"], one["order_id"], event_of[one["order_id"]])
        for one in all_payments
        if one["order_id"] in asked
    ]


async def _events_of(session: Session, _: str, ids: list[Any]) -> list[Row]:
    return _these(session.plain("orders"), "id, event_id", lambda one: one["id"] in ids)


async def _pending_of(session: Session, _: str, values: list[Any]) -> list[Row]:
    *order_ids, status = values
    return _these(
        session.plain("payments"),
        "id, order_id, total_cost, items_version",
        lambda one: one["order_id"] in order_ids and one["status"] == status,
    )


async def _lock(session: Session, _: str, ids: list[Any]) -> list[Row]:
    for payment_id in ids:
        await session.lock("payments", payment_id)
    rows = session.current("payments")
    return [tuple(one[name] for name in _PAYMENT) for one in rows if one["id"] in ids]


async def _receipts(session: Session, _: str, hashes: list[Any]) -> list[Row]:
    return _these(
        session.plain("payment_receipts"),
        "tx_hash, payment_id, status, code, command_id, created_at",
        lambda one: one["tx_hash"] in hashes,
    )


async def _receipts_of(session: Session, _: str, ids: list[Any]) -> list[Row]:
    return _these(
        session.plain("payment_receipts"),
        "tx_hash, status, created_at, payment_id",
        lambda one: one["payment_id"] in ids,
    )


async def _rates(session: Session, _: str, words: list[Any]) -> list[Row]:
    names = "asset, currency, source, rate, observed_at, received_at, accepted_at"
    return _these(session.plain("rates"), names, lambda one: one["asset"] in words)


async def _past_their_time(session: Session, _: str, __: list[Any]) -> list[Row]:
    return _these(session.plain("payments"), "id", lambda one: _is_over(session, one))


def _is_over(session: Session, payment: dict[str, Any]) -> bool:
    now = session.store.now().replace(tzinfo=None)
    return bool(payment["status"] == "PENDING" and payment["expires_at"] <= now)


async def _change(
    session: Session,
    table: str,
    ids: Iterable[Any],
    where: Callable[[dict[str, Any]], bool],
    to: Callable[[dict[str, Any]], dict[str, Any]],
) -> int:
    """An UPDATE by primary key: lock each row, change those that the rest of the condition holds for; how many."""
    count = 0
    for key in sorted(ids):
        await session.lock(table, key)
        row = next(one for one in session.current(table) if one["id"] == key)
        if where(row):
            session.put(table, row, **to(row))
            count += 1
    return count


async def _end(session: Session, values: list[Any]) -> int:
    at, *ids = values
    changes = {"status": "EXPIRED", "updated_at": naive(at)}
    return await _change(
        session, "payments", ids, lambda one: one["status"] == "PENDING", lambda _: changes
    )


async def _end_past_their_time(session: Session, ids: list[Any]) -> int:
    changes = {"status": "EXPIRED"}
    return await _change(
        session, "payments", ids, lambda one: _is_over(session, one), lambda _: changes
    )


async def _settle(session: Session, values: list[Any]) -> int:
    """Status, time, (id, hash) of each, ids, the statuses before."""
    to, at = values[:2]
    count = (len(values) - 2) // 3
    hashes = dict(zip(values[2 : 2 + 2 * count : 2], values[3 : 3 + 2 * count : 2], strict=True))
    before = values[2 + 3 * count :]
    return await _change(
        session,
        "payments",
        hashes,
        lambda one: one["status"] in before,
        lambda one: {"status": to, "updated_at": naive(at), "tx_hash": hashes[one["id"]]},
    )


async def confirm_orders(session: Session, values: list[Any]) -> int:
    """Status, time, ids, the status and version before, (id, cost) of each."""
    count = (len(values) - 4) // 3
    (to, at), (before, version) = values[:2], values[2 + count : 4 + count]
    costs = dict(zip(values[4 + count :: 2], values[5 + count :: 2], strict=True))

    def as_it_was(one: dict[str, Any]) -> bool:
        found = (one["status"], one["version"], one["total_cost"])
        return found == (before, version, costs[one["id"]])

    changes = {"status": to, "version": version + 1, "updated_at": naive(at)}
    return await _change(session, "orders", costs, as_it_was, lambda _: changes)


async def _extend(session: Session, values: list[Any]) -> int:
    end, at, *ids, before, version = values
    changes = {"expires_at": naive(end), "version": version + 1, "updated_at": naive(at)}
    return await _change(
        session,
        "orders",
        ids,
        lambda one: (one["status"], one["version"]) == (before, version),
        lambda _: changes,
    )


QUERIES: dict[Maker, Query] = {
    payments.places: _places,
    payments.events_of: _events_of,
    payments.pending_of: _pending_of,
    payments.lock: _lock,
    payments.receipts: _receipts,
    payments.receipts_of: _receipts_of,
    payments.past_their_time: _past_their_time,
    rates.of_pairs: _rates,
}
STATEMENTS: dict[Maker, Change] = {
    payments.end: _end,
    payments.end_past_their_time: _end_past_their_time,
    payments._settle: _settle,
    orders.confirm: confirm_orders,
    orders.extend: _extend,
}
