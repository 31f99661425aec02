"""Tickets whose event was lost: a queue that somebody deleted or purged, a broker that lost its disks.

In: orders that ended a while ago and still owe their tickets. Out: the same as of their events: stock, StockChanged.
Must stay true: whether the event comes after all or not, each line comes back once (`give_back_orders`); an order
that cannot be given back holds up no other.
"""

from collections.abc import Sequence

import structlog

from db import returns
from db.messages.outbox import Cause
from db.mysql.database import Transaction, is_away, is_transient
from workers.inventory.returns import give_back_orders
from workers.runtime.handlers import Context
from workers.runtime.metrics import OVERDUE_RETURNS
from workers.runtime.services import Services
from workers.runtime.sweeps import Sweeper

log = structlog.get_logger(__name__)

BATCH = 200


async def sweep(services: Services) -> int:
    """Give back what at most 200 orders owe; how many were dealt with."""
    orders = await returns.overdue(services.database, services.settings.returns_overdue, BATCH)
    if not orders:
        return 0
    log.warning("tickets had not come back by their event", orders=len(orders), first=orders[0])
    try:
        await _give_back(services, orders)
        dealt_with = len(orders)
    except Exception as error:
        if is_away(error) or is_transient(error):
            raise
        dealt_with = sum([await _alone(services, order) for order in orders])
    OVERDUE_RETURNS.inc(dealt_with)
    return dealt_with


async def _alone(services: Services, order: int) -> bool:
    try:
        await _give_back(services, [order])
    except Exception as error:
        if is_away(error) or is_transient(error):
            raise
        log.exception("an order's tickets cannot be given back", order=order)
        return False
    return True


async def _give_back(services: Services, orders: Sequence[int]) -> None:
    async def work(transaction: Transaction) -> None:
        context = Context(transaction, await transaction.now(), services.settings, services.redis)
        changes = await give_back_orders(context, orders)
        # All of them: a worker of before this table gives back without a look at it.
        returns.settle(transaction, orders)
        cause = Cause("overdue-returns", None)
        services.outbox.add(transaction, context.now, [(event, cause) for event in changes])

    await services.database.run(work)


OVERDUE = Sweeper("overdue returns", sweep, BATCH, idle_seconds=5.0, alone=True)
