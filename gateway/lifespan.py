"""The parts that submit commands and answer them, opened and closed with the application.

In: settings, MySQL and Redis as they are open. Out: what the handlers of commands, orders, events and
payments find in the application.
Must stay true: it begins with whatever is away (the broker, Redis) and says so in /readyz; at the end
everybody who waits is answered before anything is closed.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import structlog
from aiohttp import web

from contracts.command_ids import IDEMPOTENCY_PURPOSE, CommandIds
from contracts.messaging.envelope import Codec
from contracts.messaging.link import BrokerAway, Link, declare
from contracts.messaging.publisher import Coalescer, Publisher
from contracts.messaging.topology import COMMANDS_EXCHANGE, topology
from contracts.runtime.tasks import end
from db.messages.derived_keys import derived_key
from db.mysql.clock import DatabaseClock
from db.redis.quote_registry import QuoteRegistry
from gateway.availability.broadcast import AvailabilityListener, watching
from gateway.availability.cache import AVAILABILITY, AvailabilityCache
from gateway.availability.directory import DIRECTORY, Directory
from gateway.caching.catalogue import CATALOGUE, Catalogue
from gateway.http.keys import (
    CLOCK,
    DATABASE,
    METRICS,
    REDIS,
    SETTINGS,
    STOPPING,
)
from gateway.resources.commands import COMMAND_IDS
from gateway.resources.operations import CHECKS
from gateway.resources.rates import REGISTRY
from gateway.submission.command_metrics import CommandMetrics
from gateway.submission.decisions import DECISIONS, Decisions
from gateway.submission.dispatch import Dispatcher
from gateway.submission.idempotency import AttemptStore, IdempotencyKeys
from gateway.submission.outcomes import Deadlines, OutcomeMemory, OutcomeReader
from gateway.submission.pressure import Pressure, sampling
from gateway.submission.pushes import PushReader, new_instance, reading
from gateway.submission.submit import SUBMISSIONS, Submissions
from gateway.submission.waiting import OutcomeWaiters, polling

log = structlog.get_logger(__name__)

BROKER_SECONDS = 5.0
"""How long a start waits for the broker before it goes on without: /readyz says so."""


async def command_submission(app: web.Application) -> AsyncIterator[None]:
    """Open everything, in order; close it in reverse order."""
    settings, database, redis = app[SETTINGS], app[DATABASE], app[REDIS]
    instance = new_instance(settings.process)
    secret = settings.secret.get_secret_value()
    amqp_url = settings.amqp_url.get_secret_value()
    ids = CommandIds(secret, await derived_key(database, secret, IDEMPOTENCY_PURPOSE))
    codec = Codec(secret)
    metrics = CommandMetrics(app[METRICS])
    memory = OutcomeMemory()
    reader, waiting = OutcomeReader(database, memory), OutcomeWaiters(memory)
    clock, pressure = DatabaseClock.of(database), Pressure()
    deadlines = Deadlines(
        database, reader, clock, settings.command_deadline, settings.outcome_retention
    )
    keys = IdempotencyKeys(AttemptStore(redis), reader, deadlines, ids, clock)

    async def flushed() -> None:
        await keys.restore(settings.command_deadline)

    pushes = PushReader(settings.redis_url.get_secret_value(), instance, waiting.heard, flushed)
    decisions, availability = Decisions(waiting, deadlines), AvailabilityCache(clock.now)
    metrics.watch(lambda: waiting.count, lambda: pushes.arrives)
    async with AsyncExitStack() as stack:
        stack.push_async_callback(reader.close)
        await stack.enter_async_context(_running(clock))
        coalescer = await stack.enter_async_context(_broker(app, instance))
        await stack.enter_async_context(reading(pushes))
        await stack.enter_async_context(polling(waiting, reader, lambda: pushes.arrives))
        management = settings.amqp_management_url
        management_url = management.get_secret_value() if management else None
        await stack.enter_async_context(sampling(pressure, management_url, amqp_url))
        listener = AvailabilityListener(amqp_url, instance, codec, availability)
        await stack.enter_async_context(watching(availability, database, listener))
        dispatcher = Dispatcher(
            coalescer,
            codec,
            metrics,
            instance=instance,
            shards=settings.shards,
            deadline=settings.command_deadline,
        )
        submissions = Submissions(
            dispatcher, decisions, keys, pressure, ids=ids, clock=clock, metrics=metrics
        )
        app[COMMAND_IDS], app[DECISIONS], app[SUBMISSIONS] = ids, decisions, submissions
        app[DIRECTORY], app[CATALOGUE] = Directory(database), Catalogue(database, redis)
        stack.push_async_callback(app[DIRECTORY].close)
        app[AVAILABILITY], app[CLOCK] = availability, clock
        app[REGISTRY] = QuoteRegistry(redis, database)
        await stack.enter_async_context(_released_at_the_end(app[STOPPING], waiting))
        yield
        await submissions.drain()


@asynccontextmanager
async def _running(clock: DatabaseClock) -> AsyncIterator[None]:
    await clock.refresh()
    task = asyncio.create_task(clock.run(), name="database clock")
    try:
        yield
    finally:
        await end(task)


@asynccontextmanager
async def _broker(app: web.Application, instance: str) -> AsyncIterator[Coalescer]:
    settings = app[SETTINGS]
    wanted = topology(settings.shards, settings.queue_length)
    link = Link(
        settings.amqp_url.get_secret_value(),
        f"{instance} publish",
        on_open=lambda channel: declare(channel, wanted),
        probe=True,
    )

    async def is_open() -> None:
        if not link.is_open:
            raise BrokerAway("not connected")

    app[CHECKS].require("rabbitmq", is_open)
    try:
        await link.start(wait=BROKER_SECONDS)
    except BrokerAway as error:
        log.warning("gateway begins without the broker", error=str(error))
    coalescer = Coalescer(Publisher(link), COMMANDS_EXCHANGE)
    try:
        yield coalescer
    finally:
        await coalescer.drain()
        await link.stop()


@asynccontextmanager
async def _released_at_the_end(
    stopping: asyncio.Event, waiting: OutcomeWaiters
) -> AsyncIterator[None]:
    """When the process begins to stop, everybody who waits is answered with what there is."""

    async def release() -> None:
        await stopping.wait()
        waiting.close()

    task = asyncio.create_task(release(), name="release at the end")
    try:
        yield
    finally:
        await end(task)
