"""What accounts hold of an event already: unpaid orders, tickets of limited types. Read where stock is read.

In: the buyers, events and ticket types of a batch. Out: one `Holding` for each buyer who holds something.
Must stay true: read in the snapshot that read the stock, so that the version of a type guards what was counted of it
(two orders of one type never both commit on one count). Costs nothing where nothing is limited: unpaid orders are
counted in an index, tickets only of types that have a limit per person.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime

import orjson

from contracts.runtime.times import from_sql
from db.mysql.database import Row, Statement, Transaction, placeholders

Person = tuple[int, int]
"""(account, event)."""


@dataclass(frozen=True, slots=True)
class Holding:
    """unpaid: orders; next_end: when the first of them ends; expired_at: when the last one expired unpaid (a short
    while ago, else None); tickets: unpaid and paid ones, by type, of types with a limit per person."""

    unpaid: int = 0
    next_end: datetime | None = None
    expired_at: datetime | None = None
    tickets: dict[int, int] = field(default_factory=dict)


NOTHING = Holding()


def order_query(persons: Iterable[Person], cooldown: int) -> Statement:
    """Unpaid orders, and those that expired less than `cooldown` seconds ago, of each of these persons."""
    users, events = _sides(persons)
    return Statement(
        "SELECT JSON_ARRAY(o.user_id, o.event_id, SUM(o.status = 'PENDING_PAYMENT'), "
        "MIN(IF(o.status = 'PENDING_PAYMENT', o.expires_at, NULL)), "
        "MAX(IF(o.status = 'EXPIRED', o.expires_at, NULL))) "
        "FROM orders o FORCE INDEX (ix_orders_person) "
        f"WHERE o.user_id IN ({placeholders(users)}) AND o.event_id IN ({placeholders(events)}) "
        "AND (o.status = 'PENDING_PAYMENT' "
        "OR (o.status = 'EXPIRED' AND o.expires_at > UTC_TIMESTAMP(6) - INTERVAL %s SECOND)) "
        "GROUP BY o.user_id, o.event_id",
        (*users, *events, cooldown),
    )


def ticket_query(persons: Iterable[Person], types: Iterable[int]) -> Statement:
    """Tickets that these persons hold or bought of those types that have a limit per person."""
    users, _ = _sides(persons)
    wanted = sorted(set(types))
    # From the few types to the few persons: without a limit it ends at the types.
    return Statement(
        "SELECT JSON_ARRAY(o.user_id, o.event_id, t.id, SUM(d.quantity)) FROM ticket_types t "
        "STRAIGHT_JOIN orders o FORCE INDEX (ix_orders_person) "
        f"ON o.user_id IN ({placeholders(users)}) AND o.event_id = t.event_id "
        "AND o.status IN ('PENDING_PAYMENT', 'CONFIRMED') "
        "STRAIGHT_JOIN order_details d ON d.order_id = o.id AND d.ticket_type_id = t.id "
        f"WHERE t.id IN ({placeholders(wanted)}) AND t.max_per_user IS NOT NULL "
        "GROUP BY o.user_id, o.event_id, t.id",
        (*users, *wanted),
    )


async def read(
    transaction: Transaction, orders: Statement | None, tickets: Statement
) -> dict[Person, Holding]:
    """What the two queries find (`orders` None: unpaid orders are not limited)."""
    found: dict[Person, Holding] = {}
    rows = await transaction.fetch(orders.sql, *orders.parameters) if orders else []
    for row in rows:
        user, event, unpaid, next_end, expired_at = orjson.loads(row[0])
        found[user, event] = Holding(int(unpaid), _moment(next_end), _moment(expired_at))
    for user, event, type_id, quantity in _tickets(
        await transaction.fetch(tickets.sql, *tickets.parameters)
    ):
        found.setdefault((user, event), Holding()).tickets[type_id] = quantity
    return found


def _tickets(rows: Iterable[Row]) -> Iterable[tuple[int, int, int, int]]:
    for row in rows:
        user, event, type_id, quantity = orjson.loads(row[0])
        yield user, event, type_id, int(quantity)


def _sides(persons: Iterable[Person]) -> tuple[list[int], list[int]]:
    pairs = set(persons)
    return sorted({user for user, _ in pairs}), sorted({event for _, event in pairs})


def _moment(text: str | None) -> datetime | None:
    return from_sql(datetime.fromisoformat(text)) if text else None
