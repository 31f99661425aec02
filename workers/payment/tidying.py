"""Quotes that can no longer pay become EXPIRED, so that who looks at them sees it.

In: OrderItemsAdded, OrderCancelled, OrderExpired; the database's clock (the sweep). Out: payments EXPIRED.
Must stay true: nothing depends on this: a confirmation looks at order, total and clock itself. Only payments
are locked here, by primary key, so the one lock order holds.
"""

import asyncio
from collections.abc import Sequence
from decimal import Decimal

import structlog

from contracts.events import OrderEvent, OrderItemsAdded
from db import payments
from db.mysql import Transaction, is_away, is_transient
from workers.handlers import Context, NewEvents, Received
from workers.process import Services

log = structlog.get_logger(__name__)

BATCH = 500
SWEEP_SECONDS = 1.0


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


async def end_old_quotes(services: Services) -> None:
    """The sweep: pending quotes past their time, every second, until the process stops."""
    while not services.stop.is_set():
        try:
            ended = await sweep(services)
        except Exception as error:
            if not (is_away(error) or is_transient(error)):
                raise
            log.warning("quotes not swept, trying again", error=repr(error))
            ended = 0
        if ended < BATCH:
            await _pause(services.stop)


async def sweep(services: Services) -> int:
    """End at most 500 quotes; how many ended. Several workers may do so at once."""
    ids = await payments.past_their_time(services.database, BATCH)

    async def work(transaction: Transaction) -> int:
        return await payments.end_past_their_time(transaction, ids)

    return await services.database.run(work) if ids else 0


async def _pause(stop: asyncio.Event) -> None:
    try:
        async with asyncio.timeout(SWEEP_SECONDS):
            await stop.wait()
    except TimeoutError:
        return
