"""OrderCancelled, OrderExpired: tickets come back.

In: ended orders. Out: StockChanged per ticket type; the lines remember the step that gave them back.
Must stay true: a line comes back exactly once, however often the event is heard: only lines without a
`returned_version` count, and they are locked after their ticket type.
"""

from collections.abc import Sequence

from contracts.events import OrderEvent
from db import stock as stocks
from workers.handlers import Context, NewEvents, Received
from workers.inventory.placing import stock_events


async def give_back(context: Context, events: Sequence[Received[OrderEvent]]) -> NewEvents:
    """Put the tickets of ended orders back on sale, one version step per ticket type."""
    transaction = context.transaction
    order_ids = {one.message.order["id"] for one in events}
    candidates = await stocks.unreturned(transaction, order_ids, lock=False)
    stock = await stocks.read(transaction, (line.ticket_type_id for line in candidates), lock=True)
    lines = await stocks.unreturned(transaction, order_ids, lock=True)
    quantities: dict[int, int] = {}
    for line in lines:
        quantities[line.ticket_type_id] = quantities.get(line.ticket_type_id, 0) + line.quantity
    after = stocks.give_back(transaction, stock, quantities, context.now)
    stocks.mark_returned(transaction, lines, after, context.now)
    return [(event, events[0].cause) for event in stock_events(after)]
