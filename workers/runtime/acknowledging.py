"""Acknowledgements, many in one: what has ended in the last moment is told to the broker together.

In: deliveries that have their end. Out: one `basic.ack` (multiple) for an unbroken row of them.
Must stay true: only what has ended is acknowledged: a row stops before the first delivery that has not; what ended
behind such a gap is acknowledged alone, so that one slow message never blocks the others; the delay is bounded in time
and in messages (well below the prefetch), and whoever stops flushes first.

Why: an acknowledgement of a quorum queue is an entry in its log, written and synced. One for five messages instead of
five took a quarter of the broker's CPU per message at 50 messages a second. Until it is sent, a crash has more messages
delivered again, which every handler tolerates anyway.

Source: AMQP 0-9-1, basic.ack, `multiple`; delivery tags count up from 1 on each channel.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import structlog

from contracts.messaging.link import LINK_ERRORS, library_endings
from contracts.runtime import failpoints
from workers.runtime.intake import QueueDelivery
from workers.runtime.metrics import MESSAGES

log = structlog.get_logger(__name__)

DELAY_SECONDS = 0.2
MESSAGES_MAX = 8
"""As many as this are acknowledged at once, whatever the time; a quarter of the prefetch."""


@dataclass(slots=True)
class _Channel:
    """One channel's deliveries that have ended. All up to the tag `row` are acknowledged."""

    row: int = 0
    ended: dict[int, QueueDelivery] = field(default_factory=dict)
    alone: set[int] = field(default_factory=set)
    """Tags beyond `row` that were acknowledged one by one."""

    def take(self) -> tuple[list[QueueDelivery], list[QueueDelivery]]:
        """(those of the unbroken row, in order; those behind a gap): both leave here."""
        together = []
        while (tag := self.row + 1) in self.ended or tag in self.alone:
            self.row = tag
            self.alone.discard(tag)
            if tag in self.ended:
                together.append(self.ended.pop(tag))
        behind = list(self.ended.values())
        self.alone.update(self.ended)
        self.ended.clear()
        return together, behind


class Acknowledger:
    """Acknowledges for one process."""

    def __init__(self, delay: float = DELAY_SECONDS) -> None:
        """`delay`: seconds that the first of several waits at the most."""
        self._delay = delay
        self._channels: dict[Any, _Channel] = {}
        self._waiting = 0
        self._timer: asyncio.TimerHandle | None = None
        self._flushes: set[asyncio.Task[None]] = set()

    def acknowledge(self, delivery: QueueDelivery) -> None:
        """All that this delivery carried has its end: the broker is told soon."""
        failpoints.reach("worker.settled")
        message = delivery.message
        try:
            channel, tag = message.channel, message.delivery_tag
        except LINK_ERRORS as error:
            _not_acknowledged([delivery], error)
            return
        assert tag is not None, "the broker numbers what it delivers"
        self._channels.setdefault(channel, _Channel()).ended[tag] = delivery
        self._waiting += 1
        if self._waiting >= MESSAGES_MAX:
            self._flush_now()
        elif self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(self._delay, self._flush_now)

    async def flush(self) -> None:
        """Tell the broker everything; returns when it is sent."""
        self._flush_now()
        await asyncio.gather(*self._flushes)

    def _flush_now(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer, self._waiting = None, 0
        task = asyncio.create_task(self._flush())
        self._flushes.add(task)
        task.add_done_callback(self._flushes.discard)

    async def _flush(self) -> None:
        batches = []
        for channel, state in list(self._channels.items()):
            if channel.is_closed:
                del self._channels[channel]
            together, behind = state.take()
            batches += [together, *([one] for one in behind)]
        # All have left the books before the first await: two flushes never tell the same twice.
        for batch in batches:
            if batch:
                await _send(batch)


async def _send(batch: Sequence[QueueDelivery]) -> None:
    try:
        with library_endings():
            await batch[-1].message.ack(multiple=len(batch) > 1)
    except LINK_ERRORS as error:
        _not_acknowledged(batch, error)
        return
    for delivery in batch:
        MESSAGES.labels(kind_of(delivery.queue), "ack").inc()
    failpoints.reach("worker.acked")


def _not_acknowledged(batch: Sequence[QueueDelivery], error: Exception) -> None:
    # They will be delivered again and answered from their outcome rows.
    log.info("not acknowledged", queue=batch[-1].queue, messages=len(batch), error=repr(error))


def kind_of(queue: str) -> str:
    """`inventory.3.returns` counts as `inventory.returns`: labels take few values."""
    return ".".join(part for part in queue.split(".") if not part.isdigit())
