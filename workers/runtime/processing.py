"""The message processor: every message is opened, verified, grouped, handed to its handler and ended exactly once.

In: deliveries from the intake. Out: each acknowledged after all that it carried has an end.
Must stay true: a message has one of three dispositions (ack, retry later, dead letter), chosen here; a retry or a
dead letter is published and confirmed before the original is acknowledged, so nothing is lost in
between; what cannot be read, is not signed by us or has no handler becomes a dead letter with its
reason and harms no neighbour.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import structlog
from aio_pika.abc import HeadersType
from pydantic import ValidationError

from contracts.command_ids import CommandIds
from contracts.commands import Command
from contracts.messaging.coalesce import coalesce
from contracts.messaging.envelope import (
    SINGLE,
    Codec,
    Envelope,
    MalformedMessage,
    forward,
    open_body,
)
from contracts.messaging.link import LINK_ERRORS, BrokerAway
from contracts.messaging.publisher import Properties, Publisher, PublishFailed
from contracts.messaging.topology import (
    DEAD_EXCHANGE,
    RETRY_ATTEMPTS_MAX,
    retry_exchange,
    retry_step,
)
from contracts.models import Wire
from contracts.runtime import failpoints
from workers.runtime.acknowledging import Acknowledger, kind_of
from workers.runtime.deciding import CommandProcessor
from workers.runtime.handlers import (
    Ack,
    CommandHandler,
    DeadLettered,
    Disposition,
    EventHandler,
    Handler,
    Received,
    Retry,
    WorkItem,
)
from workers.runtime.intake import Intake, QueueDelivery
from workers.runtime.metrics import MESSAGES, OLDEST_UNDECIDED, WAITING_MESSAGES
from workers.runtime.reacting import EventProcessor

log = structlog.get_logger(__name__)

ATTEMPT_HEADER = "x-eventhub-attempt"
REASON_HEADER = "x-eventhub-reason"
QUEUE_HEADER = "x-eventhub-queue"
KEY_HEADER = "x-eventhub-routing-key"
"""What a message was published under before it was put aside: whose it is, on a queue that strangers write to."""
REASON_LENGTH_MAX = 500
REPUBLISH_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class BatchConsumer:
    """A handler of raw deliveries that takes in order whatever has queued up, and ends each."""

    consume: Callable[[Sequence[QueueDelivery]], Awaitable[Sequence[Disposition]]]


Raw = Callable[[QueueDelivery], Awaitable[Disposition]] | BatchConsumer
"""A handler of a queue that carries no CloudEvents: one delivery at a time, or all there are."""


class MessageProcessor:
    """Takes what has queued up, deals with it, ends it, and begins again: batches without a timer."""

    def __init__(
        self,
        intake: Intake,
        publisher: Publisher,
        *,
        codec: Codec,
        command_ids: CommandIds,
        handlers: Mapping[str, Handler],
        deciding: CommandProcessor,
        reacting: EventProcessor,
        raw: Mapping[str, Raw] | None = None,
    ) -> None:
        self._intake, self._publisher = intake, publisher
        self._codec, self._command_ids = codec, command_ids
        self._handlers, self._raw = handlers, raw or {}
        self._deciding, self._reacting = deciding, reacting
        self._acknowledging = Acknowledger()
        self._endings: set[asyncio.Task[None]] = set()
        self._busy = asyncio.Lock()

    def measure(self) -> None:
        """Set the gauges of this moment (on a scrape)."""
        WAITING_MESSAGES.set(self._intake.waiting)
        OLDEST_UNDECIDED.set(self._deciding.oldest_age())

    async def run(self) -> None:
        """Work until cancelled; cancel it only through `drain`."""
        while True:
            deliveries = await self._intake.take()
            async with self._busy:
                await self.process(deliveries)

    async def drain(self, runner: "asyncio.Task[None]") -> None:
        """Stop consuming, finish all that was taken or has arrived, then end `runner`."""
        await self._intake.unsubscribe_all()
        await self._intake.emptied()
        async with self._busy:
            runner.cancel()
        await asyncio.gather(runner, return_exceptions=True)
        await self._deciding.settle()
        await asyncio.gather(*self._endings)
        await self._acknowledging.flush()

    async def process(self, deliveries: Sequence[QueueDelivery]) -> None:
        """One cycle: everything in `deliveries` gets its end, or is on its way to it."""
        items: list[WorkItem] = []
        failpoints.reach("worker.received")
        for queue, run in groupby(deliveries, key=lambda delivery: delivery.queue):
            if queue in self._raw:
                await self._process_raw(self._raw[queue], list(run))
            else:
                for delivery in run:
                    items += self._open(delivery)
        for group in coalesce(items, key=_type_of, aggregate=_aggregate_of):
            await self._handle(group)

    async def _handle(self, group: Sequence[WorkItem]) -> None:
        handler = self._handlers[group[0].received.envelope.type]
        if isinstance(handler, CommandHandler):
            await self._deciding.decide(handler, group)
        elif isinstance(handler, EventHandler):
            await self._reacting.react(handler, group)
        else:
            await self._reacting.consume(handler, group)

    async def _process_raw(self, raw: Raw, run: Sequence[QueueDelivery]) -> None:
        if not isinstance(raw, BatchConsumer):
            for delivery in run:
                await self._end_whole(delivery, await _one_end(raw, delivery))
            return
        try:
            ends = await raw.consume(run)
        except Exception as error:
            log.exception("consumer failed", queue=run[0].queue, size=len(run))
            ends = [Retry(f"handler failed: {error!r}")] * len(run)
        for delivery, end in zip(run, ends, strict=True):
            await self._end_whole(delivery, end)

    # -- opening ---------------------------------------------------------------------------------

    def _open(self, delivery: QueueDelivery) -> list[WorkItem]:
        """The items of a delivery that can be dealt with; the others are ended at once."""
        try:
            envelopes = open_body(delivery.message.body, delivery.message.content_type)
        except MalformedMessage as error:
            self._spawn(self._end_whole(delivery, DeadLettered(f"malformed: {error}")))
            return []
        seen_before = bool(delivery.message.redelivered) or _attempt(delivery) > 0
        items: list[WorkItem] = []
        refused: list[tuple[WorkItem, DeadLettered]] = []
        for envelope in envelopes:
            received = self._receive(envelope, delivery.queue, seen_before)
            if isinstance(received, DeadLettered):
                refused.append((WorkItem(Received(envelope, _NOTHING, delivery.queue)), received))
            else:
                items.append(WorkItem(received))
        everything = [*items, *(item for item, _ in refused)]
        self._end_together(delivery, everything)
        for item, dead in refused:
            item.finish(dead)
        return items

    def _receive(
        self, envelope: Envelope, queue: str, seen_before: bool
    ) -> Received[Any] | DeadLettered:
        handler = self._handlers.get(envelope.type)
        if handler is None:
            return DeadLettered(f"no handler for {envelope.type!r} here")
        if not self._codec.verifies(envelope):
            return DeadLettered("the signature is missing or wrong")
        try:
            message = handler.model.model_validate(envelope.data)
        except ValidationError as error:
            return DeadLettered(f"data is not valid: {_first_error(error)}")
        if not isinstance(message, Command):
            return Received(envelope, message, queue, None, seen_before)
        command_id = self._command_ids.open(envelope.id, message.principal.caller)
        if command_id is None:
            return DeadLettered("the command id is not this caller's")
        return Received(envelope, message, queue, command_id, seen_before)

    # -- ending ----------------------------------------------------------------------------------

    def _end_together(self, delivery: QueueDelivery, items: Sequence[WorkItem]) -> None:
        """Acknowledge the delivery once the last of its items has an end."""
        open_items = len(items)

        def one_ended() -> None:
            nonlocal open_items
            open_items -= 1
            if open_items:
                return
            if all(isinstance(item.end, Ack) for item in items):
                self._acknowledge(delivery)
            else:
                self._spawn(self._end_delivery(delivery, items))

        for item in items:
            item.on_end = one_ended

    async def _end_delivery(self, delivery: QueueDelivery, items: Sequence[WorkItem]) -> None:
        for item in items:
            if isinstance(item.end, Ack) or item.end is None:
                continue
            # As it came, with the signature it came with: a forged message must not leave here signed.
            if not await self._republish(
                delivery, item.end, forward(item.received.envelope), SINGLE
            ):
                return
        self._acknowledge(delivery)

    async def _end_whole(self, delivery: QueueDelivery, end: Disposition) -> None:
        message = delivery.message
        if isinstance(end, Ack) or await self._republish(
            delivery, end, message.body, message.content_type
        ):
            self._acknowledge(delivery)

    async def _republish(
        self,
        delivery: QueueDelivery,
        end: Retry | DeadLettered,
        body: bytes,
        content_type: str | None,
    ) -> bool:
        """Onto the ladder or to the dead letters, confirmed; False when the original is delivered again instead."""
        attempt = _attempt(delivery) + 1
        if isinstance(end, Retry) and attempt > RETRY_ATTEMPTS_MAX:
            end = DeadLettered(f"gave up after {RETRY_ATTEMPTS_MAX} attempts: {end.reason}")
        exchange = retry_exchange(retry_step(attempt)) if isinstance(end, Retry) else DEAD_EXCHANGE
        headers: HeadersType = {
            ATTEMPT_HEADER: attempt,
            REASON_HEADER: end.reason[:REASON_LENGTH_MAX],
            QUEUE_HEADER: delivery.queue,
            KEY_HEADER: delivery.message.routing_key or "",
        }
        message = delivery.message
        properties = Properties(
            content_type or "", message.message_id, message.correlation_id, message.type, headers
        )
        while True:
            try:
                await self._publisher.publish(exchange, delivery.queue, body, properties)
                break
            except (PublishFailed, BrokerAway) as error:
                log.warning("not republished yet", queue=delivery.queue, error=repr(error))
            if _is_lost(delivery):
                # Its own connection has gone: it is delivered again, to somebody.
                return False
            # Only its own connection's end would bring it back: whoever holds it must not let go of it.
            await asyncio.sleep(REPUBLISH_SECONDS)
        kind = type(end).__name__.lower()
        MESSAGES.labels(kind_of(delivery.queue), kind).inc()
        log.warning("message put aside", queue=delivery.queue, end=kind, reason=end.reason)
        return True

    def _acknowledge(self, delivery: QueueDelivery) -> None:
        self._acknowledging.acknowledge(delivery)

    def _spawn(self, ending: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(ending)
        self._endings.add(task)
        task.add_done_callback(self._endings.discard)


async def _one_end(
    raw: Callable[[QueueDelivery], Awaitable[Disposition]], delivery: QueueDelivery
) -> Disposition:
    try:
        return await raw(delivery)
    except Exception as error:
        log.exception("consumer failed", queue=delivery.queue)
        return Retry(f"handler failed: {error!r}")


_NOTHING = Wire()


def _type_of(item: WorkItem) -> str:
    return item.received.envelope.type


def _aggregate_of(item: WorkItem) -> str:
    envelope = item.received.envelope
    return envelope.partitionkey or envelope.id


def _is_lost(delivery: QueueDelivery) -> bool:
    """Whether the channel that a message came by has closed: nobody can acknowledge it any more."""
    try:
        return bool(delivery.message.channel.is_closed)
    except LINK_ERRORS:
        return True


def _attempt(delivery: QueueDelivery) -> int:
    attempt = (delivery.message.headers or {}).get(ATTEMPT_HEADER, 0)
    # Whoever may write to a queue may write this: it must stay a step of the ladder, and fit into a header again.
    return min(max(attempt, 0), RETRY_ATTEMPTS_MAX) if isinstance(attempt, int) else 0


def _first_error(error: ValidationError) -> str:
    first = error.errors(include_url=False, include_input=False)[0]
    return f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
