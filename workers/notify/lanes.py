"""One endpoint's deliveries in memory: what waits, what is on its way, how many may go at once.

In: loaded deliveries, ends of attempts. Out: the next delivery to send, or none.
Must stay true: an aggregate has one delivery on its way at a time; a dead endpoint takes few slots and is left alone
for longer and longer; no other lane notices.

Source of the window: additive increase, multiplicative decrease (Chiu and Jain 1989), as TCP does it.
"""

from collections import deque
from dataclasses import dataclass, field
from datetime import datetime

from db.webhooks.deliveries import DueDelivery
from db.webhooks.endpoints import Target
from workers.notify.schedule import Policy, pause_after

WINDOW_AT_FIRST = 2
LOADED_MAX = 512
"""Deliveries of one endpoint that are held in memory."""
ROOM_ALWAYS = 4


def turn_key(delivery: DueDelivery) -> str:
    """What may have one delivery on its way at a time: an aggregate, or a delivery that goes out of turn."""
    return delivery.aggregate if delivery.ordered else f"#{delivery.id}"


@dataclass(slots=True)
class EndpointQueue:
    """An endpoint's lane. Times are the event loop's, in seconds."""

    target: Target
    policy: Policy
    queue: deque[DueDelivery] = field(default_factory=deque)
    known: set[int] = field(default_factory=set)
    """Ids in the queue, on their way, or waiting to be written down."""
    busy: set[str] = field(default_factory=set)
    sending: int = 0
    window: int = WINDOW_AT_FIRST
    failures: int = 0
    failed_at: float = -1.0
    paused_until: float = 0.0
    asked_until: float = 0.0
    """Until when the receiver itself wants to be left alone."""
    used_at: float = 0.0
    succeeded_at: datetime | None = None
    noted_state: tuple[int, bool, bool] | None = None
    """What was last written of the endpoint: failures, paused, active; and when, in `noted_at`."""
    noted_at: float = float("-inf")

    more: bool = False
    """The database holds more that is due than was loaded."""

    @property
    def room(self) -> int:
        """How many more deliveries to look at; a few always, so that a ping finds a place."""
        return max(ROOM_ALWAYS, LOADED_MAX - len(self.known))

    def takes(self, now: float) -> bool:
        """Whether more may be loaded than what somebody asked for."""
        return len(self.known) < LOADED_MAX and now >= self.paused_until

    def load(self, deliveries: list[DueDelivery]) -> None:
        """Put deliveries into the queue, in order; what somebody asked for goes first."""
        for delivery in deliveries:
            if delivery.id in self.known:
                continue
            self.known.add(delivery.id)
            if delivery.ordered:
                self.queue.append(delivery)
            else:
                self.queue.appendleft(delivery)

    def next(self, now: float) -> DueDelivery | None:
        """Take the first delivery whose turn it is, None when none may go now."""
        closed = self.sending >= self.window or now < self.paused_until
        for index, delivery in enumerate(self.queue):
            if closed and delivery.ordered:
                return None
            if turn_key(delivery) not in self.busy:
                del self.queue[index]
                self.busy.add(turn_key(delivery))
                self.sending += 1
                return delivery
        return None

    def answered(self, *, delivered: bool, started: float, now: float, pause: float) -> None:
        """An attempt ended: widen or narrow the window, perhaps pause. `pause` is what the receiver asked for."""
        self.sending -= 1
        if delivered:
            self.window = min(self.window + 1, self.policy.concurrency)
            self.failures = 0
            if started >= self.failed_at:
                # It was told to wait, was asked again all the same, and answers: it is well.
                self.asked_until = 0.0
            self.paused_until = self.asked_until
            return
        self.window = max(1, self.window // 2)
        if started >= self.failed_at:
            # Attempts that were under way when the first of them failed tell nothing new.
            self.failures += 1
            self.failed_at = now
        self.asked_until = max(self.asked_until, now + pause)
        wait = pause_after(self.failures, self.policy)
        self.paused_until = max(self.paused_until, self.asked_until, now + wait)

    def written(self, delivery: DueDelivery, *, delivered: bool) -> None:
        """The end of an attempt is in the database: the next of its aggregate may go, or must wait again."""
        self.known.discard(delivery.id)
        self.busy.discard(turn_key(delivery))
        if not delivered and delivery.ordered:
            behind = [d for d in self.queue if turn_key(d) == turn_key(delivery)]
            for one in behind:
                self.queue.remove(one)
                self.known.discard(one.id)

    def refresh(self, target: Target, now: float) -> None:
        """Take over what the database says of the endpoint now: another URL's secret, a pause that was lifted."""
        self.target = target
        self.used_at = now
        self.succeeded_at = self.succeeded_at or target.last_success_at
        if target.pause == 0 and target.failures == 0 and self.paused_until > now and not self.busy:
            self.failures = 0
            self.asked_until = self.paused_until = now

    def give_up_queue(self) -> None:
        """Forget what has not begun: somebody else will send it."""
        for delivery in self.queue:
            self.known.discard(delivery.id)
        self.queue.clear()
