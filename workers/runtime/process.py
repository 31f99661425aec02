"""A worker process from its start to its graceful end. Connections are born and die here.

In: `Worker`: what it consumes, its handlers, its background jobs. Out: an exit code.
Must stay true: no message is taken before the database has proved durable and migrated, the
topology exists and the self-test has passed; SIGTERM stops taking, finishes what was taken, gives leases
back and exits 0 within 10 s; what could not be finished stays on its queue.
"""

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

import structlog
import uvloop
from aio_pika.abc import AbstractChannel

from contracts.command_ids import CommandIds
from contracts.messaging.envelope import Codec
from contracts.messaging.link import Link, declare
from contracts.messaging.publisher import Publisher
from contracts.messaging.topology import topology
from contracts.runtime import logs
from contracts.runtime.garbage_collection import settle_collector
from contracts.runtime.log_file import log_to
from contracts.runtime.settings import Settings, load_settings
from db import guard
from db.messages.leases import new_incarnation
from db.messages.outbox import Outbox
from db.mysql.database import Database
from db.redis.clients import quick_client
from db.redis.seat_locks import SeatLocks, Seats
from workers.runtime import self_test
from workers.runtime.deciding import CommandProcessor
from workers.runtime.handlers import Handler
from workers.runtime.health import serve_health
from workers.runtime.intake import FIRST_LANE, Intake
from workers.runtime.processing import MessageProcessor, Raw
from workers.runtime.reacting import EventProcessor
from workers.runtime.self_test import Scene
from workers.runtime.services import Services, Stopping

log = structlog.get_logger(__name__)

STOP_SECONDS = 9.0
START_SECONDS = 60.0


Job = Callable[[Services], Awaitable[None]]
"""Runs in the background until `services.stop` is set; returns after it has closed what it opened."""


@dataclass(frozen=True, slots=True)
class Worker:
    """What a kind of worker is: given its services, what it listens to and does."""

    name: str
    handlers: Mapping[str, Handler]
    queues: Sequence[str] = ()
    """Queues consumed from start to end; inventory's shards come and go by a job."""
    first: Sequence[str] = ()
    """As `queues`; what arrives from them is taken before all else."""
    jobs: Sequence[Job] = ()
    raw: Callable[[Services], Mapping[str, Raw]] = lambda _: {}
    """Handlers of queues that carry no CloudEvents."""
    scene: Scene | None = None
    """What its self-test asks of it."""
    checks: Mapping[str, Callable[[Services], Awaitable[str | None]]] = field(default_factory=dict)
    """What else must be so for it to be ready, by name."""


def main(make: Callable[[Services], Worker]) -> None:
    """Run the worker that `make` describes until SIGTERM or SIGINT."""
    settings = load_settings()
    log_to(settings.log_file)
    logs.configure(settings.process, settings.log_level)
    settle_collector()
    uvloop.run(run(settings, make))


async def run(
    settings: Settings,
    make: Callable[[Services], Worker],
    *,
    seats: Seats | None = None,
    stop: asyncio.Event | None = None,
) -> None:
    """Open, work, close. `seats` replaces the Redis locks, `stop` the signals (tests)."""
    async with _services(settings, stop) as services:
        if stop is None:
            _stop_on_signals(services.stop)
        worker = make(services)
        services.readiness.checks = {
            name: partial(check, services) for name, check in worker.checks.items()
        }
        chosen = seats or SeatLocks(services.redis, settings.seat_lease, services.incarnation)
        processor = _processor(services, worker, chosen)
        async with serve_health(services, processor.measure):
            await _work(services, worker, processor)


async def _work(services: Services, worker: Worker, processor: MessageProcessor) -> None:
    await services.intake.start(wait=START_SECONDS)
    if not await self_test.passed(services, worker.handlers, worker.scene):
        return
    runner = asyncio.create_task(processor.run(), name="processor")
    jobs = [asyncio.create_task(_run_job(job, services)) for job in worker.jobs]
    for queue in worker.first:
        await services.intake.subscribe(queue, FIRST_LANE)
    for queue in worker.queues:
        await services.intake.subscribe(queue)
    log.info("ready", worker=worker.name, queues=[*worker.first, *worker.queues])
    stopped = asyncio.create_task(services.stop.wait())
    # A job or the processor that ends before it is told to is a defect: the process ends, and is started again.
    done, _ = await asyncio.wait({stopped, runner, *jobs}, return_when=asyncio.FIRST_COMPLETED)
    services.stop.set()
    log.info("stopping", worker=worker.name)
    try:
        async with asyncio.timeout(STOP_SECONDS):
            await processor.drain(runner)
            await asyncio.gather(*jobs)
    except (TimeoutError, Stopping) as error:
        log.warning("stopped with work left on the queues", error=repr(error))
    for task in done - {stopped}:
        task.result()


async def _run_job(job: Job, services: Services) -> None:
    await job(services)
    if not services.stop.is_set():
        raise RuntimeError(f"{job} ended by itself")


def _processor(services: Services, worker: Worker, seats: Seats) -> MessageProcessor:
    shared = (services.database, services.redis, services.settings)
    return MessageProcessor(
        services.intake,
        services.publisher,
        codec=services.codec,
        command_ids=services.command_ids,
        handlers=worker.handlers,
        raw=worker.raw(services),
        deciding=CommandProcessor(
            *shared,
            outbox=services.outbox,
            seats=seats,
            database_back=services.database_back,
            streak=services.readiness.streak,
        ),
        reacting=EventProcessor(
            *shared,
            outbox=services.outbox,
            database_back=services.database_back,
            streak=services.readiness.streak,
        ),
    )


@contextlib.asynccontextmanager
async def _services(settings: Settings, stop: asyncio.Event | None) -> AsyncIterator[Services]:
    async with contextlib.AsyncExitStack() as stack:
        database = await Database.connect(settings.mysql_url.get_secret_value())
        stack.push_async_callback(database.close)
        await guard.check(database)
        redis = quick_client(settings.redis_url.get_secret_value())
        stack.push_async_callback(redis.aclose)
        publish_link = Link(
            settings.amqp_url.get_secret_value(),
            f"{settings.process} publish",
            on_open=_declaring(settings),
            probe=True,
        )
        stack.push_async_callback(publish_link.stop)
        await publish_link.start(wait=START_SECONDS)
        secret = settings.secret.get_secret_value()
        codec = Codec(secret)
        intake = Intake(
            settings.amqp_url.get_secret_value(), settings.process, prepare=_declaring(settings)
        )
        stack.push_async_callback(intake.stop)
        yield Services(
            settings=settings,
            incarnation=new_incarnation(),
            database=database,
            redis=redis,
            publisher=Publisher(publish_link),
            intake=intake,
            codec=codec,
            command_ids=CommandIds(secret),
            outbox=Outbox(codec, settings.role, settings.shards),
            stop=stop or asyncio.Event(),
        )


def _declaring(settings: Settings) -> Callable[[AbstractChannel], Awaitable[None]]:
    """Declare the topology on each new connection: a broker that lost its disk gets it back."""
    wanted = topology(settings.shards, settings.queue_length)

    async def declare_all(channel: AbstractChannel) -> None:
        await declare(channel, wanted)

    return declare_all


def _stop_on_signals(stop: asyncio.Event) -> None:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
