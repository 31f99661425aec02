"""What the gateway counts of commands.

In: events of the command's road through this process. Out: series of `GET /metrics`.
Must stay true: labels are command types, codes and names of errors: few values each, never an id.
"""

from collections.abc import Callable

from contracts.metrics import Metrics


class CommandMetrics:
    """The series, made once per process."""

    def __init__(self, metrics: Metrics) -> None:
        self.accepted = metrics.counter(
            "commands_accepted", "Commands that the broker confirmed", ["type"]
        )
        self.refused = metrics.counter(
            "commands_refused", "Calls that the gateway refused before a command was made", ["code"]
        )
        self.publish_failures = metrics.counter(
            "publish_failures", "Publishes without a confirm, by how they ended", ["end"]
        )
        self.replayed = metrics.counter(
            "commands_replayed", "Calls answered by the command of their Idempotency-Key"
        )
        self.confirm_seconds = metrics.histogram(
            "publish_confirm_seconds", "From handing a command over to the broker's confirm"
        )
        self.decided_seconds = metrics.histogram(
            "decision_seconds", "From acceptance to the decision that a waiting client got"
        )
        self._waiting = metrics.gauge("waiting_clients", "Clients that wait for a decision")
        self._pushes = metrics.gauge("pushes_arrive", "1 while Redis delivers outcomes")

    def watch(self, waiting: Callable[[], int], pushes_arrive: Callable[[], bool]) -> None:
        """Read these two when they are scraped."""
        self._waiting.set_function(waiting)
        self._pushes.set_function(pushes_arrive)
