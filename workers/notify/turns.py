"""Whose turn it is: of the pending deliveries of an endpoint, which may go now and which wait behind another.

In: pending deliveries, the database's time. Out: ids to send, in order; times that others must wait until.
Must stay true: of one order's events, a later one is not sent before an earlier one, unless the earlier one has been
retried for longer than the hold (an hour): then the later ones go past it, and `sequence` tells the receiver.
A delivery that was asked for again goes out of turn and holds nothing back.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from db.webhooks.deliveries import QueuedDelivery


@dataclass(frozen=True, slots=True)
class Turns:
    """`ready`: ids to send, each aggregate's in its order. `postponed`: id -> when it may be looked at again."""

    ready: list[int] = field(default_factory=list)
    postponed: dict[int, datetime] = field(default_factory=dict)


def plan(
    waiting: Iterable[QueuedDelivery], now: datetime, *, hold: float, known: Collection[int] = ()
) -> Turns:
    """Decide the turns of deliveries; `known` are those the sender holds already, in order. `hold` in seconds."""
    turns = Turns()
    aggregates: dict[str, list[QueuedDelivery]] = {}
    for one in sorted(waiting, key=lambda w: (w.next_attempt_at, w.id)):
        if one.ordered:
            aggregates.setdefault(one.aggregate, []).append(one)
        elif one.id not in known and one.next_attempt_at <= now:
            turns.ready.append(one.id)
    for members in aggregates.values():
        _plan_aggregate(members, now, hold, known, turns)
    return turns


def _plan_aggregate(
    members: list[QueuedDelivery], now: datetime, hold: float, known: Collection[int], turns: Turns
) -> None:
    members.sort(key=lambda w: (w.sequence, w.id))
    blocked_until: datetime | None = None
    for one in members:
        if one.id in known:
            continue
        if blocked_until is not None and one.first_try_at is None:
            if one.next_attempt_at < blocked_until:
                turns.postponed[one.id] = blocked_until
        elif one.next_attempt_at <= now:
            turns.ready.append(one.id)
        elif one.first_try_at is None or now - one.first_try_at < timedelta(seconds=hold):
            blocked_until = blocked_until or one.next_attempt_at
