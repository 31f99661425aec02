"""OrderCancelled, OrderExpired: tickets come back.

In: ended orders. Out: StockChanged per ticket type; the lines remember the step that gave them back.
Must stay true: a line comes back exactly once, however often the event is heard: only lines without a
`returned_version` count, and they are locked after their ticket type.
"""

from collections.abc import Iterable, Sequence

from contracts.events import OrderEvent
from db import returns
from db import stock as stocks
from db.messages.outbox import NewEvent
from workers.inventory.placing import stock_events
from workers.runtime.handlers import Context, NewEvents, Received


async def give_back(context: Context, events: Sequence[Received[OrderEvent]]) -> NewEvents:
    """Put the tickets of ended orders back on sale."""
    changes = await give_back_orders(context, {one.message.order["id"] for one in events})
    return [(event, events[0].cause) for event in changes]


async def give_back_orders(context: Context, order_ids: Iterable[int]) -> list[NewEvent]:
    """The same for whoever knows the orders: one version step per ticket type, and what it makes true."""
    transaction, wanted = context.transaction, set(order_ids)
    candidates = await stocks.unreturned(transaction, wanted, lock=False)
    stock = await stocks.read(transaction, (line.ticket_type_id for line in candidates), lock=True)
    lines = await stocks.unreturned(transaction, wanted, lock=True)
    quantities: dict[int, int] = {}
    for line in lines:
        quantities[line.ticket_type_id] = quantities.get(line.ticket_type_id, 0) + line.quantity
    after = stocks.give_back(transaction, stock, quantities, context.now)
    stocks.mark_returned(transaction, lines, after, context.now)
    returns.settle(transaction, (line.order_id for line in lines))
    return stock_events(after)
