"""Made-up rows of a self-test that its worker does not make itself: somebody's unpaid order, its tickets.

In: the stage of a self-test. Out: the order, locked by nobody else, for nobody else sees it.
Must stay true: what is inserted here stands in `db.privileges.rights.MADE_UP`; accounts and ticket types have no rows.
"""

from dataclasses import dataclass, replace
from datetime import timedelta
from decimal import Decimal
from secrets import token_bytes

from contracts.models import Principal
from contracts.resources import EventRow, OrderDetailRow, OrderRow, order_resource
from contracts.tickets.ticket import tickets_of
from db import orders
from db.orders import NewLine, NewOrder
from db.rows import stored
from db.tickets import tickets
from workers.runtime.self_test import NAME, Stage, made_up_id

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
    buyer, organizer = stage.account("USER"), stage.account("ORGANIZER")
    now, day = stage.now, timedelta(days=1)
    draft = EventRow(
        0, organizer.user_id, NAME, None, None, now + day, now + 2 * day, "PUBLISHED", 1, now, now
    )
    values = stored(draft, "id") | {"command_id": token_bytes(16)}
    event_id = await stage.transaction.insert("events", tuple(values), [tuple(values.values())])
    event = replace(draft, id=event_id)
    ticket_type_id = made_up_id()
    new = NewOrder(
        user_id=buyer.user_id,
        event_id=event.id,
        total_cost=_PRICE * _TICKETS,
        currency="USD",
        expires_at=now + day / 24,
        command=token_bytes(16),
        lines=(NewLine(ticket_type_id, _TICKETS, _PRICE, 1),),
    )
    [row] = await orders.insert(stage.transaction, [new], now)
    line = OrderDetailRow(ticket_type_id, _TICKETS, _PRICE)
    return MadeUp(row, buyer, organizer, event, line)


async def issued_tickets(stage: Stage, made: MadeUp) -> list[int]:
    """The ids of the order's tickets, issued as if it had been paid."""
    lines = await orders.details(stage.transaction, [made.row.id])
    issued = await tickets.issue(
        stage.transaction, tickets_of(made.row, lines[made.row.id]), stage.now
    )
    return [ticket_id for ticket_id, _ in issued]
