"""What ended orders owe: tickets that are not back on sale yet.

In: orders as they end, and as their tickets come back, each inside the transaction that does it. Out: who is overdue.
Must stay true: an ended order has a row here exactly as long as its lines hold tickets (rule 5 of the audit).
"""

from collections.abc import Iterable, Sequence
from datetime import datetime

from contracts.runtime.times import to_sql
from db.mysql.database import Database, Row, Transaction


def owe(transaction: Transaction, order_ids: Iterable[int], now: datetime) -> None:
    """Orders have ended; travels with the transaction's next statement."""
    rows: list[Row] = [(order_id, to_sql(now)) for order_id in order_ids]
    transaction.insert_later("pending_returns", ("order_id", "ended_at"), rows)


def settle(transaction: Transaction, order_ids: Iterable[int]) -> None:
    """Their tickets are back; travels with the transaction's next statement.

    Each row is found by its key, as in `db.messages.outbox.published`: a scan would wait for every order
    that is ending.
    """
    settled = sorted(set(order_ids))
    if settled:
        transaction.later(
            "DELETE p FROM JSON_TABLE(%s, '$[*]' COLUMNS (id BIGINT PATH '$')) AS back "
            "STRAIGHT_JOIN pending_returns AS p FORCE INDEX (PRIMARY) ON p.order_id = back.id",
            str(settled),
        )


async def overdue(database: Database, seconds: int, limit: int) -> Sequence[int]:
    """Orders that ended so long ago and still owe their tickets, oldest first; read without a lock."""
    rows = await database.read(
        "SELECT order_id FROM pending_returns "
        "WHERE ended_at <= UTC_TIMESTAMP(6) - INTERVAL %s SECOND ORDER BY ended_at LIMIT %s",
        seconds,
        limit,
    )
    return [id_ for (id_,) in rows]
