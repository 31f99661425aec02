"""The queue that providers write to: plain JSON or CloudEvents, vouched for by the broker's `user_id`.

In: deliveries of `quote.rates`, whatever has queued up, in order. Out: rates or quarantined reports, committed,
then the ack.
Must stay true: a message is taken once (its id is remembered with its effect); the order of a provider's
messages is kept, so nothing here goes to the retry ladder: with the database away the queue waits; no bytes
whatever end the worker.
"""

import asyncio
import hashlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import timedelta

import structlog
from prometheus_client import Counter

from contracts.rates import PROVIDER_PREFIX, Rate, Reason
from contracts.runtime import failpoints
from db import rates
from db.accounts import providers
from db.messages.outbox import Cause
from db.mysql.database import Transaction, is_away, is_transient
from db.redis.quote_registry import QuoteRegistry
from workers.quote.judging import Faulty, RateReport
from workers.quote.opening import Sent, Unreadable, open_report, provider_of
from workers.quote.reports import Taken, take
from workers.runtime.handlers import ACK, DeadLettered, Disposition
from workers.runtime.intake import QueueDelivery
from workers.runtime.processing import BatchConsumer
from workers.runtime.services import Services, Stopping

log = structlog.get_logger(__name__)

MESSAGES_KEPT = timedelta(days=7)
"""A broker that delivers a message again does so long before."""
REPORTS = Counter("eventhub_rate_reports_total", "Reports of rates by how they ended", ["end"])


def provider_messages(services: Services) -> BatchConsumer:
    """The consumer of `quote.rates`."""
    registry = QuoteRegistry(services.redis, services.database)

    async def consume(deliveries: Sequence[QueueDelivery]) -> list[Disposition]:
        opened = [_open(delivery) for delivery in deliveries]
        messages = [one for one in opened if isinstance(one, _Message)]
        refused = await _take_all(services, registry, messages)
        return [one if isinstance(one, DeadLettered) else refused.get(one, ACK) for one in opened]

    return BatchConsumer(consume)


@dataclass(frozen=True, slots=True, eq=False)
class _Message:
    """A message that can be read, and what is in it."""

    sent: Sent
    report: RateReport | Faulty


def _open(delivery: QueueDelivery) -> _Message | DeadLettered:
    sent = _sent(delivery)
    try:
        return _Message(sent, open_report(sent))
    except Unreadable as error:
        REPORTS.labels("unreadable").inc()
        return DeadLettered(f"unreadable report: {error}")


async def _take_all(
    services: Services, registry: QuoteRegistry, messages: Sequence[_Message]
) -> dict[_Message, DeadLettered]:
    """Take messages in one transaction; when that fails one by one. Those that cannot be taken at all."""
    if not messages:
        return {}
    try:
        taken = await _until_done(services, messages)
    except Exception as error:
        if len(messages) > 1:
            log.warning("reports go one by one", size=len(messages), error=repr(error))
            alone = [await _take_all(services, registry, [one]) for one in messages]
            return {one: dead for found in alone for one, dead in found.items()}
        # Not onto the ladder: it would come back behind later ones, and without its sender's name.
        log.exception("report not taken")
        return {messages[0]: DeadLettered(f"handler failed: {error!r}")}
    await registry.put(taken.good)
    REPORTS.labels("repeated_message").inc(len(messages) - len(taken.results))
    count(taken)
    return {}


def _sent(delivery: QueueDelivery) -> Sent:
    message = delivery.message
    return Sent(
        body=message.body,
        content_type=message.content_type,
        routing_key=message.routing_key or "",
        user_id=message.user_id,
        message_id=message.message_id,
    )


async def _until_done(services: Services, messages: Sequence[_Message]) -> Taken:
    """Take messages, however long the database is away; those that were taken before are left out."""

    async def work(transaction: Transaction) -> Taken:
        now = await transaction.now()
        new = [
            one for one in messages if await rates.note_message(transaction, _digest(one.sent), now)
        ]
        active = await providers.active_of(transaction, {_name(one.report) for one in new})
        reports = [_vouched(one.report, active) for one in new]
        taken = await take(transaction, reports, now, services.settings)
        causes = [Cause(one.sent.message_id, None) for one in new]
        events = list(zip(taken.events, causes, strict=True))
        services.outbox.add(transaction, now, events)
        await transaction.flush()
        failpoints.reach("worker.written")
        return taken

    while True:
        try:
            taken = await services.database.run(work)
            failpoints.reach("worker.committed")
            return taken
        except Exception as error:
            if is_away(error):
                await _database_back(services)
            elif not is_transient(error):
                raise


def _name(report: RateReport | Faulty) -> str:
    source = report.report.source if isinstance(report, Faulty) else report.source
    return source.removeprefix(PROVIDER_PREFIX)


def _vouched(report: RateReport | Faulty, active: Collection[str]) -> RateReport | Faulty:
    if isinstance(report, Faulty) or _name(report) in active:
        return report
    return Faulty(report, Reason.FORGED, f"{_name(report)} is no provider, or no more")


async def _database_back(services: Services) -> None:
    """Wait for the database. A process that is told to stop meanwhile leaves the message where it is, in its place."""
    try:
        await services.database_back()
        return
    except Stopping:
        log.info("stopping before the database is back")
    # Never ends: the connection is closed with the process, and the broker puts the message back at its place.
    await asyncio.Event().wait()


def _digest(sent: Sent) -> bytes:
    """What a repeat has in common: the provider and its message id; without an id, the whole message."""
    if sent.message_id:
        said = f"{provider_of(sent) or sent.routing_key}\n{sent.message_id}".encode(
            "utf-8", "replace"
        )
    else:
        said = f"{sent.user_id}\n{sent.routing_key}\n".encode("utf-8", "replace") + sent.body
    return hashlib.sha256(said).digest()


def count(taken: Taken) -> None:
    """Count and log how reports ended."""
    for result in taken.results:
        if isinstance(result, Rate):
            REPORTS.labels("good").inc()
            continue
        report = result.faulty.report
        REPORTS.labels(str(result.faulty.reason).lower()).inc()
        log.warning(
            "rate put aside",
            quarantine_id=result.id,
            source=report.source,
            asset=report.asset[:32],
            reason=str(result.faulty.reason),
            detail=result.faulty.detail,
        )
