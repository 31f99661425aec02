"""What the gateway counts of commands.

In: what happens to a command in this process. Out: series of `GET /metrics`.
Must stay true: labels are command types, codes and names of errors: few values each, never an id.
"""

from collections.abc import Callable

from prometheus_client import Counter

from contracts.runtime.metrics import Metrics


class CommandMetrics:
    """The series, made once per process."""

    def __init__(self, metrics: Metrics) -> None:
        self._accepted = metrics.counter(
            "commands_accepted", "Commands that the broker confirmed", ["type"]
        )
        self._refused = metrics.counter(
            "commands_refused", "Calls that the gateway refused before a command was made", ["code"]
        )
        # Looked up once per type and code: labels() costs more than the counting.
        self._of_type: dict[str, Counter] = {}
        self._of_code: dict[str, Counter] = {}
        self.publish_failures = metrics.counter(
            "publish_failures", "Publishes without a confirm, by how they ended", ["end"]
        )
        self.replayed = metrics.counter(
            "commands_replayed", "Calls answered by the command of their Idempotency-Key"
        )
        self.confirm_seconds = metrics.durations(
            "publish_confirm_seconds", "From handing a command over to the broker's confirm"
        )
        self.decided_seconds = metrics.durations(
            "decision_seconds", "From acceptance to the decision that a waiting client got"
        )
        self._waiting = metrics.gauge("waiting_clients", "Clients that wait for a decision")
        self._pushes = metrics.gauge("pushes_arrive", "1 while Redis delivers outcomes")

    def accepted(self, type_: str) -> None:
        """A command of this type was confirmed."""
        counter = self._of_type.get(type_)
        if counter is None:
            counter = self._of_type[type_] = self._accepted.labels(type_)
        counter.inc()

    def refused(self, code: str) -> None:
        """A call was refused with this code, without a command."""
        counter = self._of_code.get(code)
        if counter is None:
            counter = self._of_code[code] = self._refused.labels(code)
        counter.inc()

    def watch(self, waiting: Callable[[], int], pushes_arrive: Callable[[], bool]) -> None:
        """Read these two when they are scraped."""
        self._waiting.set_function(waiting)
        self._pushes.set_function(pushes_arrive)
