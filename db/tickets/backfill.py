"""The tickets of orders that were confirmed before there were any: issued in steps, as often as needed.

In: the state row that the migration left. Out: tickets, and how far it has come.
Must stay true: a step and its progress are one transaction; a place never gets two tickets (the order's row is held,
the key says no); it is finished only when a whole pass, begun once no process of an older release runs any more, found
nothing to do.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from contracts.runtime.times import from_sql, to_sql
from db.mysql.database import Database, Transaction, placeholders

ROLLED_OUT = timedelta(minutes=10)
"""So long after the migration a process of an older release may still confirm orders without tickets."""


BETWEEN_PASSES_SECONDS = 60
"""From the beginning of one pass to that of the next."""


@dataclass(frozen=True, slots=True)
class BackfillState:
    """Where the back-fill is."""

    done_to: int
    issued_in_pass: int
    pass_began_at: datetime
    created_at: datetime


async def unfinished(database: Database) -> BackfillState | None:
    """Its state, None when there is nothing (more) to do."""
    rows = await database.read(
        "SELECT done_to, issued_in_pass, pass_began_at, created_at FROM ticket_backfill "
        "WHERE id = 1 AND finished_at IS NULL"
    )
    if not rows:
        return None
    [(done_to, issued, began, created)] = rows
    return BackfillState(done_to, issued, from_sql(began), from_sql(created))


async def confirmed_after(database: Database, done_to: int, limit: int) -> dict[int, bool]:
    """The next confirmed orders by id, and whether a ticket of theirs is missing; read without a lock.

    An order's tickets are issued together, so that the last place of each line tells.
    """
    rows = await database.read(
        "SELECT o.id, EXISTS (SELECT 1 FROM order_details d LEFT JOIN tickets t "
        "ON t.order_detail_id = d.id AND t.number = d.quantity "
        "WHERE d.order_id = o.id AND t.id IS NULL) "
        "FROM orders o FORCE INDEX (PRIMARY) WHERE o.id > %s AND o.status = 'CONFIRMED' "
        "ORDER BY o.id LIMIT %s",
        done_to,
        limit,
    )
    return {row[0]: bool(row[1]) for row in rows}


async def places_taken(transaction: Transaction, detail_ids: Sequence[int]) -> set[tuple[int, int]]:
    """(line, number) of the tickets that these lines have."""
    if not detail_ids:
        return set()
    rows = await transaction.fetch(
        "SELECT order_detail_id, number FROM tickets "
        f"WHERE order_detail_id IN ({placeholders(detail_ids)})",
        *detail_ids,
    )
    return {(row[0], row[1]) for row in rows}


def progress(transaction: Transaction, done_to: int, issued: int) -> None:
    """Everything up to this order is done in this pass; with the next statement."""
    transaction.later(
        "UPDATE ticket_backfill SET done_to = %s, issued_in_pass = issued_in_pass + %s WHERE id = 1",
        done_to,
        issued,
    )


def finishes(state: BackfillState) -> bool:
    """Whether a pass that has come to its end was the last one."""
    return state.issued_in_pass == 0 and state.pass_began_at >= state.created_at + ROLLED_OUT


async def end_pass(database: Database, state: BackfillState) -> None:
    """The pass came to its end: finish, or begin again from the first order, a minute after this one began."""
    if finishes(state):
        await database.write(
            "UPDATE ticket_backfill SET finished_at = UTC_TIMESTAMP(6) WHERE id = 1"
        )
        return
    await database.write(
        "UPDATE ticket_backfill SET done_to = 0, issued_in_pass = 0, pass_began_at = UTC_TIMESTAMP(6) "
        "WHERE id = 1 AND pass_began_at = %s AND pass_began_at < UTC_TIMESTAMP(6) - INTERVAL %s SECOND",
        to_sql(state.pass_began_at),
        BETWEEN_PASSES_SECONDS,
    )
