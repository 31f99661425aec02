"""Every exchange, queue and binding of EventHub as data: who listens where is read off here.

In: the number of shards and the length of command queues. Out: lists that `contracts.messaging.link.declare` declares.
Must stay true: all queues of this list are quorum queues with our own delivery limit and at-least-once dead-lettering
(the broadcast's listeners and `contracts.messaging.quorum_probe` declare their own: nothing is kept on them); only
command queues refuse (bounded, `reject-publish`), so stock can always come back; nothing relies on a broker's default.

    eventhub.commands  direct   -> inventory.{n} catalogue order payment quote admission
    eventhub.events    topic    -> inventory.{n}.returns order.events payment.events notify
    eventhub.news      fanout   -> news.{gateway}.{n}              (unconfirmed, each gateway declares its own)
    eventhub.rates     topic    -> quote.rates                     (providers write here and nowhere else)
    eventhub.retry.{n}s fanout  -> retry.{n}s  -- after its time -->  eventhub.again direct -> the queue it came from
    eventhub.dead      fanout   -> dead                            (the relay process writes them to `dead_letters`)
"""

from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from contracts.commands import Owner

COMMANDS_EXCHANGE = "eventhub.commands"
EVENTS_EXCHANGE = "eventhub.events"
BROADCAST_EXCHANGE = "eventhub.news"
RATES_EXCHANGE = "eventhub.rates"
AGAIN_EXCHANGE = "eventhub.again"
DEAD_EXCHANGE = "eventhub.dead"
DEAD_QUEUE = "dead"
NOTIFY_QUEUE = "notify"
CATALOGUE_QUEUE = "catalogue"
"""Commands on events and ticket types of all shards."""
RATES_QUEUE = "quote.rates"
"""What providers send; plain JSON or CloudEvents, unsigned: the broker vouches for `user_id`."""

DELIVERY_LIMIT = 20
"""How often the broker delivers a message again before it gives up on it (crash loops)."""
DISCONNECTED_MS = 3000
"""After so long the messages of a consumer whose broker node is gone go to another (RabbitMQ 4.3; older ones do so at
once). As long as a lease: a shard is served again soon after; its own default is a minute."""
RETRY_STEPS = (1, 5, 30, 120)
"""Seconds of each step of the retry ladder; the last repeats until the attempts are used up."""
RETRY_ATTEMPTS_MAX = 12
"""How often a message climbs the ladder before it is dead-lettered."""


@dataclass(frozen=True, slots=True)
class Exchange:
    name: str
    kind: Literal["direct", "topic", "fanout"]


@dataclass(frozen=True, slots=True)
class Queue:
    """A durable quorum queue and its arguments: part of its identity, a broker refuses to have it with others."""

    name: str
    arguments: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Binding:
    """`queue` receives what is published to `exchange` under `key`."""

    exchange: str
    queue: str
    key: str


@dataclass(frozen=True, slots=True)
class Topology:
    """All that must exist before anybody publishes or consumes."""

    exchanges: tuple[Exchange, ...]
    queues: tuple[Queue, ...]
    bindings: tuple[Binding, ...]
    _by_name: dict[str, Queue] = field(init=False, repr=False, compare=False, hash=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_by_name", {queue.name: queue for queue in self.queues})

    def queue(self, name: str) -> Queue:
        """The queue of that name. Raises KeyError."""
        return self._by_name[name]


EVENT_SUBSCRIPTIONS: dict[str, tuple[str, ...]] = {
    "order.events": ("event.cancelled",),
    "payment.events": ("order.items_added", "order.cancelled.*", "order.expired.*"),
    NOTIFY_QUEUE: ("#",),
}
"""Queue -> the topics of `eventhub.events` it hears. Inventory's returns are added per shard."""


def inventory_queue(shard: int) -> str:
    """Commands of a shard's events."""
    return f"inventory.{shard}"


def returns_queue(shard: int) -> str:
    """Stock that comes back to a shard; no length limit, taken before orders."""
    return f"inventory.{shard}.returns"


def retry_queue(seconds: int) -> str:
    """One step of the retry ladder."""
    return f"retry.{seconds}s"


def shard_of(event_id: int, shards: int) -> int:
    """The shard that owns an event's stock."""
    return event_id % shards


def retry_exchange(seconds: int) -> str:
    """The way onto a step: a fanout, so that the routing key stays the queue to come back to."""
    return f"eventhub.retry.{seconds}s"


def retry_step(attempt: int) -> int:
    """Seconds to wait before the n-th attempt to come (from 1)."""
    return RETRY_STEPS[min(attempt, len(RETRY_STEPS)) - 1]


EXCHANGES = (
    Exchange(COMMANDS_EXCHANGE, "direct"),
    Exchange(EVENTS_EXCHANGE, "topic"),
    Exchange(BROADCAST_EXCHANGE, "fanout"),
    Exchange(RATES_EXCHANGE, "topic"),
    *(Exchange(retry_exchange(seconds), "fanout") for seconds in RETRY_STEPS),
    Exchange(AGAIN_EXCHANGE, "direct"),
    Exchange(DEAD_EXCHANGE, "fanout"),
)


def topology(shards: int, queue_length: int) -> Topology:
    """Everything, for so many inventory shards."""
    commands = [inventory_queue(n) for n in range(shards)]
    commands += [owner for owner in get_args(Owner) if owner != "inventory"]
    returns = [returns_queue(n) for n in range(shards)]
    listeners = [*returns, *EVENT_SUBSCRIPTIONS, RATES_QUEUE]
    queues = [_command_queue(name, queue_length) for name in commands]
    # One consumer at a time where order decides: a provider's reports are judged against the one before,
    # a receiver hears the events of one order in their order.
    single = {*returns, RATES_QUEUE, NOTIFY_QUEUE}
    queues += [Queue(name, _work_arguments(single=name in single)) for name in listeners]
    queues += [_retry_step(seconds) for seconds in RETRY_STEPS]
    queues.append(_dead_queue())
    return Topology(EXCHANGES, tuple(queues), tuple(_bindings(shards, commands, listeners)))


def _work_arguments(*, single: bool) -> dict[str, Any]:
    arguments: dict[str, Any] = {
        "x-queue-type": "quorum",
        "x-delivery-limit": DELIVERY_LIMIT,
        "x-dead-letter-exchange": DEAD_EXCHANGE,
        "x-dead-letter-strategy": "at-least-once",
        # At-least-once dead-lettering needs reject-publish, else it silently is at-most-once.
        "x-overflow": "reject-publish",
        "x-consumer-disconnected-timeout": DISCONNECTED_MS,
    }
    if single:
        arguments["x-single-active-consumer"] = True
    return arguments


def _command_queue(name: str, length: int) -> Queue:
    # What is said of one event is done in its order, whichever inventory process does it.
    arguments = _work_arguments(single=name == CATALOGUE_QUEUE or name.startswith("inventory."))
    return Queue(name, arguments | {"x-max-length": length})


def _retry_step(seconds: int) -> Queue:
    return Queue(
        retry_queue(seconds),
        {
            "x-queue-type": "quorum",
            "x-message-ttl": seconds * 1000,
            "x-dead-letter-exchange": AGAIN_EXCHANGE,
            "x-dead-letter-strategy": "at-least-once",
            "x-overflow": "reject-publish",
        },
    )


def _dead_queue() -> Queue:
    return Queue(
        DEAD_QUEUE,
        {
            "x-queue-type": "quorum",
            "x-delivery-limit": 1_000_000,
            "x-consumer-disconnected-timeout": DISCONNECTED_MS,
        },
    )


def _bindings(shards: int, commands: list[str], listeners: list[str]) -> list[Binding]:
    bindings = [Binding(COMMANDS_EXCHANGE, name, name) for name in commands]
    bindings += [Binding(AGAIN_EXCHANGE, name, name) for name in (*commands, *listeners)]
    for queue, topics in EVENT_SUBSCRIPTIONS.items():
        bindings += [Binding(EVENTS_EXCHANGE, queue, topic) for topic in topics]
    for shard in range(shards):
        for topic in ("order.cancelled", "order.expired"):
            bindings.append(Binding(EVENTS_EXCHANGE, returns_queue(shard), f"{topic}.{shard}"))
    bindings += [Binding(retry_exchange(n), retry_queue(n), "") for n in RETRY_STEPS]
    bindings.append(Binding(RATES_EXCHANGE, RATES_QUEUE, "rates.#"))
    bindings.append(Binding(DEAD_EXCHANGE, DEAD_QUEUE, ""))
    return bindings
