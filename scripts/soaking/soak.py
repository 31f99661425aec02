"""`scripts/soak MINUTES`: a steady, mixed load on the local EventHub, and whether it stays sound and flat.

In: how long, how many orders a second, a seed; the system that scripts/up started. Out: a table on standard error, one
JSON line on standard output, the readings as JSON lines when asked; exit code 0 when all is as it should be.
Must stay true: loopback only; bounded rate; ends by itself; Ctrl-C ends it early with a verdict on what there is.
"""

import asyncio
import contextlib
import json
import os
import signal
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TextIO

import aiohttp
import click
import uvloop

from contracts.runtime.times import to_wire
from db.mysql.database import Database
from scripts.benching.measurement.auditing import audit_result
from scripts.benching.measurement.cpu import machine_seconds
from scripts.benching.measurement.machine import machine
from scripts.benching.measurement.measuring import become_quiet
from scripts.benching.systems.system import System, running_system
from scripts.soaking.audience import Heard, receiving, reporting, sign_in_and_out
from scripts.soaking.sampling import ALLOWED, Sampler, Series, table_rows
from scripts.soaking.shoppers import Shoppers, make_events_on_sale
from scripts.soaking.trends import JUDGED_SECONDS, Point, Trend, percentile, rate, trends
from scripts.soaking.verdict import is_error, reasons, render
from scripts.soaking.visit import Habits
from scripts.versions import server_versions

SAMPLE_SECONDS, TELL_SECONDS = 10.0, 60.0
SETTINGS = ("EVENTHUB_ORDER_TTL", "EVENTHUB_QUOTE_TTL", "EVENTHUB_MAX_HOLD")
"""Short ones let expiry and return run all the time."""


@dataclass(frozen=True, slots=True)
class SoakOptions:
    """What was asked for. rate: visits a second, nearly all of which place an order."""

    minutes: float
    rate: float = 100.0
    seed: int = 20260101
    every: float = SAMPLE_SECONDS
    habits: Habits = field(default_factory=Habits)


@dataclass(slots=True)
class Soak:
    """One soak under way."""

    system: System
    options: SoakOptions
    database: Database
    sampler: Sampler
    shoppers: Shoppers
    beside: Counter[str]
    """What the others were answered."""
    began: float = 0.0
    machine_before: float = 0.0
    heard: Heard | None = None


async def soak(
    system: System,
    options: SoakOptions,
    samples: TextIO | None = None,
    stop: asyncio.Event | None = None,
) -> dict[str, Any]:
    """Run it; `stop` ends the load early. Raises click.ClickException when the system does not do its part."""
    database = await Database.connect(system.mysql_url, size=4)
    sampler = Sampler(system, database)
    try:
        events_on_sale = await make_events_on_sale(system)
        shoppers = Shoppers(
            system,
            database,
            events_on_sale,
            rate=options.rate,
            seed=options.seed,
            habits=options.habits,
        )
        one = Soak(system, options, database, sampler, shoppers, Counter())
        about = {
            "bench": "soak",
            "at": to_wire(datetime.now(UTC)),
            "machine": machine(),
            "servers": await server_versions(system.mysql_url, system.amqp_url, system.redis_url),
            "load": {"visitsPerSecond": options.rate, "seed": options.seed, **_settings(system)},
            "rowsBefore": await table_rows(database),
        }
        minutes = await _put_load(one, samples, stop or asyncio.Event())
        return await _result(one, about, minutes)
    finally:
        await sampler.close()
        await database.close()


async def _put_load(one: Soak, samples: TextIO | None, stop: asyncio.Event) -> float:
    """Shoppers, everybody beside them, and the readings; how many minutes the load lasted."""
    loop = asyncio.get_running_loop()
    async with contextlib.AsyncExitStack() as stack:
        timeout = aiohttp.ClientTimeout(total=30)
        session = await stack.enter_async_context(aiohttp.ClientSession(timeout=timeout))
        one.heard = await stack.enter_async_context(receiving(one.system, session))
        if one.heard is None:
            click.echo(
                "note: no webhook comes; start with EVENTHUB_WEBHOOK_ALLOW_PRIVATE=true", err=True
            )
        await stack.enter_async_context(reporting(one.system, one.database, session, one.beside))
        one.began, one.machine_before = loop.time(), machine_seconds()
        beside = [
            asyncio.create_task(one.sampler.watch_lag()),
            asyncio.create_task(_sample(one, samples)),
            asyncio.create_task(sign_in_and_out(one.system, session, one.beside)),
        ]
        try:
            shopping = asyncio.create_task(one.shoppers.run(one.options.minutes * 60, stop))
            await asyncio.wait([shopping, *beside], return_when=asyncio.FIRST_COMPLETED)
            for task in beside:
                if task.done():
                    stop.set()
                    task.result()
            ended = loop.time()
            await shopping
        finally:
            for task in beside:
                task.cancel()
            await asyncio.gather(*beside, return_exceptions=True)
        await become_quiet(one.system, 120)
    return (ended - one.began) / 60


@contextlib.contextmanager
def _early_end(stop: asyncio.Event) -> Iterator[None]:
    """Ctrl-C and SIGTERM end the load, not the soak."""
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    try:
        yield
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)


async def _sample(one: Soak, samples: TextIO | None) -> None:
    """Read everything every ten seconds; tell how it goes every minute."""
    loop, told_at = asyncio.get_running_loop(), 0.0
    while True:
        at = loop.time() - one.began
        values = await one.sampler.sample(at)
        visits = one.shoppers.told.visits
        one.sampler.series.cpu.setdefault("visits", []).append((at, float(visits)))
        if samples is not None:
            line = {"at": round(at, 1), "visits": visits} | {
                k: round(v, 2) for k, v in values.items()
            }
            samples.write(json.dumps(line) + "\n")
            samples.flush()
        if at >= told_at:
            told_at += TELL_SECONDS
            _tell(one, at)
        await asyncio.sleep(max(0.0, one.began + at + one.options.every - loop.time()))


def _tell(one: Soak, at: float) -> None:
    told, lag = one.shoppers.told, one.sampler.series.lag[-60:]
    click.echo(
        f"{at / 60:5.1f} min  {told.visits:>8,} visits  {told.operations:>9,} operations checked  "
        f"{told.lie_count} lies  outbox lag max {max(lag, default=0):.2f} s",
        err=True,
    )


def _settings(system: System) -> dict[str, Any]:
    chosen = system.home.load().settings if system.home else {}
    return {name: int(chosen[name]) for name in SETTINGS if name in chosen}


async def _result(one: Soak, about: dict[str, Any], minutes: float) -> dict[str, Any]:
    """Everything there is to say. Waits until the system is quiet."""
    series, told = one.sampler.series, one.shoppers.told
    seconds = asyncio.get_running_loop().time() - one.began
    visitors = one.shoppers.visitors
    assert visitors is not None, "the load has run"
    answers = visitors.caller.told + Counter(
        {f"read {status}": count for status, count in visitors.reads.items() if status != "200"}
    )
    result: dict[str, Any] = about | {
        "minutes": round(minutes, 2),
        "visits": told.visits,
        "heldBack": told.held_back,
        "answers": dict(sorted(answers.items())),
        "beside": dict(sorted(one.beside.items())),
        "errors": {what: count for what, count in sorted(answers.items()) if is_error(what)},
        "odd": dict(visitors.odd),
        "webhooks": one.heard.to_json() if one.heard else None,
        "history": _history(one.shoppers),
        "outboxLag": _lag(series),
        "restarts": series.restarts,
        "missedReadings": series.missed,
        "trends": [_told(trend) for trend in trends(series.points, ALLOWED)],
        "judged": seconds >= JUDGED_SECONDS,
        "cpuMicrosPerVisit": _costs(series.cpu),
        "othersCores": _others(one, seconds),
        "audit": await audit_result(one.system),
        "rowsAfter": await table_rows(one.database),
    }
    before, after = result["rowsBefore"], result["rowsAfter"]
    result["deadLetters"] = after["dead_letters"] - before["dead_letters"]
    result["reasons"] = reasons(result)
    return result | {"ok": not result["reasons"]}


def _history(shoppers: Shoppers) -> dict[str, Any]:
    told = shoppers.told
    return {
        "operations": told.operations,
        "ends": dict(sorted(told.ends.items())),
        "lies": told.lie_count,
        "examples": told.lies,
    }


def _lag(series: Series) -> dict[str, float]:
    return {
        "readings": len(series.lag),
        "p50Seconds": round(percentile(series.lag, 0.5), 3),
        "p99Seconds": round(percentile(series.lag, 0.99), 3),
        "maxSeconds": round(max(series.lag, default=0.0), 3),
        "maxEvents": series.backlog,
    }


def _told(trend: Trend) -> dict[str, Any]:
    return {
        "name": trend.name,
        "second": round(trend.second, 1),
        "last": round(trend.last, 1),
        "highest": round(trend.highest, 1),
        "percentPerHour": round(trend.percent_per_hour, 1),
        "flat": trend.flat,
    }


def _costs(cpu: Mapping[str, list[Point]]) -> dict[str, list[float]]:
    """Process -> CPU microseconds per visit in the second and in the last quarter."""
    visits = cpu.get("visits", [])
    return {
        name: [round(rate(points, visits, number) * 1e6, 1) for number in (1, 3)]
        for name, points in sorted(cpu.items())
        if name != "visits"
    }


def _others(one: Soak, seconds: float) -> float:
    """Cores that processes outside of system and client kept busy."""
    ours = sum(p[-1][1] - p[0][1] for name, p in one.sampler.series.cpu.items() if name != "visits")
    mine = time.process_time()
    busy = machine_seconds() - one.machine_before
    return round(max(0.0, (busy - ours - mine) / seconds), 2)


async def _soak(system: System, options: SoakOptions, samples: TextIO | None) -> dict[str, Any]:
    stop = asyncio.Event()
    with _early_end(stop):
        return await soak(system, options, samples, stop)


@click.command(
    help="A steady, mixed load on the local EventHub; is it still sound, did it stay flat?"
)
@click.argument("minutes", type=click.FloatRange(0.1, 24 * 60))
@click.option("--rate", type=click.FloatRange(1, 1000), default=100.0, show_default=True)
@click.option("--seed", type=int, default=20260101, show_default=True)
@click.option(
    "--samples", type=click.File("w"), help="Write every reading here, one JSON line each."
)
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="The JSON line, too.")
def main(minutes: float, rate: float, seed: int, samples: TextIO | None, out: Path | None) -> None:
    """Run the command."""
    os.umask(0o077)
    system = running_system()
    missing = [name for name in SETTINGS if name not in _settings(system)]
    if missing:
        click.echo(f"note: little will expire; start with {'=60 '.join(missing)}=60", err=True)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        result = runner.run(_soak(system, SoakOptions(minutes, rate, seed), samples))
    line = json.dumps(result)
    if out is not None:
        out.write_text(line + "\n")
    click.echo(render(result), err=True)
    click.echo(line)
    sys.exit(0 if result["ok"] else 1)


if __name__ == "__main__":
    main(prog_name="scripts/soak")
