"""The expiry sweep (the specification's ExpiredOrderJob): ends unpaid orders whose time is over.

In: the database's clock. Out: orders EXPIRED, their events in the outbox.
Must stay true: candidates are read without a lock, then locked by id with SKIP LOCKED and looked at
again; one process at a time sweeps (`workers.runtime.sweeps`).
"""

from collections.abc import Sequence

from contracts.orders import OrderStatus
from contracts.runtime import failpoints
from db import orders
from db.messages.outbox import Cause
from db.mysql.database import Transaction
from workers.order.ending import end
from workers.order.lifecycle import expires
from workers.runtime.handlers import Context
from workers.runtime.metrics import EXPIRED
from workers.runtime.services import Services
from workers.runtime.sweeps import Sweeper

BATCH = 200


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


EXPIRY = Sweeper("expiry", sweep, BATCH, idle_seconds=0.25, alone=True)
