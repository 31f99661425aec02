"""One measured load: CPU of every process, what the processes say, until the system is quiet again.

In: a running system and something that puts load on it. Out: `Measured`.
Must stay true: work that a load leaves behind (relay, notifications) is waited for and counted; the client's own CPU is
told apart; the measured time holds nothing but the load and its aftermath.
"""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import aio_pika
import click

from contracts.messaging.topology import returns_queue
from db.messages import outbox
from db.mysql.database import Database
from scripts.benching.loads.wrk import Answers, WrkLoad, put_load
from scripts.benching.measurement.cpu import machine_seconds, read_cpu
from scripts.benching.measurement.metrics import means, read_histograms
from scripts.benching.systems.system import System

QUIET_SECONDS = 60.0
CALM_READINGS = 2
EVENT_QUEUES = ("notify", "order.events", "payment.events")


@dataclass(frozen=True, slots=True)
class Measured:
    """A load and what it cost. cpu: seconds by process; quiet_after: from the last answer until quiet.

    others: cores that processes outside of the measurement kept busy meanwhile.
    """

    answers: Answers
    cpu: Mapping[str, float]
    quiet_after: float
    means: Mapping[str, Mapping[str, Mapping[str, float]]]
    others: float = 0.0

    def cpu_micros_per(self, count: int) -> dict[str, float]:
        """CPU microseconds for each of `count` orders, by process and in total."""
        if not count:
            return {}
        each = {name: round(s * 1e6 / count, 1) for name, s in sorted(self.cpu.items())}
        return each | {"total": round(sum(self.cpu.values()) * 1e6 / count, 1)}

    def batch_sizes(self) -> dict[str, float]:
        """Mean number of commands or events in a batch, by process and metric."""
        return {
            f"{process} {metric}": told["mean"]
            for process, metrics in self.means.items()
            for metric, told in metrics.items()
            if not metric.endswith("_ms") and "_ms[" not in metric
        }

    def step_times(self) -> dict[str, float]:
        """Mean milliseconds of each step that is measured by the processes."""
        return {
            f"{process} {metric}": told["mean"]
            for process, metrics in self.means.items()
            for metric, told in metrics.items()
            if metric.endswith("_ms") or "_ms[" in metric
        }


async def measure(system: System, load: WrkLoad) -> Measured:
    """Put the load on the system and measure until it is quiet. Raises click.ClickException."""
    return await measure_work(system, lambda: put_load(load))


async def measure_work(system: System, work: Callable[[], Answers]) -> Measured:
    """The same for any work that blocks a thread until its answers are there."""
    # What an earlier load left behind is not this one's.
    await become_quiet(system)
    pids, ports = system.pids(), system.health_ports()
    histograms = await read_histograms(ports)
    before, machine_before, began = read_cpu(pids), machine_seconds(), time.monotonic()
    answers = await asyncio.to_thread(work)
    ended = time.monotonic()
    await become_quiet(system)
    quiet_after = time.monotonic() - ended
    cpu = {name: used for name, used in read_cpu(pids).since(before).items() if used > 0}
    foreign = machine_seconds() - machine_before - sum(cpu.values()) - answers.client_seconds
    others = max(0.0, foreign / (time.monotonic() - began))
    told = means(histograms, await read_histograms(ports))
    return Measured(answers, cpu, quiet_after, told, others)


async def become_quiet(system: System, seconds: float = QUIET_SECONDS) -> None:
    """Wait until no event waits anywhere. Raises click.ClickException when that takes too long."""
    database = await Database.connect(system.mysql_url, size=1)
    connection = await aio_pika.connect(system.amqp_url)
    queues = (*EVENT_QUEUES, *(returns_queue(shard) for shard in range(system.shards)))
    waiting: dict[str, int] = {}
    calm = 0
    try:
        async with asyncio.timeout(seconds):
            # Twice in a row: a message may just be on its way from one place to the next.
            while calm < CALM_READINGS:
                waiting = await _waiting(database, connection, queues)
                calm = 0 if waiting else calm + 1
                await asyncio.sleep(0.1)
    except TimeoutError:
        raise click.ClickException(f"not quiet after {seconds:.0f} s: {waiting}") from None
    finally:
        await connection.close()
        await database.close()


async def _waiting(
    database: Database, connection: aio_pika.abc.AbstractConnection, queues: Sequence[str]
) -> dict[str, int]:
    """What still waits, by its place; empty when nothing does."""
    counts = {"outbox": (await outbox.lag(database))[0]}
    async with connection.channel() as channel:
        for name in queues:
            queue = await channel.declare_queue(name, passive=True)
            counts[name] = queue.declaration_result.message_count or 0
    return {name: count for name, count in counts.items() if count}


def figures(measured: Measured) -> dict[str, Any]:
    """What every kind of load reports."""
    answers = measured.answers
    return {
        "offered": answers.issued,
        "accepted": answers.accepted,
        "refused": answers.refused,
        "undecided": answers.counts.get("202", 0),
        "errors": answers.failed,
        "seconds": round(answers.seconds, 3),
        "ordersPerSecond": round(answers.per_second(answers.accepted), 1),
        "p50Ms": round(answers.p50, 1),
        "p90Ms": round(answers.p90, 1),
        "p99Ms": round(answers.p99, 1),
        "maxMs": round(answers.max, 1),
        "cpuMicrosPerOrder": measured.cpu_micros_per(answers.accepted),
        "othersCores": round(measured.others, 2),
        "clientCpuMicrosPerOrder": round(
            answers.client_seconds * 1e6 / max(answers.accepted, 1), 1
        ),
        "quietAfterSeconds": round(measured.quiet_after, 2),
        "batchSizes": measured.batch_sizes(),
        "stepMs": measured.step_times(),
    }
