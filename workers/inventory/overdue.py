"""Tickets whose event was lost: a queue that somebody deleted or purged, a broker that lost its disks.

In: orders that ended a while ago and still owe their tickets. Out: the same as of their events: stock, StockChanged.
Must stay true: whether the event comes after all or not, each line comes back once (`give_back_orders`).
"""

import structlog

from db import returns
from db.mysql import Transaction
from db.outbox import Cause
from workers.handlers import Context
from workers.inventory.returns import give_back_orders
from workers.measures import OVERDUE_RETURNS
from workers.process import Services
from workers.sweeping import Sweeping

log = structlog.get_logger(__name__)

OVERDUE_SECONDS = 30
"""A return takes a fraction of a second, on the retry ladder a few; later it is not coming."""
BATCH = 200


async def sweep(services: Services) -> int:
    """Give back what at most 200 orders owe; how many there were."""
    orders = await returns.overdue(services.database, OVERDUE_SECONDS, BATCH)

    async def work(transaction: Transaction) -> None:
        context = Context(transaction, await transaction.now(), services.settings, services.redis)
        changes = await give_back_orders(context, orders)
        cause = Cause("overdue-returns", None)
        services.outbox.add(transaction, context.now, [(event, cause) for event in changes])

    if orders:
        log.warning("tickets had not come back by their event", orders=len(orders), first=orders[0])
        await services.database.run(work)
        OVERDUE_RETURNS.inc(len(orders))
    return len(orders)


OVERDUE = Sweeping("overdue returns", sweep, BATCH, idle_seconds=5.0)
