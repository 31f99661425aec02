"""Quotes that can no longer pay become EXPIRED, so that who looks at them sees it.

In: OrderItemsAdded, OrderCancelled, OrderExpired; the database's clock (the sweep). Out: payments EXPIRED.
Must stay true: nothing depends on this: a confirmation looks at order, total and clock itself. Only payments
are locked here, by primary key, so the one lock order holds.
"""

from collections.abc import Sequence
from decimal import Decimal

from contracts.events import OrderEvent, OrderItemsAdded
from db import payments
from db.mysql.database import Transaction
from workers.runtime.handlers import Context, NewEvents, Received
from workers.runtime.services import Services
from workers.runtime.sweeps import Sweeper

BATCH = 500


async def end_quotes(context: Context, events: Sequence[Received[OrderEvent]]) -> NewEvents:
    """End the pending quotes of these orders: all of an ended order, else those of a smaller total.

    Totals only grow, so a quote of a larger total than the event's was made after it and stands.
    """
    pending = await payments.pending_of(
        context.transaction, (one.message.order["id"] for one in events)
    )
    floor: dict[int, Decimal] = {}
    for one in events:
        order_id = one.message.order["id"]
        floor[order_id] = max(floor.get(order_id, Decimal()), _smallest_that_stands(one.message))
    over = [
        payment_id for payment_id, (order_id, total) in pending.items() if total < floor[order_id]
    ]
    await payments.end(context.transaction, over, context.now)
    return []


def _smallest_that_stands(event: OrderEvent) -> Decimal:
    added = isinstance(event, OrderItemsAdded)
    return Decimal(event.order["totalCost"]) if added else Decimal("Infinity")


async def sweep(services: Services) -> int:
    """End at most 500 quotes; how many ended."""
    ids = await payments.past_their_time(services.database, BATCH)

    async def work(transaction: Transaction) -> int:
        return await payments.end_past_their_time(transaction, ids)

    return await services.database.run(work) if ids else 0


OLD_QUOTES = Sweeper("old quotes", sweep, BATCH, idle_seconds=1.0)
