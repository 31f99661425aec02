"""The queue that providers write to: plain JSON or CloudEvents, vouched for by the broker's `user_id`.

In: deliveries of `quote.rates`, one after the other. Out: rates or quarantined reports, committed, then the ack.
Must stay true: a message is taken once (its id is remembered with its effect); the order of a provider's
messages is kept, so nothing here goes to the retry ladder: with the database away the queue waits; no bytes
whatever end the worker.
"""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable
from datetime import timedelta

import structlog
from prometheus_client import Counter

from contracts.rates import PROVIDER_PREFIX, Rate, Reason
from db import providers, rates
from db.mysql import Transaction, is_away, is_transient
from db.outbox import Cause
from db.registry import QuoteRegistry
from workers.handlers import ACK, Dead, End
from workers.intake import Delivery
from workers.process import Services
from workers.quote.judging import Faulty, Report
from workers.quote.opening import Sent, Unreadable, open_report, provider_of
from workers.quote.reports import Taken, take

log = structlog.get_logger(__name__)

MESSAGES_KEPT = timedelta(days=7)
"""A broker that delivers a message again does so long before."""
REPORTS = Counter("eventhub_rate_reports_total", "Reports of rates by how they ended", ["end"])


def provider_messages(services: Services) -> Callable[[Delivery], Awaitable[End]]:
    """The consumer of `quote.rates`."""
    registry = QuoteRegistry(services.redis, services.database)

    async def consume(delivery: Delivery) -> End:
        sent = _sent(delivery)
        try:
            report = open_report(sent)
        except Unreadable as error:
            REPORTS.labels("unreadable").inc()
            return Dead(f"unreadable report: {error}")
        taken = await _until_done(services, sent, report)
        if taken is None:
            REPORTS.labels("repeated_message").inc()
            return ACK
        await registry.put(taken.good)
        count(taken)
        return ACK

    return consume


def _sent(delivery: Delivery) -> Sent:
    message = delivery.message
    return Sent(
        body=message.body,
        content_type=message.content_type,
        routing_key=message.routing_key or "",
        user_id=message.user_id,
        message_id=message.message_id,
    )


async def _until_done(services: Services, sent: Sent, report: Report | Faulty) -> Taken | None:
    """Take one report, however long the database is away; None when the message was taken before."""

    async def work(transaction: Transaction) -> Taken | None:
        now = await transaction.now()
        if not await rates.note_message(transaction, _digest(sent), now):
            return None
        known = report if isinstance(report, Faulty) else await _vouched(transaction, report)
        taken = await take(transaction, [known], now, services.settings)
        cause = Cause(sent.message_id, None)
        await services.outbox.add(transaction, now, [(event, cause) for event in taken.events])
        return taken

    while True:
        try:
            return await services.database.run(work)
        except Exception as error:
            if is_away(error):
                await _database_back(services)
            elif not is_transient(error):
                raise


async def _vouched(transaction: Transaction, report: Report) -> Report | Faulty:
    name = report.source.removeprefix(PROVIDER_PREFIX)
    if await providers.is_active(transaction, name):
        return report
    return Faulty(report, Reason.FORGED, f"{name} is no provider, or no more")


async def _database_back(services: Services) -> None:
    """Wait for the database. A process that is told to stop meanwhile leaves the message where it is, in its place."""
    while not services.stop.is_set():
        try:
            await services.database.read("SELECT 1")
            return
        except Exception as error:
            if not is_away(error):
                raise
        await asyncio.sleep(0.25)
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
