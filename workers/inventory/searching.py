"""Search terms of events that lack them: events of before the index, and those that an older release changed.

In: events whose terms are stale. Out: their terms. Must stay true: what another transaction holds is left for later.
"""

from db import event_search
from db.mysql.database import Transaction
from workers.runtime.services import Services
from workers.runtime.sweeps import Sweeper

BATCH = 100


async def sweep(services: Services) -> int:
    """Refresh at most 100 events; how many were stale."""
    stale = await event_search.stale(services.database, BATCH)
    if stale:

        async def work(transaction: Transaction) -> None:
            await event_search.refresh(transaction, stale)

        await services.database.run(work)
    return len(stale)


SEARCH = Sweeper("event search", sweep, BATCH, idle_seconds=5.0, alone=True)
