"""Metrics of a process in the Prometheus text format.

In: counters, gauges and histograms that modules make from a `Metrics` they are given. Out: the body of `GET /metrics`.
Must stay true: names begin with `eventhub_`, durations are seconds; labels take few values (never an id).
"""

from bisect import bisect_left
from collections.abc import Iterable, Sequence

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    generate_latest,
)
from prometheus_client.core import HistogramMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.registry import Collector

CONTENT_TYPE = CONTENT_TYPE_LATEST
SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
"""Buckets for durations: from one millisecond to the longest wait a client may ask for."""


class Durations:
    """Seconds counted by `SECONDS`' buckets (the last is +Inf), at the cost of two additions; for one thread alone."""

    __slots__ = ("buckets", "total")

    def __init__(self) -> None:
        self.buckets = [0] * (len(SECONDS) + 1)
        self.total = 0.0

    def observe(self, seconds: float) -> None:
        self.buckets[bisect_left(SECONDS, seconds)] += 1
        self.total += seconds

    def cumulated(self) -> list[tuple[str, float]]:
        """(upper bound, how many were at most that), as Prometheus has them."""
        found, so_far = [], 0
        for bound, count in zip([*map(str, SECONDS), "+Inf"], self.buckets, strict=True):
            so_far += count
            found.append((bound, float(so_far)))
        return found


class _DurationsCollector(Collector):
    """One histogram without labels."""

    def __init__(self, name: str, what: str) -> None:
        self.durations = Durations()
        self._name, self._what = name, what

    def collect(self) -> Iterable[Metric]:
        """What Prometheus asks for."""
        family = HistogramMetricFamily(self._name, self._what)
        family.add_metric((), self.durations.cumulated(), self.durations.total)
        yield family


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

    def durations(self, name: str, what: str) -> Durations:
        """A histogram of seconds for what happens with every request: no lock, a tenth of `histogram`'s cost."""
        collector = _DurationsCollector(f"eventhub_{name}", what)
        self.registry.register(collector)
        return collector.durations

    def render(self) -> bytes:
        """Everything as the text exposition format."""
        return generate_latest(self.registry)
