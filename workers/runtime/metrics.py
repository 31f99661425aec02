"""What every worker measures; served as `/metrics` by `workers.runtime.process`."""

from prometheus_client import Counter, Gauge, Histogram

DECIDED = Counter(
    "eventhub_commands_decided_total", "Commands that got their outcome", ["type", "code"]
)
BATCH_COMMANDS = Histogram(
    "eventhub_batch_commands",
    "Commands decided in one transaction",
    buckets=(1, 2, 4, 8, 16, 32, 64, 128, 256),
)
OLDEST_UNDECIDED = Gauge(
    "eventhub_oldest_undecided_seconds",
    "Seconds since the acceptance of the oldest command that this process has in hand",
)
MESSAGES = Counter("eventhub_messages_total", "Messages by queue kind and end", ["queue", "end"])
SEAT_WAIT = Histogram(
    "eventhub_seat_wait_seconds",
    "How long commands waited for a seat that somebody else had locked",
    buckets=(0.02, 0.05, 0.1, 0.2, 0.5),
)
STEP_SECONDS = Histogram(
    "eventhub_step_seconds",
    "Where a batch's time goes: accepted to received, then locking, transaction, push",
    ["step"],
    buckets=(0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5, 30),
)
WAITING_MESSAGES = Gauge("eventhub_intake_waiting", "Messages that arrived and were not taken yet")
OUTBOX_WAITING = Gauge("eventhub_outbox_waiting", "Events that wait for the broker")
OUTBOX_LAG = Gauge(
    "eventhub_outbox_lag_seconds", "Age of the oldest event that waits for the broker"
)
RELAYED = Counter("eventhub_events_relayed_total", "Events that the broker confirmed")
BROADCASTS_DROPPED = Counter(
    "eventhub_news_dropped_total", "Broadcast messages that the broker did not take"
)
RELAY_BATCH = Histogram(
    "eventhub_relay_batch_events",
    "Events in one message",
    buckets=(1, 2, 4, 8, 16, 32, 64, 128, 256),
)
QUEUE_MESSAGES = Gauge("eventhub_queue_messages", "Messages waiting in a queue", ["queue"])
LEASES_HELD = Gauge("eventhub_leases_held", "Names this process holds", ["kind"])
EXPIRED = Counter("eventhub_orders_expired_total", "Unpaid orders ended by the sweep")
OVERDUE_RETURNS = Counter(
    "eventhub_overdue_returns_total", "Ended orders whose tickets came back without their event"
)
