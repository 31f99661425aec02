"""Every statement of the payment worker that locks finds its rows by the primary key, however few there are."""

import inspect
import re
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from contracts.resources import OrderRow, PaymentRow
from db import orders, payments
from db.mysql.database import (
    Database,
    Statement,
    StatementResult,
    Transaction,
    VersionConflict,
)

NOW = datetime(2026, 5, 1, tzinfo=UTC)
LOCKS = re.compile(r"^(UPDATE|DELETE)|(FOR UPDATE|SKIP LOCKED)$")
IDS = [2**61 + n for n in range(3)]


class Explained(Transaction):
    """Asks for the plan of each statement that locks before running it."""

    def __init__(self, transaction: Transaction) -> None:
        super().__init__(transaction._cursor)
        self.keys: list[object] = []

    async def _results(self, flight: Sequence[Any]) -> AsyncIterator[tuple[Any, StatementResult]]:
        """Plans first, then what each statement gave."""
        for one in flight:
            if isinstance(one.statement, Statement) and LOCKS.search(one.statement.sql):
                await self._explain(one.statement)
        async for one, result in super()._results(flight):
            yield one, result

    async def _explain(self, statement: Statement) -> None:
        await self._cursor.execute(f"EXPLAIN FORMAT=TRADITIONAL {statement.text()}")
        # id, select_type, table, (partitions,) type, possible_keys, key …: the key is named wherever it stands.
        rows = await self._cursor.fetchall()
        self.keys += ["PRIMARY" if "PRIMARY" in row[5:7] else row for row in rows]


def order_row(order_id: int) -> OrderRow:
    """An unpaid order that is not there."""
    cost, ends = Decimal("1.00"), NOW + timedelta(minutes=1)
    return OrderRow(order_id, 1, 1, "PENDING_PAYMENT", cost, "USD", ends, 1, NOW, NOW)


def payment_row(payment_id: int) -> PaymentRow:
    """A payment that is not there."""
    cost, tx_hash = Decimal("1.00"), "0x" + "0" * 64
    source = ("PENDING", NOW, "fake", NOW, NOW, NOW)
    return PaymentRow(payment_id, 1, "BTC", cost, cost, tx_hash, *source)


@pytest.mark.parametrize(
    "statement",
    [
        lambda t: orders.lock(t, IDS),
        lambda t: orders.extend(t, [(order_row(i), NOW) for i in IDS], "quoted", NOW),
        lambda t: orders.confirm(t, [(order_row(i), Decimal("1.00")) for i in IDS], "paid", NOW),
        lambda t: payments.lock(t, IDS),
        lambda t: payments.end(t, IDS, NOW),
        lambda t: payments.end_past_their_time(t, IDS),
        lambda t: payments.confirm(t, [payment_row(i) for i in IDS], NOW),
        lambda t: payments.make_late(t, [payment_row(i) for i in IDS], NOW),
    ],
    ids=["lock orders", "extend", "confirm orders", "lock", "end", "sweep", "confirm", "late"],
)
async def test_rows_are_locked_by_their_primary_key(database: Database, statement: Any) -> None:
    """No range of another index is locked, whose gaps others insert into."""
    async with database.transaction() as transaction:
        explained = Explained(transaction)
        try:
            done = statement(explained)
            if inspect.isawaitable(done):
                await done
            await explained.flush()
        except VersionConflict:
            pass  # The rows are not there; the plan is what counts.
        assert explained.keys
        assert set(explained.keys) <= {"PRIMARY"}
