"""Every event of EventHub: one log line for those who watch, one delivery for each webhook that may hear it.

In: batches of events of one type from the queue `notify`. Out: rows of `webhook_deliveries`, then log lines.
Must stay true: an event is logged after its deliveries are committed; one seen twice makes no second delivery; while
the database is away events wait in their order instead of climbing the retry ladder, which would let later ones pass.
"""

from collections.abc import Awaitable, Callable, Iterable, Sequence

import structlog

from contracts.events import EVENTS, DomainEvent, EventCancelled
from contracts.messaging.envelope import Envelope
from contracts.runtime import failpoints
from db.mysql.database import Database, Transaction, is_away
from db.webhooks import deliveries, endpoints
from workers.notify import audience
from workers.notify.lines import EventLines
from workers.notify.metrics import NOTIFIED
from workers.runtime.handlers import (
    ACK,
    Disposition,
    Handler,
    MessageHandler,
    Received,
    Retry,
)

log = structlog.get_logger(__name__)

BATCH_MAX = 200

Waiter = Callable[[], Awaitable[None]]


class Notifier:
    """Writes deliveries down and events into the log."""

    def __init__(
        self,
        database: Database,
        lines: EventLines,
        *,
        database_back: Waiter,
        wake: Callable[[], None],
    ) -> None:
        self._database, self._database_back = database, database_back
        self._lines, self._wake = lines, wake

    async def notify(self, batch: Sequence[Received[DomainEvent]]) -> list[Disposition]:
        """Deal with events of one type, in order."""
        ends: list[Disposition] = []
        for start in range(0, len(batch), BATCH_MAX):
            ends += await self._notify(batch[start : start + BATCH_MAX])
        return ends

    async def _notify(self, batch: Sequence[Received[DomainEvent]]) -> list[Disposition]:
        events = [(one.envelope, one.message) for one in batch]
        while True:
            try:
                written = await self._write(events)
            except Exception as error:
                if is_away(error):
                    await self._database_back()
                    continue
                if len(batch) == 1:
                    log.exception("event not notified", event_id=batch[0].envelope.id)
                    return [Retry(f"not notified: {error!r}")]
                # One event that cannot be written harms only itself.
                return [end for one in batch for end in await self._notify([one])]
            break
        if written:
            self._wake()
        self._lines.write(events)
        NOTIFIED.labels(batch[0].message.TOPIC).inc(len(batch))
        return [ACK] * len(batch)

    async def _write(self, events: Sequence[tuple[Envelope, DomainEvent]]) -> int:
        holders = await self._holders(event for _, event in events)
        concerned = {
            account for _, event in events for account in audience.concerned(event, holders)
        }
        if not concerned:
            return 0
        listeners = await endpoints.listeners(self._database, concerned)
        new = audience.deliveries(events, listeners, holders) if listeners else []
        if not new:
            return 0

        async def work(transaction: Transaction) -> None:
            await deliveries.add(transaction, new)
            failpoints.reach("worker.written")

        await self._database.run(work)
        failpoints.reach("worker.committed")
        return len(new)

    async def _holders(self, events: Iterable[DomainEvent]) -> audience.Holders:
        """Who has tickets of the events that changed or are off; of one that is off, also who had some."""
        about = {
            (event_id, isinstance(event, EventCancelled))
            for event in events
            if (event_id := audience.told_to_holders(event)) is not None
        }
        return {
            event_id: await endpoints.listening_holders(self._database, event_id, void=is_off)
            for event_id, is_off in sorted(about)
        }


def handlers(notifier: Notifier) -> dict[str, Handler]:
    """Every event type, all dealt with alike."""
    return {type_: MessageHandler(model, notifier.notify) for type_, model in EVENTS.items()}
