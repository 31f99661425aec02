"""Requests counted and timed, at the cost of two additions: the numbers are put into Prometheus' shape when it asks.

In: an operation, a status, seconds. Out: `eventhub_http_requests_total`, `eventhub_http_request_seconds`.
Must stay true: counts only rise; used from the event loop alone (no lock).
"""

from collections import defaultdict
from collections.abc import Iterable

from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from contracts.runtime.metrics import Durations, Metrics


class RequestMetrics(Collector):
    """Collects for one registry."""

    def __init__(self, metrics: Metrics) -> None:
        self._counts: dict[tuple[str, int], int] = defaultdict(int)
        self._spans: dict[str, Durations] = defaultdict(Durations)
        metrics.registry.register(self)

    def add(self, operation: str, status: int, seconds: float) -> None:
        """One answered request."""
        self._counts[operation, status] += 1
        self._spans[operation].observe(seconds)

    def collect(self) -> Iterable[Metric]:
        """What Prometheus asks for."""
        requests = CounterMetricFamily(
            "eventhub_http_requests", "Requests answered", labels=("operation", "status")
        )
        for (operation, status), count in self._counts.items():
            requests.add_metric((operation, str(status)), count)
        yield requests
        durations = HistogramMetricFamily(
            "eventhub_http_request_seconds", "Time to answer", labels=("operation",)
        )
        for operation, spans in self._spans.items():
            durations.add_metric((operation,), spans.cumulated(), spans.total)
        yield durations
