"""The checker: holds what clients were told against what the database says.

In: the operations of a history; a database at rest. Out: lies, each a sentence; none when every client was told the
truth.
Must stay true: a success is there with that very result; a refusal had no effect; an unknown happened once or not
at all; what was accepted was decided, or is past its deadline without effect. Nothing is written.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from contracts.signing import from_text
from db.mysql import Database, Row
from scripts.proving.history import Operation

CHUNK = 500


@dataclass(frozen=True, slots=True)
class Effects:
    """What the database says of the operations' subjects."""

    orders: Mapping[int, Sequence[tuple[int, str]]]
    """User -> (order id, status)."""
    lines: Mapping[int, Sequence[tuple[int, int]]]
    """Order -> (ticket type, quantity), ascending."""
    outcomes: Mapping[bytes, int]
    """Command UUID -> status of its outcome."""
    payments: Mapping[int, str]
    """Payment -> status."""
    receipts: Mapping[str, tuple[int, str]]
    """Transaction hash -> (payment, APPLIED or LATE)."""
    added: Mapping[int, Sequence[Operation]] = field(default_factory=dict)
    """Order -> what its buyer wanted to add: part of what its lines may be."""


async def check(database: Database, operations: Sequence[Operation]) -> list[str]:
    """Every lie that a client was told."""
    effects = await _effects(database, operations)
    return [lie for operation in operations for lie in lies(operation, effects)]


def lies(operation: Operation, effects: Effects) -> list[str]:
    """What is untrue about one operation."""
    told = _OF_KIND[operation.kind](operation, effects)
    told += _undecided(operation, effects)
    return [
        f"operation {operation.number} ({operation.kind}, {operation.end}): {lie}" for lie in told
    ]


def _place(operation: Operation, effects: Effects) -> list[str]:
    """A buyer of one order: what they have says what happened."""
    has = effects.orders.get(operation.user_id, ())
    if len(has) > 1:
        return [f"happened {len(has)} times: orders {[order for order, _ in has]}"]
    if operation.end == "ok":
        if [order for order, _ in has] != [operation.made]:
            return [f"told order {operation.made}, has {[order for order, _ in has]}"]
        return _lines(operation, effects)
    if operation.end == "refused" and has:
        return [f"told {operation.status} {operation.code}, has order {has[0][0]}"]
    return []


def _lines(operation: Operation, effects: Effects) -> list[str]:
    """An order's tickets are those asked for, those added, and perhaps those whose addition has no known end."""
    order = operation.made or 0
    adds = effects.added.get(order, ())
    has = _tickets(effects.lines.get(order, ()))
    least = _tickets(operation.items) + _asked(one for one in adds if one.end == "ok")
    most = least + _asked(one for one in adds if one.end in ("accepted", "unknown"))
    if least <= has <= most:
        return []
    wanted = f"asked {operation.items}" + (f", added {dict(most)} at most" if adds else "")
    return [f"{wanted}, has {dict(has)}"]


def _asked(operations: Iterable[Operation]) -> Counter[int]:
    return sum((_tickets(one.items) for one in operations), Counter())


def _tickets(lines: Iterable[tuple[int, int]]) -> Counter[int]:
    """Ticket type -> quantity; the same type may have several lines."""
    counts: Counter[int] = Counter()
    for type_id, quantity in lines:
        counts[type_id] += quantity
    return counts


def _add(operation: Operation, effects: Effects) -> list[str]:
    """Its tickets are looked at with those of its order; here only that it was told the right order."""
    if operation.end == "ok" and operation.made != operation.target:
        return [f"asked to add to order {operation.target}, told order {operation.made}"]
    return []


def _cancel(operation: Operation, effects: Effects) -> list[str]:
    now = dict(effects.orders.get(operation.user_id, ())).get(operation.target or 0)
    if operation.end == "ok" and now != "CANCELLED":
        return [f"told that order {operation.target} is cancelled, it is {now}"]
    return []


def _quote(operation: Operation, effects: Effects) -> list[str]:
    if operation.end == "ok" and operation.made not in effects.payments:
        return [f"told payment {operation.made}, there is none"]
    return []


def _confirm(operation: Operation, effects: Effects) -> list[str]:
    receipt = effects.receipts.get(operation.tx_hash or "")
    if operation.end == "ok" and receipt != (operation.target, "APPLIED"):
        return [f"told that {operation.tx_hash} paid payment {operation.target}, it is {receipt}"]
    if operation.end == "refused" and receipt is not None and receipt[1] == "APPLIED":
        return [f"told {operation.status} {operation.code}, but the money was taken"]
    return []


_OF_KIND = {"place": _place, "add": _add, "cancel": _cancel, "quote": _quote, "confirm": _confirm}


def _undecided(operation: Operation, effects: Effects) -> list[str]:
    """A command that a client holds an id of has an end, and a success or refusal has that one."""
    if operation.command_id is None:
        return []
    status = effects.outcomes.get(uuid_of(operation.command_id))
    if operation.end == "ok" and status != operation.status:
        return [f"told {operation.status}, its outcome is {status}"]
    if operation.end == "accepted" and status is None:
        return ["accepted, and never decided"]
    return []


def uuid_of(command_id: str) -> bytes:
    """The UUID inside a command id (not verified: the checker believes the gateway's own answers)."""
    return from_text(command_id)[:16]


async def _effects(database: Database, operations: Sequence[Operation]) -> Effects:
    users = sorted({one.user_id for one in operations})
    commands = sorted({uuid_of(one.command_id) for one in operations if one.command_id})
    orders: dict[int, list[tuple[int, str]]] = {}
    found = await _rows(database, "SELECT user_id, id, status FROM orders WHERE user_id IN", users)
    for user_id, order_id, status in found:
        orders.setdefault(user_id, []).append((order_id, status))
    ids = [row[1] for row in found]
    lines: dict[int, list[tuple[int, int]]] = {}
    for order_id, type_id, quantity in await _rows(
        database,
        "SELECT order_id, ticket_type_id, quantity FROM order_details WHERE order_id IN",
        ids,
    ):
        lines.setdefault(order_id, []).append((type_id, quantity))
    outcomes = await _rows(
        database, "SELECT id, status_code FROM command_outcomes WHERE id IN", commands
    )
    payments = await _rows(database, "SELECT id, status FROM payments WHERE order_id IN", ids)
    receipts = await _rows(
        database,
        "SELECT tx_hash, payment_id, status FROM payment_receipts WHERE payment_id IN",
        [row[0] for row in payments],
    )
    return Effects(
        orders,
        {order: sorted(has) for order, has in lines.items()},
        {bytes(row[0]): row[1] for row in outcomes},
        {row[0]: row[1] for row in payments},
        {row[0]: (row[1], row[2]) for row in receipts},
        _additions(operations),
    )


def _additions(operations: Iterable[Operation]) -> dict[int, list[Operation]]:
    found: dict[int, list[Operation]] = {}
    for operation in operations:
        if operation.kind == "add" and operation.target is not None:
            found.setdefault(operation.target, []).append(operation)
    return found


async def _rows(database: Database, select: str, values: Sequence[object]) -> list[Row]:
    rows: list[Row] = []
    for start in range(0, len(values), CHUNK):
        chunk = values[start : start + CHUNK]
        rows += await database.read(f"{select} ({','.join(['%s'] * len(chunk))})", *chunk)
    return rows
