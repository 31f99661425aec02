"""The expiry sweep (the specification's ExpiredOrderJob): ends unpaid orders whose time is over.

In: the database's clock. Out: orders EXPIRED, their events in the outbox.
Must stay true: candidates are read without a lock, then locked by id with SKIP LOCKED and looked at
again; one sweep runs at a time (a lease), and it goes on at once while there is more to end.
"""

import asyncio
from collections.abc import Sequence

import structlog

from contracts import failpoints
from contracts.orders import OrderStatus
from db import orders
from db.leases import Share
from db.mysql import Transaction, is_away, is_transient
from db.outbox import Cause
from workers.handlers import Context
from workers.measures import EXPIRED
from workers.order.ending import end
from workers.order.lifecycle import expires
from workers.process import Services

log = structlog.get_logger(__name__)

BATCH = 200
IDLE_SECONDS = 0.25


async def expire_orders(services: Services) -> None:
    """Sweep while this process holds the lease, until it stops."""
    holder = (services.settings.process, services.incarnation)
    share = Share(services.database, "job", ["expiry"], holder, on_gain=_nothing, on_loss=_nothing)
    beating = asyncio.create_task(share.run(services.stop))
    while not services.stop.is_set():
        ended = await _try_sweep(services) if share.held else 0
        if ended < BATCH:
            await services.rest(IDLE_SECONDS)
    await beating


async def sweep(services: Services) -> int:
    """End at most 200 orders; how many candidates there were."""
    candidates = await orders.past_deadline(services.database, BATCH)
    if candidates:
        failpoints.reach("expiry.selected")
        ended = await end_all(services, candidates)
        failpoints.reach("expiry.committed")
        EXPIRED.inc(ended)
    return len(candidates)


async def end_all(services: Services, ids: Sequence[int]) -> int:
    """End those of `ids` that are free and really over; how many ended."""

    async def work(transaction: Transaction) -> int:
        locked = await orders.lock(transaction, ids, skip_locked=True)
        context = Context(transaction, await transaction.now(), services.settings, services.redis)
        over = [one for one in locked.values() if expires(one.row, context.now)]
        details = await orders.details(transaction, (one.row.id for one in over))
        ended = end(context, over, details, OrderStatus.EXPIRED, "deadline")
        cause = Cause("expiry-sweep", None)
        services.outbox.add(transaction, context.now, [(event, cause) for _, event in ended])
        await transaction.flush()
        failpoints.reach("expiry.written")
        return len(ended)

    return await services.database.run(work)


async def _try_sweep(services: Services) -> int:
    try:
        return await sweep(services)
    except Exception as error:
        if not (is_away(error) or is_transient(error)):
            raise
        log.warning("sweep failed, trying again", error=repr(error))
        return 0


async def _nothing(_: str) -> None:
    """The lease is looked at before each sweep; its coming and going needs no action."""
