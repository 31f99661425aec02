"""What holds for every queue, read off the data."""

from contracts.commands import COMMANDS
from contracts.events import EVENTS, routing_key
from contracts.messaging.topology import (
    DEAD_QUEUE,
    DISCONNECTED_MS,
    EVENT_SUBSCRIPTIONS,
    RETRY_STEPS,
    Topology,
    retry_queue,
    retry_step,
    topology,
)
from db.messages.leases import LEASE_SECONDS

WHOLE: Topology = topology(shards=4, queue_length=100)
LADDER = {retry_queue(seconds) for seconds in RETRY_STEPS}


def test_every_queue_is_a_quorum_queue_with_a_delivery_limit() -> None:
    """No default of a broker is relied on; steps of the ladder have no consumers to count."""
    for queue in WHOLE.queues:
        assert queue.arguments["x-queue-type"] == "quorum"
        assert queue.name in LADDER or "x-delivery-limit" in queue.arguments


def test_every_consumer_of_a_lost_node_is_replaced_within_a_leases_time() -> None:
    """RabbitMQ 4.3 waits a minute unless it is told otherwise; steps of the ladder have no consumers."""
    told = {
        queue.name: queue.arguments.get("x-consumer-disconnected-timeout")
        for queue in WHOLE.queues
        if queue.name not in LADDER
    }
    assert set(told.values()) == {DISCONNECTED_MS}
    assert DISCONNECTED_MS / 1000 <= LEASE_SECONDS


def test_what_gives_up_a_message_hands_it_on_at_least_once() -> None:
    """At-least-once dead-lettering needs reject-publish, else it silently is at-most-once."""
    for queue in WHOLE.queues:
        if queue.name != DEAD_QUEUE:
            assert queue.arguments["x-dead-letter-strategy"] == "at-least-once"
            assert queue.arguments["x-overflow"] == "reject-publish"


def test_only_command_queues_are_bounded() -> None:
    """Stock can always come back, events can always leave the outbox."""
    bounded = {queue.name for queue in WHOLE.queues if "x-max-length" in queue.arguments}
    owners = {"catalogue", "order", "payment", "quote", "admission"}
    assert bounded == {f"inventory.{n}" for n in range(4)} | owners


def test_every_working_queue_can_be_retried_into() -> None:
    """The end of the ladder leads back to every queue but the ladder's own and the dead."""
    again = {one.queue for one in WHOLE.bindings if one.exchange == "eventhub.again"}
    assert again == {queue.name for queue in WHOLE.queues} - LADDER - {DEAD_QUEUE}


def test_every_command_has_a_queue_and_every_event_a_listener() -> None:
    """An unroutable message would be returned for ever."""
    names = {queue.name for queue in WHOLE.queues}
    for command in COMMANDS.values():
        assert command.OWNER in names or f"{command.OWNER}.0" in names
    assert EVENT_SUBSCRIPTIONS["notify"] == ("#",)
    assert all(routing_key(event, 3) for event in EVENTS.values())


def test_the_ladder_climbs_and_stays_on_its_last_step() -> None:
    """1, 5, 30, 120, 120 … seconds."""
    assert [retry_step(n) for n in range(1, 7)] == [1, 5, 30, 120, 120, 120]
