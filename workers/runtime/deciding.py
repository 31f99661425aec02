"""Commands become outcomes: seat locks, one transaction, push. The heart of every deciding worker.

In: items of one command type, in order. Out: each with its end; outcomes and events committed
together.
Must stay true: a command gets at most one outcome (its primary key), and its effect and events are
committed with it or not at all; a batch is decided in one transaction, and alone, one by one, when
any of it was seen before or the batch failed; a command past its deadline is never executed; a busy
seat delays and refuses only who needs it.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import structlog
from redis.asyncio import Redis

from contracts.commands import Command
from contracts.messaging.topology import shard_of
from contracts.outcomes import Outcome
from contracts.problems import Code, Problem
from contracts.runtime import failpoints
from contracts.runtime.logs import LineLog
from contracts.runtime.settings import Settings
from contracts.runtime.streak import Streak
from db.messages import outcomes
from db.messages.outbox import Outbox
from db.mysql.database import (
    Database,
    Transaction,
    is_away,
    is_duplicate,
    is_transient,
)
from db.redis.push import Replies
from db.redis.seat_locks import Seats
from workers.runtime.handlers import (
    ACK,
    CommandHandler,
    Context,
    DeadLettered,
    Decision,
    Disposition,
    Received,
    Retry,
    WorkItem,
    rejected,
)
from workers.runtime.metrics import (
    BATCH_COMMANDS,
    DECIDED,
    SEAT_WAIT,
    STEP_SECONDS,
)

log = structlog.get_logger(__name__)

BATCH_MAX = 128
BATCH_WEIGHT = 500
"""Rows or so that the commands of one transaction come to; a heavier command goes alone."""
SEAT_WAIT_SECONDS = 0.2
SEAT_POLL_SECONDS = 0.02
DUPLICATES_MAX = 3

_LATE = rejected(
    Problem(
        Code.UNAVAILABLE,
        "Nobody took the command up in time; nothing was done.",
        retry_after=1,
    )
)
_LOCKED = rejected(
    Problem(Code.SEAT_LOCKED, "These tickets are being dealt with; try again.", retry_after=1)
)

Decide = Callable[[Context, Sequence[Received[Any]]], Awaitable[list[Decision]]]


async def _refuse_locked(_: Context, commands: Sequence[Received[Any]]) -> list[Decision]:
    return [_LOCKED] * len(commands)


_REFUSES: CommandHandler[Any] = CommandHandler(Command, _refuse_locked)


class CommandProcessor:
    """Decides commands for one process."""

    def __init__(
        self,
        database: Database,
        redis: "Redis",
        settings: Settings,
        *,
        outbox: Outbox,
        seats: Seats,
        database_back: Callable[[], Awaitable[None]],
        streak: Streak | None = None,
    ) -> None:
        self._database, self._redis, self._settings = database, redis, settings
        self._streak = streak or Streak()
        self._outbox, self._seats = outbox, seats
        self._replies = Replies(redis)
        self._database_back = database_back
        self._decided = LineLog("command decided", settings.process)
        self._deferred: set[asyncio.Task[None]] = set()
        self._in_hand: dict[WorkItem, datetime] = {}

    def oldest_age(self) -> float:
        """Seconds since the acceptance of the oldest command in hand; 0 with none."""
        if not self._in_hand:
            return 0.0
        return max(0.0, (datetime.now(UTC) - min(self._in_hand.values())).total_seconds())

    async def decide(self, handler: CommandHandler[Any], items: Sequence[WorkItem]) -> None:
        """Decide a group in order: what was seen before first and alone, the rest in batches."""
        for item in items:
            self._in_hand[item] = item.received.envelope.time
        STEP_SECONDS.labels("accepted to received").observe(self.oldest_age())
        for item in items:
            if item.received.seen_before:
                await self._alone(handler, item)
        fresh = [item for item in items if item.end is None]
        for batch in _batches(handler, fresh):
            await self._together(handler, batch)

    async def settle(self) -> None:
        """Wait for the commands that still wait for a seat."""
        while self._deferred:
            await asyncio.gather(*self._deferred)

    async def _together(self, handler: CommandHandler[Any], items: Sequence[WorkItem]) -> None:
        """One lock round, one transaction for the batch; those whose seat is busy wait apart."""
        busy = await self._round(handler, items)
        if busy:
            task = asyncio.create_task(self._when_free(handler, busy), name="seats busy")
            self._deferred.add(task)
            task.add_done_callback(self._deferred.discard)

    async def _round(
        self, handler: CommandHandler[Any], items: Sequence[WorkItem]
    ) -> list[WorkItem]:
        """Decide whoever gets all seats at once; return the others, in order."""
        with STEP_SECONDS.labels("locking").time():
            tokens = await self._lock(handler, items)
        ready: list[WorkItem] = []
        busy: list[WorkItem] = []
        for item in items:
            free = self._seats_of(handler, item).keys() <= tokens.keys()
            (ready if free else busy).append(item)
        failpoints.reach("worker.locked")
        if not await self._batch(handler, ready, tokens):
            for item in ready:
                await self._alone(handler, item)
        return busy

    async def _when_free(self, handler: CommandHandler[Any], busy: list[WorkItem]) -> None:
        """Try again for 200 ms, once for all of them; who still has no seat gets 429."""
        clock = asyncio.get_running_loop().time
        deadline = clock() + SEAT_WAIT_SECONDS
        while busy and clock() < deadline:
            await asyncio.sleep(SEAT_POLL_SECONDS)
            busy = await self._round(handler, busy)
        SEAT_WAIT.observe(clock() - deadline + SEAT_WAIT_SECONDS)
        if not await self._batch(_REFUSES, busy, {}):
            for item in busy:
                await self._alone(handler, item)

    async def _batch(
        self, handler: CommandHandler[Any], items: Sequence[WorkItem], tokens: Mapping[int, str]
    ) -> bool:
        """Whether the batch is decided (an empty one is). The seats are free afterwards, either way."""
        decided: list[Outcome] = []
        try:
            if items:
                with STEP_SECONDS.labels("transaction").time():
                    decided = await self._transact(handler, items)
        except Exception as error:
            log.warning("batch failed, going one by one", size=len(items), error=repr(error))
            await self._seats.release(tokens)
            return False
        await self._answer(items, decided, tokens)
        return True

    async def _alone(self, handler: CommandHandler[Any], item: WorkItem) -> None:
        """One command, its outcome looked up first: it may have been decided before."""
        duplicates = 0
        while True:
            try:
                found = await outcomes.find(self._database, [item.received.uuid])
                if not found:
                    await self._alone_fresh(handler, item)
                    return
                await self._answer([item], list(found.values()), {})
                return
            except Exception as error:
                if is_away(error):
                    await self._database_back()
                elif is_duplicate(error) and duplicates < DUPLICATES_MAX:
                    duplicates += (
                        1  # decided by somebody else just now, or a key to be looked at again
                    )
                elif is_transient(error) or is_duplicate(error):
                    self._end(item, Retry(repr(error)))
                    return
                else:
                    log.exception("command failed", command=item.received.envelope.id)
                    self._streak.failed()
                    self._end(item, DeadLettered(f"handler failed: {error!r}"))
                    return

    async def _alone_fresh(self, handler: CommandHandler[Any], item: WorkItem) -> None:
        tokens = await self._lock_within_wait(handler, item)
        failpoints.reach("worker.locked")
        try:
            decided = await self._transact(handler if tokens is not None else _REFUSES, [item])
        except BaseException:
            await self._seats.release(tokens or {})
            raise
        await self._answer([item], decided, tokens or {})

    async def _transact(
        self, handler: CommandHandler[Any], items: Sequence[WorkItem]
    ) -> list[Outcome]:
        """Decide, write outcomes and events, commit: all of it or nothing."""
        received = [item.received for item in items]

        async def work(transaction: Transaction) -> list[Outcome]:
            ahead = handler.reads(received, self._settings) if handler.reads else ()
            transaction.read_ahead(*ahead)
            now = await transaction.now()
            context = Context(transaction, now, self._settings, self._redis)
            rows = await write_decisions(context, self._outbox, handler.decide, received)
            failpoints.reach("worker.written")
            return rows

        decided = await self._database.run(work)
        failpoints.reach("worker.committed")
        return decided

    async def _answer(
        self, items: Sequence[WorkItem], decided: Sequence[Outcome], tokens: Mapping[int, str]
    ) -> None:
        """Free the seats, tell the gateways, end the items: what is committed can be told."""
        pairs = list(zip(items, decided, strict=True))
        with STEP_SECONDS.labels("push").time():
            await self._replies.push(
                ((item.received.envelope.replyto, outcome) for item, outcome in pairs),
                self._seats.releasing(tokens),
            )
        if pairs:
            self._streak.succeeded()
            BATCH_COMMANDS.observe(len(pairs))
        for item, outcome in pairs:
            DECIDED.labels(outcome.type, outcome.code or "OK").inc()
            self._decided.write(
                {
                    "command_id": item.received.envelope.id,
                    "command_type": outcome.type,
                    "request_id": outcome.request_id,
                    "user_id": outcome.user_id,
                    "status": outcome.status_code,
                    "code": outcome.code,
                }
            )
            self._end(item, ACK)

    def _end(self, item: WorkItem, end: Disposition) -> None:
        self._in_hand.pop(item, None)
        item.finish(end)

    def _seats_of(self, handler: CommandHandler[Any], item: WorkItem) -> dict[int, int]:
        if handler.seats is None:
            return {}
        shards = self._settings.shards
        return {
            seat: shard_of(event, shards) for seat, event in handler.seats(item.received.message)
        }

    async def _lock(
        self, handler: CommandHandler[Any], items: Sequence[WorkItem]
    ) -> dict[int, str]:
        seats: dict[int, int] = {}
        for item in items:
            seats.update(self._seats_of(handler, item))
        return await self._seats.acquire(seats) if seats else {}

    async def _lock_within_wait(
        self, handler: CommandHandler[Any], item: WorkItem
    ) -> dict[int, str] | None:
        """The item's seats within 200 ms, or None."""
        seats = self._seats_of(handler, item)
        clock = asyncio.get_running_loop().time
        began = clock()
        while seats:
            tokens = await self._seats.acquire(seats)
            if tokens.keys() == seats.keys():
                return tokens
            await self._seats.release(tokens)
            if clock() >= began + SEAT_WAIT_SECONDS:
                SEAT_WAIT.observe(clock() - began)
                return None
            await asyncio.sleep(SEAT_POLL_SECONDS)
        return {}


async def write_decisions(
    context: Context, outbox: Outbox, decide: Decide, received: Sequence[Received[Command]]
) -> list[Outcome]:
    """Decide, and write outcomes and events: all that a transaction of commands does before its COMMIT."""
    decisions = await _within_deadline(decide, context, received)
    pairs = list(zip(received, decisions, strict=True))
    rows = [decision.outcome(one, context.now) for one, decision in pairs]
    outcomes.insert(context.transaction, rows)
    events = [(event, one.cause) for one, decision in pairs for event in decision.events]
    outbox.add(context.transaction, context.now, events)
    await context.transaction.flush()
    return rows


def _batches(handler: CommandHandler[Any], items: Sequence[WorkItem]) -> list[list[WorkItem]]:
    """Items in order, as many to a batch as one transaction may hold."""
    batches: list[list[WorkItem]] = []
    room = 0
    for item in items:
        weight = handler.weight(item.received.message)
        if not batches or len(batches[-1]) >= BATCH_MAX or weight > room:
            batches.append([])
            room = BATCH_WEIGHT
        batches[-1].append(item)
        room -= weight
    return batches


async def _within_deadline(
    decide: Decide, context: Context, received: Sequence[Received[Command]]
) -> list[Decision]:
    """Decide those that are in time; the others are refused without having been looked at."""
    in_time = [one for one in received if not _late(one, context.now)]
    decided = iter(await decide(context, in_time) if in_time else [])
    return [_LATE if _late(one, context.now) else next(decided) for one in received]


def _late(received: Received[Command], now: datetime) -> bool:
    expiry = received.envelope.expirytime
    return expiry is not None and expiry <= now
