"""Made-up rows of a self-test that its worker does not make itself: somebody's unpaid order, its tickets.

In: the stage of a self-test. Out: the order, locked by nobody else, for nobody else sees it.
"""

from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from secrets import token_bytes

from contracts.models import Principal
from contracts.resources import EventRow, OrderDetailRow, OrderRow, TicketTypeRow, order_resource
from contracts.tickets.ticket import tickets_of
from db import catalogue_writes, orders
from db.orders import NewLine, NewOrder
from db.tickets import tickets
from workers.runtime.self_test import NAME, Stage

_PRICE = Decimal("49.90")
_TICKETS = 2


@dataclass(frozen=True, slots=True)
class MadeUp:
    """An unpaid order of two tickets, and who owns what."""

    row: OrderRow
    buyer: Principal
    organizer: Principal
    event: EventRow
    line: OrderDetailRow

    @property
    def resource(self) -> dict[str, object]:
        """As events carry it."""
        return order_resource(self.row, [self.line])


async def unpaid_order(stage: Stage) -> MadeUp:
    """An order for an event of its own."""
    buyer, organizer = await stage.account("USER"), await stage.account("ORGANIZER")
    now, day = stage.now, timedelta(days=1)
    draft = EventRow(
        0, organizer.user_id, NAME, None, None, now + day, now + 2 * day, "PUBLISHED", 1, now, now
    )
    event = await catalogue_writes.insert_event(stage.transaction, draft, token_bytes(16))
    seats = TicketTypeRow(0, event.id, NAME, _PRICE, "USD", 10, 10, 10, None, None, 1, now, now)
    ticket_type = await catalogue_writes.insert_ticket_type(
        stage.transaction, seats, token_bytes(16)
    )
    new = NewOrder(
        user_id=buyer.user_id,
        event_id=event.id,
        total_cost=_PRICE * _TICKETS,
        currency="USD",
        expires_at=now + day / 24,
        command=token_bytes(16),
        lines=(NewLine(ticket_type.id, _TICKETS, _PRICE, ticket_type.version),),
    )
    [row] = await orders.insert(stage.transaction, [new], now)
    line = OrderDetailRow(ticket_type.id, _TICKETS, _PRICE)
    return MadeUp(row, buyer, organizer, event, line)


async def issued_tickets(stage: Stage, made: MadeUp) -> list[int]:
    """The ids of the order's tickets, issued as if it had been paid."""
    lines = await orders.details(stage.transaction, [made.row.id])
    issued = await tickets.issue(
        stage.transaction, tickets_of(made.row, lines[made.row.id]), stage.now
    )
    return [ticket_id for ticket_id, _ in issued]
