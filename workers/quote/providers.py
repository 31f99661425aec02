"""The queue that providers write to: plain JSON or CloudEvents, vouched for by the broker's `user_id`.

In: deliveries of `quote.rates`, whatever has queued up, in order. Out: rates, quarantined reports, notes of what could
not be read, committed; then the ack, or the dead letter.
Must stay true: a message is taken once (its id is remembered with its effect); the order of a provider's
messages is kept, so nothing here goes to the retry ladder: with the database away the queue waits; no bytes
whatever end the worker.
"""

import asyncio
import hashlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import structlog
from prometheus_client import Counter

from contracts.rates import PROVIDER_PREFIX, Rate, Reason, ReportStatus
from contracts.runtime import failpoints
from db.accounts import provider_reports, providers
from db.accounts.provider_reports import NewReport, Seen
from db.accounts.providers import Reporter
from db.messages.outbox import Cause
from db.mysql.database import Transaction, is_away, is_transient
from db.redis.quote_registry import QuoteRegistry
from workers.quote.judging import Faulty, RateReport
from workers.quote.opening import Sent, Unreadable, claimed_by, open_report, provider_of
from workers.quote.reports import Taken, take
from workers.runtime.handlers import ACK, DeadLettered, Disposition
from workers.runtime.intake import QueueDelivery
from workers.runtime.processing import BatchConsumer
from workers.runtime.services import Services, Stopping

log = structlog.get_logger(__name__)

MESSAGES_KEPT = timedelta(days=7)
"""A broker that delivers a message again does so long before."""
REPORTS = Counter("eventhub_rate_reports_total", "Reports of rates by how they ended", ["end"])
DROPPED = Counter(
    "eventhub_rate_reports_dropped_total",
    "Notes of older reports that went because their provider has sent so many",
)


def provider_messages(services: Services) -> BatchConsumer:
    """The consumer of `quote.rates`."""
    registry = QuoteRegistry(services.redis, services.database)

    async def consume(deliveries: Sequence[QueueDelivery]) -> list[Disposition]:
        messages = [_open(delivery) for delivery in deliveries]
        refused = await _take_all(services, registry, messages)
        return [refused.get(one, one.end) for one in messages]

    return BatchConsumer(consume)


@dataclass(frozen=True, slots=True, eq=False)
class _Message:
    """A message and what is in it: a report, a faulty one, or the reason why none can be read."""

    sent: Sent
    report: RateReport | Faulty | str

    @property
    def source(self) -> str:
        """Whose it is."""
        return claimed_by(self.sent)

    @property
    def end(self) -> Disposition:
        """What becomes of the message itself once its effect is stored."""
        if isinstance(self.report, str):
            return DeadLettered(f"unreadable report: {self.report}")
        return ACK


def _open(delivery: QueueDelivery) -> _Message:
    sent = _sent(delivery)
    try:
        return _Message(*open_report(sent))
    except Unreadable as error:
        return _Message(sent, str(error))


async def _take_all(
    services: Services, registry: QuoteRegistry, messages: Sequence[_Message]
) -> dict[_Message, DeadLettered]:
    """Take messages in one transaction; when that fails one by one. Those that cannot be taken at all."""
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
    unreadable = sum(isinstance(one.report, str) for one in messages)
    REPORTS.labels("unreadable").inc(unreadable)
    REPORTS.labels("repeated_message").inc(len(messages) - unreadable - len(taken.results))
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
        new = await _new(transaction, messages, now)
        names = {one.source.removeprefix(PROVIDER_PREFIX) for one in new}
        able = await providers.reporters(transaction, names=names)
        readable = [one for one in new if not isinstance(one.report, str)]
        reports = [
            _vouched(one.report, able) for one in readable if not isinstance(one.report, str)
        ]
        taken = await take(
            transaction, reports, now, services.settings, via="BROKER", reporters=able
        )
        unread = [_unread(one) for one in new if isinstance(one.report, str)]
        taken.dropped += await provider_reports.note(transaction, unread, now)
        causes = [Cause(one.sent.message_id, None) for one in readable]
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


async def _new(
    transaction: Transaction, messages: Sequence[_Message], now: datetime
) -> list[_Message]:
    """Those that were not dealt with before; another report under an id that was used is told so."""
    new: list[_Message] = []
    for one in messages:
        content = hashlib.sha256(one.sent.body).digest()
        seen = await provider_reports.note_message(transaction, digest_of(one.sent), content, now)
        if seen is Seen.NEW:
            new.append(one)
        elif seen is Seen.ANOTHER and isinstance(one.report, RateReport):
            detail = "its message_id was used for another report before"
            new.append(replace(one, report=Faulty(one.report, Reason.REPEATED, detail)))
        elif seen is Seen.ANOTHER:
            new.append(one)
    return new


def _vouched(report: RateReport | Faulty, able: Collection[Reporter]) -> RateReport | Faulty:
    if isinstance(report, Faulty) or report.source in {one.source for one in able}:
        return report
    name = report.source.removeprefix(PROVIDER_PREFIX)
    return Faulty(report, Reason.FORGED, f"{name} is no provider, or no more")


def _unread(one: _Message) -> NewReport:
    """What a provider is shown of a message that holds no report."""
    message_id = (one.sent.message_id or "").encode("utf-8", "replace").decode()
    return NewReport(
        source=one.source,
        via="BROKER",
        status=ReportStatus.UNREADABLE,
        asset="",
        currency="",
        rate="",
        observed_at="",
        reason=Reason.UNREADABLE,
        detail=str(one.report),
        message_id=message_id or None,
    )


async def _database_back(services: Services) -> None:
    """Wait for the database. A process that is told to stop meanwhile leaves the message where it is, in its place."""
    try:
        await services.database_back()
        return
    except Stopping:
        log.info("stopping before the database is back")
    # Never ends: the connection is closed with the process, and the broker puts the message back at its place.
    await asyncio.Event().wait()


def digest_of(sent: Sent) -> bytes:
    """What a repeat has in common: the provider and its message id; without an id, the whole message."""
    if sent.message_id:
        said = f"{provider_of(sent) or sent.routing_key}\n{sent.message_id}".encode(
            "utf-8", "replace"
        )
    else:
        said = f"{sent.user_id}\n{sent.routing_key}\n".encode("utf-8", "replace") + sent.body
    return hashlib.sha256(said).digest()


def count(taken: Taken) -> None:
    """Count and log how reports ended, and what older ones had to go for them."""
    DROPPED.inc(taken.dropped)
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
