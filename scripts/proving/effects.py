"""What the database says of a history: everything that its operations may have done.

In: operations; a database at rest. Out: `Effects`.
Must stay true: nothing is written; outcomes are read last, for an effect is committed with its outcome: what is seen
here without one never had one.
"""

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from contracts.command_ids import EPOCH
from contracts.messaging.signing import from_text
from contracts.runtime.times import from_sql
from db.mysql.database import Database, Row
from scripts.proving.history import Operation

CHUNK = 500


@dataclass(slots=True)
class Effects:
    """What the database says of the operations' subjects."""

    orders: Mapping[int, Sequence[tuple[int, str]]] = field(default_factory=dict)
    """User -> (order id, status)."""
    lines: Mapping[int, Sequence[tuple[int, int]]] = field(default_factory=dict)
    """Order -> (ticket type, quantity), ascending."""
    outcomes: Mapping[bytes, int] = field(default_factory=dict)
    """Command UUID -> status of its outcome."""
    payments: Mapping[int, Sequence[int]] = field(default_factory=dict)
    """Order -> its payments."""
    receipts: Mapping[str, tuple[int, str]] = field(default_factory=dict)
    """Transaction hash -> (payment, APPLIED or LATE)."""
    cancelled: AbstractSet[int] = frozenset()
    """Orders that their own buyer cancelled."""
    made: Mapping[bytes, int] = field(default_factory=dict)
    """Command UUID -> the order that it placed, added to, quoted or paid."""
    lost_before: datetime | None = None
    """What was accepted before this may be lost: its deadline is past. None: nothing may."""

    def may_be_lost(self, command_id: str) -> bool:
        """Whether this command is past its deadline, where that is an end."""
        return self.lost_before is not None and accepted_at(command_id) < self.lost_before


def uuid_of(command_id: str) -> bytes:
    """The UUID inside a command id (not verified: the checker believes the gateway's own answers)."""
    return from_text(command_id)[:16]


def accepted_at(command_id: str) -> datetime:
    """When the gateway accepted the command, in the database's time as it knew it."""
    return EPOCH + timedelta(microseconds=int.from_bytes(from_text(command_id)[17:24], "big"))


async def read(
    database: Database, operations: Sequence[Operation], deadline: float | None = None
) -> Effects:
    """Everything there is of these operations. deadline: seconds after which a command may be lost; None: never."""
    now = from_sql((await database.read("SELECT UTC_TIMESTAMP(6)"))[0][0])
    effects = Effects(
        lost_before=now - timedelta(seconds=deadline) if deadline is not None else None
    )
    users = sorted({one.user_id for one in operations})
    ids, effects.orders, made = await _orders(database, users)
    effects.lines, added = await _lines(database, ids)
    effects.payments, quoted = await _payments(database, ids)
    effects.receipts, paid = await _receipts(database, effects.payments)
    effects.cancelled = await _cancelled(database, ids)
    effects.made = made | added | quoted | paid
    commands = sorted({uuid_of(one.command_id) for one in operations if one.command_id})
    select = "SELECT id, status_code FROM command_outcomes WHERE id IN"
    effects.outcomes = {bytes(row[0]): row[1] for row in await _rows(database, select, commands)}
    return effects


async def _orders(
    database: Database, users: Sequence[int]
) -> tuple[list[int], dict[int, list[tuple[int, str]]], dict[bytes, int]]:
    """(ids, (id, status) by user, ids by command)."""
    select = "SELECT user_id, id, status, command_id FROM orders WHERE user_id IN"
    rows = await _rows(database, select, users)
    orders: dict[int, list[tuple[int, str]]] = {}
    for user_id, order_id, status, _ in rows:
        orders.setdefault(user_id, []).append((order_id, status))
    return [row[1] for row in rows], orders, {bytes(row[3]): row[1] for row in rows}


async def _lines(
    database: Database, orders: Sequence[int]
) -> tuple[dict[int, list[tuple[int, int]]], dict[bytes, int]]:
    """((ticket type, quantity) by order, orders by command)."""
    select = (
        "SELECT order_id, ticket_type_id, quantity, command_id FROM order_details WHERE order_id IN"
    )
    rows = await _rows(database, select, orders)
    lines: dict[int, list[tuple[int, int]]] = {}
    for order_id, type_id, quantity, _ in rows:
        lines.setdefault(order_id, []).append((type_id, quantity))
    made = {bytes(row[3]): row[0] for row in rows}
    return {order: sorted(has) for order, has in lines.items()}, made


async def _payments(
    database: Database, orders: Sequence[int]
) -> tuple[dict[int, list[int]], dict[bytes, int]]:
    """(payments by order, orders by command)."""
    select = "SELECT order_id, id, command_id FROM payments WHERE order_id IN"
    rows = await _rows(database, select, orders)
    payments: dict[int, list[int]] = {}
    for order_id, payment_id, _ in rows:
        payments.setdefault(order_id, []).append(payment_id)
    return payments, {bytes(row[2]): row[0] for row in rows}


async def _receipts(
    database: Database, payments: Mapping[int, Sequence[int]]
) -> tuple[dict[str, tuple[int, str]], dict[bytes, int]]:
    """(receipts by hash, orders by the command that paid them: late money is a refusal's)."""
    order_of = {one: order for order, ones in payments.items() for one in ones}
    select = (
        "SELECT tx_hash, payment_id, status, command_id FROM payment_receipts WHERE payment_id IN"
    )
    rows = await _rows(database, select, sorted(order_of))
    made = {bytes(row[3]): order_of[row[1]] for row in rows if row[2] == "APPLIED"}
    return {row[0]: (row[1], row[2]) for row in rows}, made


async def _cancelled(database: Database, orders: Sequence[int]) -> frozenset[int]:
    select = (
        "SELECT order_id FROM order_history WHERE status = 'CANCELLED' AND reason = 'buyer' "
        "AND order_id IN"
    )
    return frozenset(row[0] for row in await _rows(database, select, orders))


async def _rows(database: Database, select: str, values: Sequence[object]) -> list[Row]:
    rows: list[Row] = []
    for start in range(0, len(values), CHUNK):
        chunk = values[start : start + CHUNK]
        rows += await database.read(f"{select} ({','.join(['%s'] * len(chunk))})", *chunk)
    return rows
