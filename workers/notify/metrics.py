"""What the notify worker measures, beside what every worker does."""

from prometheus_client import Counter, Gauge, Histogram

ATTEMPTS = Counter("eventhub_webhook_attempts_total", "Attempts by how they ended", ["end"])
LATENCY = Histogram(
    "eventhub_webhook_latency_seconds",
    "From the commit of an event to its delivery at the first attempt",
    buckets=(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0),
)
ON_THE_WAY = Gauge("eventhub_webhook_attempts_running", "Attempts under way")
NOTIFIED = Counter("eventhub_events_notified_total", "Events written to the log", ["type"])
