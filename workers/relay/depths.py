"""How many messages wait in each queue, for `/metrics`.

In: the broker, asked every 5 s by passive declarations on a connection of their own. Out: the gauge
`eventhub_queue_messages`.
Must stay true: measuring never disturbs: a queue that is missing closes this channel and no other.
"""

from aio_pika.abc import AbstractChannel

from contracts.messaging.link import (
    LINK_ERRORS,
    BrokerAway,
    Link,
    library_endings,
)
from contracts.messaging.topology import topology
from workers.runtime.metrics import QUEUE_MESSAGES
from workers.runtime.services import Services

EVERY_SECONDS = 5.0


async def measure_depths(services: Services) -> None:
    """Ask until the process stops."""
    settings = services.settings
    link = Link(settings.amqp_url.get_secret_value(), f"{settings.process} depths")
    names = [queue.name for queue in topology(settings.shards, settings.queue_length).queues]
    await link.start()
    while not services.stop.is_set():
        try:
            with library_endings():
                await _ask(link.channel, names)
        except (BrokerAway, *LINK_ERRORS):
            QUEUE_MESSAGES.clear()
        await services.rest(EVERY_SECONDS)
    await link.stop()


async def _ask(channel: AbstractChannel, names: list[str]) -> None:
    for name in names:
        queue = await channel.declare_queue(name, passive=True)
        QUEUE_MESSAGES.labels(name).set(queue.declaration_result.message_count or 0)
