"""Metrics of a process in the Prometheus text format.

In: counters, gauges and histograms that modules make from a `Metrics` they are given. Out: the body of `GET /metrics`.
Must stay true: names begin with `eventhub_`, durations are seconds; labels take few values (never an id).
"""

from collections.abc import Sequence

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    generate_latest,
)
from prometheus_client.exposition import CONTENT_TYPE_LATEST

CONTENT_TYPE = CONTENT_TYPE_LATEST
SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
"""Buckets for durations: from one millisecond to the longest wait a client may ask for."""


class Metrics:
    """One process's metrics: a registry of its own, so that tests can have several side by side."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)

    def counter(self, name: str, what: str, labels: Sequence[str] = ()) -> Counter:
        """A number that only rises; `name` without the `eventhub_` prefix and the `_total` suffix."""
        return Counter(f"eventhub_{name}", what, labels, registry=self.registry)

    def gauge(self, name: str, what: str, labels: Sequence[str] = ()) -> Gauge:
        """A number that rises and falls."""
        return Gauge(f"eventhub_{name}", what, labels, registry=self.registry)

    def histogram(
        self,
        name: str,
        what: str,
        labels: Sequence[str] = (),
        buckets: Sequence[float] = SECONDS,
    ) -> Histogram:
        """How values are spread; durations in seconds by default."""
        return Histogram(f"eventhub_{name}", what, labels, registry=self.registry, buckets=buckets)

    def render(self) -> bytes:
        """Everything as the text exposition format."""
        return generate_latest(self.registry)
