"""ExternalQuoteJob: asks the feed for all prices, again and again, in one process of all.

In: a feed, an interval. Out: rates and quarantined reports, committed; the registry updated.
Must stay true: who polls holds the lease `feed/poll`; a feed that fails is left alone for longer and longer and
never stops anything else: quotes go on with the last good rates until those are too old.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta

import structlog
from prometheus_client import Counter, Gauge
from tenacity import (
    AsyncRetrying,
    retry_if_exception,
    stop_after_attempt,
    wait_exponential_jitter,
)

from contracts.rates import Rate
from contracts.runtime.circuit_breaker import CircuitBreaker, CircuitOpen
from contracts.runtime.settings import Settings
from contracts.runtime.tasks import end
from contracts.runtime.times import from_sql, to_wire
from db import rates
from db.accounts import provider_reports
from db.messages.leases import Share
from db.messages.outbox import Cause
from db.mysql.database import Transaction, is_away, is_transient
from db.redis.quote_registry import QuoteRegistry
from workers.quote.coingecko import CoinGecko
from workers.quote.fake_price import FakePrice
from workers.quote.feeds import Feed, FeedBusy, FeedDown
from workers.quote.judging import RateReport
from workers.quote.providers import MESSAGES_KEPT, count
from workers.quote.reports import Taken, take
from workers.runtime.services import Services

log = structlog.get_logger(__name__)

ATTEMPTS = 3
FAILURES_TO_OPEN = 3
"""Polls that fail in a row before the feed is left alone."""
OPEN_INTERVALS = 3
"""Intervals for which it is left alone then: a minute, with the interval that is the default."""
IDLE_SECONDS = 0.25
QUARANTINE_KEPT = REPORTS_KEPT = timedelta(days=30)
SPANS_KEPT = timedelta(minutes=30)
"""Reports are held against the last ten minutes."""
FORGET_SECONDS, FORGET_ROWS = 30.0, 10_000
"""More than providers can send in that time."""

POLLS = Counter("eventhub_feed_polls_total", "Polls of the feed by how they ended", ["end"])
POLLED_AT = Gauge("eventhub_feed_answered_timestamp_seconds", "When the feed answered last")


def feed_of(settings: Settings) -> Feed:
    """The feed that the settings name."""
    if settings.feed == "fake":
        return FakePrice()
    key = settings.feed_key.get_secret_value() if settings.feed_key else None
    return CoinGecko(settings.feed_url, key)


def poll_feed(make: Callable[[Settings], Feed] = feed_of) -> Callable[[Services], Awaitable[None]]:
    """The job; `make` gives the feed."""

    async def job(services: Services) -> None:
        feed = make(services.settings)
        holder = (services.settings.process, services.incarnation)
        # A kind of its own: the holders of one kind share all its names, and other processes' jobs are not ours.
        share = Share(
            services.database, "feed", ["poll"], holder, on_gain=_nothing, on_loss=_nothing
        )
        beating = asyncio.create_task(share.run(services.stop))
        polling = asyncio.create_task(ExternalQuoteJob(services, feed).run(share))
        stopped = asyncio.create_task(services.stop.wait())
        try:
            # A feed may take its time to answer; a process that is to end does not wait for it.
            await asyncio.wait({polling, beating, stopped}, return_when=asyncio.FIRST_COMPLETED)
            if polling.done():
                polling.result()
        finally:
            await end(polling)
            await feed.close()
        await beating

    return job


class ExternalQuoteJob:
    """Polls one feed while this process holds the lease."""

    def __init__(
        self, services: Services, feed: Feed, *, open_seconds: float | None = None
    ) -> None:
        self._services, self._feed = services, feed
        self._registry = QuoteRegistry(services.redis, services.database)
        pause = open_seconds or OPEN_INTERVALS * services.settings.feed_interval
        self._breaker = CircuitBreaker(pause, failures=FAILURES_TO_OPEN)
        self._refused: dict[tuple[str, str], RateReport] = {}

    async def run(self, share: Share) -> None:
        """Until it is cancelled."""
        clock = asyncio.get_running_loop().time
        next_poll = next_forgetting = clock()
        while True:
            if share.held and clock() >= next_poll:
                next_poll = clock() + await self._try_poll()
            if share.held and clock() >= next_forgetting:
                next_forgetting = clock() + FORGET_SECONDS
                await self._try(self._forget)
            await asyncio.sleep(IDLE_SECONDS)

    async def poll(self) -> Taken:
        """Ask once, store what is good. Raises FeedDown, CircuitOpen, database errors."""
        [[now]] = await self._services.database.read("SELECT UTC_TIMESTAMP(6)")
        self._breaker.require_closed()
        try:
            reports = await self._fetch(from_sql(now))
        except FeedBusy:
            # A feed that asks to be asked later works: that is waited for, and opens no circuit.
            self._breaker.succeeded()
            raise
        except FeedDown:
            self._breaker.failed()
            raise
        self._breaker.succeeded()
        POLLS.labels("answered").inc()
        POLLED_AT.set_to_current_time()
        taken = await self._store(reports)
        await self._registry.put(taken.good)
        count(taken)
        return taken

    async def _fetch(self, now: datetime) -> Sequence[RateReport]:
        async for attempt in AsyncRetrying(
            retry=retry_if_exception(_worth_another_try),
            stop=stop_after_attempt(ATTEMPTS),
            wait=wait_exponential_jitter(multiplier=0.2, max=2.0, jitter=0.2),
            reraise=True,
        ):
            with attempt:
                return await self._feed.fetch(now)
        raise AssertionError("tenacity reraises")

    async def _store(self, reports: Sequence[RateReport]) -> Taken:
        async def work(transaction: Transaction) -> Taken:
            now = await transaction.now()
            new = await self._rate_events(transaction, reports)
            taken = await take(transaction, new, now, self._services.settings)
            cause = Cause("external-quote-job", None)
            events = [(event, cause) for event in taken.events]
            self._services.outbox.add(transaction, now, events)
            return taken

        taken = await self._services.database.run(work)
        for result in taken.results:
            if not isinstance(result, Rate):
                report = result.faulty.report
                self._refused[report.asset, report.currency] = report
        return taken

    async def _rate_events(
        self, transaction: Transaction, reports: Sequence[RateReport]
    ) -> list[RateReport]:
        """Without what the feed has said before: its prices move less often than it is asked."""
        known = await rates.of_pairs(transaction, {(r.asset, r.currency) for r in reports})
        said = {
            rate.pair: to_wire(rate.observed_at)
            for pair in known.values()
            for rate in pair
            if rate.source == self._feed.name
        }
        return [
            report
            for report in reports
            if report.observed_at > said.get((report.asset, report.currency), "")
            and self._refused.get((report.asset, report.currency)) != report
        ]

    async def _try_poll(self) -> float:
        """Poll; in how many seconds to poll again."""
        interval = self._services.settings.feed_interval
        try:
            await self._try(self.poll)
            return interval
        except FeedBusy as error:
            POLLS.labels("busy").inc()
            log.warning("feed is busy", feed=self._feed.name, seconds=error.seconds)
            return max(interval, error.seconds)
        except FeedDown as error:
            POLLS.labels("down").inc()
            log.warning("feed is down", feed=self._feed.name, error=str(error))
        except CircuitOpen:
            POLLS.labels("left_alone").inc()
        return interval

    async def _try(self, work: Callable[[], Awaitable[object]]) -> None:
        """Let a database that is away pass: the next time comes soon."""
        try:
            await work()
        except Exception as error:
            if not (is_away(error) or is_transient(error)):
                raise
            log.warning("rates not stored, trying again", error=repr(error))

    async def _forget(self) -> None:
        """Forget what nobody will ask for, in small steps."""
        database = self._services.database
        await provider_reports.forget_messages(database, MESSAGES_KEPT, FORGET_ROWS)
        await provider_reports.forget_reports(database, REPORTS_KEPT, FORGET_ROWS)
        await rates.forget_spans(database, SPANS_KEPT, FORGET_ROWS)
        await rates.forget_quarantine(database, QUARANTINE_KEPT, FORGET_ROWS)


def _worth_another_try(error: BaseException) -> bool:
    return isinstance(error, FeedDown) and not isinstance(error, FeedBusy)


async def _nothing(_: str) -> None:
    """The lease is looked at before each poll; its coming and going needs no action."""
