"""`scripts/demo`: 3,000 buyers, 100 tickets, one second; then the proof that nobody was sold air.

In: how many buyers and tickets. Out: a live picture (plain lines without a terminal), the audit, a summary; exit code 0
when all was as promised, 1 when not. Starts EventHub when it does not run, and leaves it running.
Must stay true: only the public API is used but for making the buyers' accounts; loopback only; ends by itself.
"""

import asyncio
import os
import subprocess
from dataclasses import dataclass

import aiohttp
import click
import uvloop
from rich.console import Console
from rich.live import Live

from scripts.benching.live_display import Moment, as_promised, plain_line, rendered, summary
from scripts.benching.loads.api import Api
from scripts.benching.loads.crowd import Tally, rush
from scripts.benching.loads.users import make_users
from scripts.benching.measurement.auditing import quiet_audit
from scripts.benching.measurement.measuring import become_quiet
from scripts.benching.systems.system import NotRunning, System, running_system
from scripts.stack.home import CHECKOUT

TITLE = "The last concert"
FRAMES_PER_SECOND = 12
PLAIN_SECONDS = 0.25
STOCK_SECONDS = 0.1


@dataclass(slots=True)
class Stage:
    """The sale that everybody looks at. left: tickets as the API last said."""

    system: System
    tally: Tally
    tickets: int
    ticket_type: int
    left: int | None = None

    def moment(self) -> Moment:
        """What is to be shown now."""
        began = self.tally.began
        seconds = asyncio.get_running_loop().time() - began if began else 0.0
        # The API may be a second behind what the buyers have been told already.
        left = None if self.left is None else min(self.left, self.tickets - self.tally.accepted)
        return Moment(self.tickets, left, seconds)


@click.command(help="A rush on the local EventHub: many buyers, few tickets, and the audit.")
@click.option("--buyers", type=click.IntRange(1, 20_000), default=3000, show_default=True)
@click.option("--tickets", type=click.IntRange(1, 1_000_000), default=100, show_default=True)
@click.option("--over", type=click.FloatRange(0, 60), default=1.0, help="Seconds to arrive in.")
def main(buyers: int, tickets: int, over: float) -> None:
    """Run the command."""
    os.umask(0o077)
    system = _running()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        kept = runner.run(_demo(system, buyers, tickets, over))
    raise SystemExit(0 if kept else 1)


def _running() -> System:
    """The system, started when it does not run. Raises click.ClickException when it does not start."""
    try:
        return running_system()
    except NotRunning:
        click.echo(
            "EventHub is not running yet: starting it (the first time takes a minute or two)."
        )
    started = subprocess.run([CHECKOUT / "scripts" / "up", "--detach"], check=False)
    if started.returncode:
        raise click.ClickException("EventHub did not start: see above.")
    return running_system()


async def _demo(system: System, buyers: int, tickets: int, over: float) -> bool:
    console = Console()
    console.print(f"\n{buyers:,} people want one of {tickets:,} tickets. Making their accounts ...")
    users = await make_users(system, buyers)
    organizer = (await make_users(system, 1, ("ORGANIZER",)))[0]
    async with aiohttp.ClientSession() as session:
        api = Api(session, system.gateway_url, organizer.token)
        show = await api.make_show(TITLE, quotas=[tickets])
        stage = Stage(system, Tally(buyers), tickets, show.ticket_types[0])
        watching = asyncio.create_task(_watch_stock(api, stage))
        crowd = rush(
            system.gateway_url,
            [user.token for user in users],
            stage.ticket_type,
            stage.tally,
            over=over,
        )
        await _show(console, stage, asyncio.create_task(crowd))
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
        left = await _left_for_sure(system, api, stage)
    report = await quiet_audit(system)
    verdicts = [(v.sentence, not v.findings) for v in report.verdicts]
    told = summary(stage.tally, tickets, left, verdicts=verdicts)
    console.print("\n" + told, highlight=False, soft_wrap=True)
    _say_goodbye(console, system)
    return report.ok and as_promised(stage.tally, tickets, left)


async def _show(console: Console, stage: Stage, crowd: "asyncio.Task[None]") -> None:
    """Keep the picture up to date until the crowd is done."""
    if console.is_terminal:
        with Live(console=console, auto_refresh=False) as live:
            while not crowd.done():
                live.update(rendered(TITLE, stage.tally, stage.moment()), refresh=True)
                await asyncio.wait([crowd], timeout=1 / FRAMES_PER_SECOND)
            live.update(rendered(TITLE, stage.tally, stage.moment()), refresh=True)
    else:
        while not crowd.done():
            click.echo(plain_line(stage.tally, stage.moment()))
            await asyncio.wait([crowd], timeout=PLAIN_SECONDS)
        click.echo(plain_line(stage.tally, stage.moment()))
    await crowd


async def _watch_stock(api: Api, stage: Stage) -> None:
    while True:
        try:
            stage.left = await _available(api, stage)
        except (click.ClickException, aiohttp.ClientError, TimeoutError):
            pass  # The picture shows the last number; the end asks again and insists.
        await asyncio.sleep(STOCK_SECONDS)


async def _available(api: Api, stage: Stage) -> int:
    said = await api.call("GET", f"/api/ticket-types/{stage.ticket_type}")
    return int(said["available"])


async def _left_for_sure(system: System, api: Api, stage: Stage) -> int:
    """The stock once all is quiet; the API may be a second behind."""
    await become_quiet(system)
    await asyncio.sleep(1.1)
    stage.left = await _available(api, stage)
    return stage.left


def _say_goodbye(console: Console, system: System) -> None:
    console.print(
        f"\nEventHub keeps running: {system.gateway_url}/docs\n"
        "  scripts/demo --buyers 10000    a bigger crowd\n"
        "  scripts/bench sale --baseline  how fast it sells, and what an order costs\n"
        "  scripts/status                 what runs;  scripts/down stops it",
        highlight=False,
    )


if __name__ == "__main__":
    main(prog_name="scripts/demo")
