"""`python -m workers.relay`: the outbox to the broker, dead letters to their table; several share the streams."""

from contracts.messaging.topology import DEAD_QUEUE
from db.retention import keep_forgetting
from workers.relay.broadcast import telling
from workers.relay.dead_letters import consume_dead_letters
from workers.relay.depths import measure_depths
from workers.relay.publishing import relay_outbox
from workers.relay.scene import scene
from workers.runtime.process import Worker, main
from workers.runtime.services import Services


async def relay(services: Services) -> None:
    """Publish events to whoever must hear them, and the broadcast to gateways."""
    async with telling(services) as tell:
        await relay_outbox(services, tell)


async def forget(services: Services) -> None:
    """Retention: several relays may do it at once, each step is one short statement."""
    retention = services.settings.outcome_retention
    await keep_forgetting(services.database, retention, services.stop)


def make(services: Services) -> Worker:
    """No CloudEvents of its own: whatever is dead is taken as it is."""
    return Worker(
        "relay",
        {},
        queues=(DEAD_QUEUE,),
        jobs=[relay, measure_depths, forget],
        raw=lambda _: {DEAD_QUEUE: consume_dead_letters(services)},
        scene=scene,
    )


if __name__ == "__main__":
    main(make)
