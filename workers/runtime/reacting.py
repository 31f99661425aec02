"""Events take effect: a group in one transaction, again one by one when that fails.

In: items of one event type, in order. Out: each with its end; follow-up events written with the effect.
Must stay true: a reaction tolerates repeats (delivery is at least once); an event is retried on the ladder
and never dropped.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import structlog
from redis.asyncio import Redis

from contracts.runtime import failpoints
from contracts.runtime.settings import Settings
from contracts.runtime.streak import Streak
from db.messages.outbox import Outbox
from db.mysql.database import Database, Transaction, is_away
from workers.runtime.handlers import (
    ACK,
    Context,
    EventHandler,
    MessageHandler,
    Received,
    Retry,
    WorkItem,
)

log = structlog.get_logger(__name__)

BATCH_MAX = 200


class EventProcessor:
    """Lets events take effect for one process."""

    def __init__(
        self,
        database: Database,
        redis: "Redis",
        settings: Settings,
        *,
        outbox: Outbox,
        database_back: Callable[[], Awaitable[None]],
        streak: Streak | None = None,
    ) -> None:
        self._database, self._redis, self._settings = database, redis, settings
        self._streak = streak or Streak()
        self._outbox = outbox
        self._database_back = database_back

    async def react(self, handler: EventHandler[Any], items: Sequence[WorkItem]) -> None:
        """Let a group take effect, in order."""
        for start in range(0, len(items), BATCH_MAX):
            await self._react(handler, items[start : start + BATCH_MAX])

    async def consume(self, handler: MessageHandler[Any], items: Sequence[WorkItem]) -> None:
        """Hand a group to a handler that ends each message itself."""
        try:
            ends = await handler.consume([item.received for item in items])
        except Exception as error:
            log.exception("consumer failed", size=len(items))
            self._streak.failed()
            ends = [Retry(f"handler failed: {error!r}")] * len(items)
        else:
            self._streak.succeeded()
        for item, end in zip(items, ends, strict=True):
            item.finish(end)

    async def _react(self, handler: EventHandler[Any], items: Sequence[WorkItem]) -> None:
        while True:
            try:
                await self._transact(handler, items)
            except Exception as error:
                if is_away(error):
                    await self._database_back()
                    continue
                if len(items) > 1:
                    for item in items:
                        await self._react(handler, [item])
                    return
                log.exception("reaction failed", event_id=items[0].received.envelope.id)
                self._streak.failed()
                items[0].finish(Retry(f"handler failed: {error!r}"))
                return
            self._streak.succeeded()
            for item in items:
                item.finish(ACK)
            return

    async def _transact(self, handler: EventHandler[Any], items: Sequence[WorkItem]) -> None:
        received = [item.received for item in items]

        async def work(transaction: Transaction) -> None:
            now = await transaction.now()
            context = Context(transaction, now, self._settings, self._redis)
            await write_effects(context, self._outbox, handler, received)
            failpoints.reach("worker.written")

        await self._database.run(work)
        failpoints.reach("worker.committed")


async def write_effects(
    context: Context, outbox: Outbox, handler: EventHandler[Any], received: Sequence[Received[Any]]
) -> None:
    """Let events take effect: all that a transaction of events does before its COMMIT."""
    outbox.add(context.transaction, context.now, await handler.react(context, received))
    await context.transaction.flush()
