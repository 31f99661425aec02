"""Issues the tickets of orders that were confirmed before there were tickets.

In: the state that the migration left (`db.tickets.backfill`). Out: tickets, TicketsIssued for each of those orders.
Must stay true: one process at a time, resumed where the last one stopped; an order's row is held while its tickets are
looked at and issued, so that a refund at the same time finds all of them or none; nothing is done for an order that has
its tickets.
"""

from collections.abc import Sequence

from contracts.events import TicketsIssued
from contracts.orders import OrderStatus
from contracts.runtime import failpoints
from contracts.tickets.ticket import NewTicket, by_order, tickets_issued, tickets_of
from db import orders
from db.messages.outbox import Cause, NewEvent
from db.mysql.database import Transaction
from db.orders import LockedOrder
from db.tickets import backfill, tickets
from workers.runtime.services import Services
from workers.runtime.sweeps import Sweeper

BATCH = 1000
"""Orders looked at in one step; those that lack tickets are locked `LOCKED_MAX` at a time."""
LOCKED_MAX = 100
CAUSE = Cause("ticket-backfill", None)


async def step(services: Services) -> int:
    """One step; how many orders it looked at (0: nothing to do now)."""
    state = await backfill.unfinished(services.database)
    if state is None:
        return 0
    found = await backfill.confirmed_after(services.database, state.done_to, BATCH)
    if not found:
        await backfill.end_pass(services.database, state)
        return 0
    missing = [order_id for order_id, lacks in found.items() if lacks]
    for start in range(0, len(missing), LOCKED_MAX):
        await issue_missing(services, missing[start : start + LOCKED_MAX])
    await services.database.run(lambda transaction: _done(transaction, max(found)))
    return len(found)


async def _done(transaction: Transaction, done_to: int) -> None:
    backfill.progress(transaction, done_to, 0)


async def issue_missing(services: Services, order_ids: Sequence[int]) -> int:
    """Issue what these orders lack; how many tickets."""

    async def work(transaction: Transaction) -> int:
        locked = await orders.lock(transaction, order_ids)
        now = await transaction.now()
        confirmed = {
            order_id: one
            for order_id, one in locked.items()
            if one.row.status == OrderStatus.CONFIRMED
        }
        owed = await _owed(transaction, confirmed)
        issued = await tickets.issue(transaction, owed, now)
        backfill.progress(transaction, min(order_ids) - 1, len(issued))
        events = [
            (_event(confirmed[order_id], ids), CAUSE) for order_id, ids in by_order(issued).items()
        ]
        services.outbox.add(transaction, now, events)
        await transaction.flush()
        failpoints.reach("backfill.written")
        return len(issued)

    return await services.database.run(work)


async def _owed(transaction: Transaction, confirmed: dict[int, LockedOrder]) -> list[NewTicket]:
    details = await orders.details(transaction, confirmed)
    lines = [line.id for of in details.values() for line in of]
    taken = await backfill.places_taken(transaction, lines)
    return [
        ticket
        for order_id, one in confirmed.items()
        for ticket in tickets_of(one.row, details[order_id])
        if (ticket.order_detail_id, ticket.number) not in taken
    ]


def _event(order: LockedOrder, ticket_ids: list[int]) -> NewEvent:
    row = order.row
    event = TicketsIssued(tickets=tickets_issued(row, ticket_ids), organizer_id=order.organizer_id)
    return NewEvent(event, f"order:{row.id}", row.version, row.event_id)


TICKET_BACKFILL = Sweeper("ticket back-fill", step, 1, idle_seconds=2.0, alone=True)
