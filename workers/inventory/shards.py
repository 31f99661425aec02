"""Which shards this inventory process serves: leases decide, the intake follows.

In: leases gained and lost. Out: subscriptions to a shard's two queues.
Must stay true: returns are subscribed in the lane that is taken first; a lost shard is unsubscribed
before its lease is given back; what had arrived is still decided (versions guard the overlap), but
for a process that the database has been away from for a lease's time: it lets go of everything for
the others.
"""

from contracts.messaging.topology import inventory_queue, returns_queue
from db.messages.leases import Share
from workers.runtime.intake import COMMANDS_LANE, FIRST_LANE
from workers.runtime.metrics import LEASES_HELD
from workers.runtime.services import Services

KIND = "shard"


async def serve_shards(services: Services) -> None:
    """Hold a fair share of the shards until the process stops."""

    async def gain(name: str) -> None:
        await services.intake.subscribe(returns_queue(int(name)), FIRST_LANE)
        await services.intake.subscribe(inventory_queue(int(name)), COMMANDS_LANE)
        LEASES_HELD.labels(KIND).inc()

    async def lose(name: str) -> None:
        await services.intake.unsubscribe(inventory_queue(int(name)))
        await services.intake.unsubscribe(returns_queue(int(name)))
        LEASES_HELD.labels(KIND).dec()

    names = [str(shard) for shard in range(services.settings.shards)]
    holder = (services.settings.process, services.incarnation)
    share = Share(
        services.database,
        KIND,
        names,
        holder,
        on_gain=gain,
        on_loss=lose,
        on_lapse=services.intake.let_go,
        able=lambda: services.intake.is_open,
    )
    await share.run(services.stop)
