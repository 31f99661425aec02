"""Tickets in SQL: issued, locked, used, transferred, renamed, void.

In: rows of a decision. Out: `contracts.tickets.ticket` rows with aware UTC times.
Must stay true: a ticket is changed only after it was locked by its primary key, ids ascending, last in the lock order
(events, ticket_types, orders, payments, tickets), by an UPDATE that names the status it had; a place has one ticket,
by its unique key.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from contracts.runtime.times import to_sql
from contracts.tickets.ticket import TICKET_MOVES, NewTicket, TicketRow, TicketStatus
from db.mysql.database import (
    Statement,
    Transaction,
    placeholders,
)
from db.rows import Select

TICKETS = Select(TicketRow, "t")
INSERT_ROWS_MAX = 5000
"""Rows of one statement: half a megabyte."""

_INSERTED = (
    "order_detail_id",
    "number",
    "order_id",
    "event_id",
    "ticket_type_id",
    "holder_id",
    "issued_at",
    "updated_at",
)


async def issue(
    transaction: Transaction, tickets: Sequence[NewTicket], now: datetime
) -> list[tuple[int, NewTicket]]:
    """Store new tickets: each with its id, in order. Their orders are locked, or made by this transaction.

    One round trip for up to 5,000, together with whatever waits. Raises IntegrityError (1062) for a place that has one.
    """
    at = to_sql(now)
    issued: list[tuple[int, NewTicket]] = []
    for start in range(0, len(tickets), INSERT_ROWS_MAX):
        some = tickets[start : start + INSERT_ROWS_MAX]
        rows = [
            (
                t.order_detail_id,
                t.number,
                t.order_id,
                t.event_id,
                t.ticket_type_id,
                t.holder_id,
                at,
                at,
            )
            for t in some
        ]
        first = await transaction.insert("tickets", _INSERTED, rows)
        issued += [(first + n, ticket) for n, ticket in enumerate(some)]
    return issued


def lock_query(ids: Iterable[int]) -> Statement:
    """The query of `lock`, for whoever reads ahead (`ids` not empty)."""
    wanted = sorted(set(ids))
    return Statement(
        f"SELECT {TICKETS.columns} FROM tickets t FORCE INDEX (PRIMARY) "
        f"WHERE t.id IN ({placeholders(wanted)}) ORDER BY t.id FOR UPDATE",
        tuple(wanted),
    )


async def lock(transaction: Transaction, ids: Iterable[int]) -> dict[int, TicketRow]:
    """Lock tickets by primary key, ids ascending; those that exist."""
    query = lock_query(ids)
    if not query.parameters:
        return {}
    rows = await transaction.fetch(query.sql, *query.parameters)
    return {row[0]: TICKETS.row(row) for row in rows}


@dataclass(frozen=True, slots=True)
class TicketOwners:
    """Whom a ticket concerns beside its holder."""

    buyer_id: int
    organizer_id: int


def owners_query(ticket_ids: Iterable[int]) -> Statement:
    """The query of `owners`, for whoever reads ahead (`ticket_ids` not empty)."""
    wanted = sorted(set(ticket_ids))
    return Statement(
        "SELECT t.id, o.user_id, e.organizer_id FROM tickets t JOIN orders o ON o.id = t.order_id "
        f"JOIN events e ON e.id = t.event_id WHERE t.id IN ({placeholders(wanted)})",
        tuple(wanted),
    )


async def owners(transaction: Transaction, ticket_ids: Iterable[int]) -> dict[int, TicketOwners]:
    """Whom tickets concern. None of it ever changes, so no lock is needed."""
    query = owners_query(ticket_ids)
    if not query.parameters:
        return {}
    rows = await transaction.fetch(query.sql, *query.parameters)
    return {row[0]: TicketOwners(row[1], row[2]) for row in rows}


def use(
    transaction: Transaction, used: Sequence[tuple[TicketRow, datetime]], now: datetime
) -> list[TicketRow]:
    """Locked VALID tickets become USED, each at its time, with the next statement (VersionConflict)."""
    if not used:
        return []
    whens = " ".join(["WHEN %s THEN %s"] * len(used))
    ids = [ticket.id for ticket, _ in used]
    transaction.change_later(
        f"UPDATE tickets FORCE INDEX (PRIMARY) SET status = 'USED', used_at = CASE id {whens} END, updated_at = %s "
        f"WHERE id IN ({placeholders(ids)}) AND status = 'VALID'",
        *(value for ticket, at in used for value in (ticket.id, to_sql(at))),
        to_sql(now),
        *ids,
        expect=len(ids),
        conflict=f"tickets {ids}",
    )
    return [replace(ticket, status=str(TicketStatus.USED), used_at=at) for ticket, at in used]


def make_void(
    transaction: Transaction, tickets: Sequence[TicketRow], now: datetime
) -> list[TicketRow]:
    """Locked tickets that are not VOID become it, with the next statement (VersionConflict)."""
    if not tickets:
        return []
    for ticket in tickets:
        assert TicketStatus.VOID in TICKET_MOVES[TicketStatus(ticket.status)], "it is void already"
    ids = [ticket.id for ticket in tickets]
    transaction.change_later(
        "UPDATE tickets FORCE INDEX (PRIMARY) SET status = 'VOID', updated_at = %s "
        f"WHERE id IN ({placeholders(ids)}) AND status IN ('VALID', 'USED')",
        to_sql(now),
        *ids,
        expect=len(ids),
        conflict=f"tickets {ids}",
    )
    return [replace(ticket, status=str(TicketStatus.VOID)) for ticket in tickets]


def transfer(
    transaction: Transaction, ticket: TicketRow, to_user_id: int, now: datetime
) -> TicketRow:
    """A locked VALID ticket gets another holder, no name and a new version, with the next statement."""
    _change(
        transaction,
        ticket,
        "holder_id = %s, holder_name = NULL, version = version + 1",
        (to_user_id,),
        now,
    )
    return replace(ticket, holder_id=to_user_id, holder_name=None, version=ticket.version + 1)


def rename(
    transaction: Transaction, ticket: TicketRow, name: str | None, now: datetime
) -> TicketRow:
    """A locked VALID ticket gets another name, with the next statement."""
    if name == ticket.holder_name:
        return ticket
    _change(transaction, ticket, "holder_name = %s", (name,), now)
    return replace(ticket, holder_name=name)


def _change(
    transaction: Transaction,
    ticket: TicketRow,
    change: str,
    values: tuple[object, ...],
    now: datetime,
) -> None:
    transaction.change_later(
        f"UPDATE tickets SET {change}, updated_at = %s WHERE id = %s AND status = 'VALID' AND version = %s",
        *values,
        to_sql(now),
        ticket.id,
        ticket.version,
        expect=1,
        conflict=f"ticket {ticket.id}",
    )
