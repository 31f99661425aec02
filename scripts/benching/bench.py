"""`scripts/bench`: bounded load on the local EventHub, one JSON line per run on standard output.

In: a kind of load and its options. Out: JSON; what goes on is told on standard error.
Must stay true: loopback only; bounded in time and count; ends by itself and ends only what it started.
"""

import asyncio
import json
import os
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import click
import uvloop

from scripts.benching.benches.expiry import ExpiryOptions, expiry
from scripts.benching.benches.growth import GrowthOptions, growth
from scripts.benching.benches.memory import MemoryOptions, memory
from scripts.benching.benches.purchase import purchase
from scripts.benching.benches.returns import returns
from scripts.benching.benches.sale import QUOTA, SaleOptions, sale
from scripts.benching.benches.scale import scale
from scripts.benching.benches.scans import ScanOptions, scans
from scripts.benching.compare import compare
from scripts.benching.history import keep
from scripts.benching.lower_bounds.against_bare import door, http
from scripts.benching.lower_bounds.floors import FloorOptions, floors
from scripts.benching.systems.system import running_system

SECONDS = click.FloatRange(0.1, 300)


def report(work: Coroutine[Any, Any, dict[str, Any]], out: Path | None) -> None:
    """Run a bench to its end and print its JSON line; keep it in a file as well when asked."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        result = runner.run(work)
    line = json.dumps(result)
    if out is not None:
        out.write_text(line + "\n")
    if click.get_current_context().find_root().params["keep"]:
        click.echo(f"kept in {keep(result)}", err=True)
    click.echo(line)


OUT = click.option(
    "--out", type=click.Path(dir_okay=False, path_type=Path), help="Keep the JSON line here too."
)


@click.group(help="Bounded load on the local EventHub (scripts/up starts it).")
@click.option("--keep", is_flag=True, help="Add the result to the history in docs/results.")
def main(**_: bool) -> None:
    """The commands."""
    os.umask(0o077)


@main.command("sale", help="Sell tickets as fast as they go; CPU per order for each process.")
@click.option("--clients", type=click.IntRange(1, 20_000), default=128, show_default=True)
@click.option("--seconds", type=SECONDS, default=10.0, show_default=True)
@click.option("--orders", type=click.IntRange(0, 1_000_000), default=0, help="End after so many.")
@click.option("--events", type=click.IntRange(1, 10_000), default=1, show_default=True)
@click.option("--tickets", type=click.IntRange(1, QUOTA), default=QUOTA, help="Of each event.")
@click.option("--users", type=click.IntRange(1, 200_000), default=5000, show_default=True)
@click.option("--rate", type=click.FloatRange(0, 100_000), default=0, help="Orders a second.")
@click.option("--warm-up", type=click.FloatRange(0, 30), default=1.0, show_default=True)
@click.option("--keys", is_flag=True, help="Send an Idempotency-Key with each order.")
@click.option("--baseline", is_flag=True, help="Measure the synchronous flow as well.")
@click.option("--baseline-processes", type=click.IntRange(1, 8), default=1, show_default=True)
@click.option(
    "--floors", is_flag=True, help="Measure the floors as well, for the batches that were seen."
)
@click.option("--audit/--no-audit", default=True, show_default=True)
@OUT
def sale_command(out: Path | None, **options: Any) -> None:
    report(sale(running_system(), SaleOptions(**options)), out)


CLIENTS = click.option("--clients", type=click.IntRange(1, 5000), default=128, show_default=True)
LASTS = click.option("--seconds", type=SECONDS, default=5.0, show_default=True)


@main.command("http", help="GET /api/events from the cache beside a bare handler.")
@CLIENTS
@LASTS
@OUT
def http_command(out: Path | None, clients: int, seconds: float) -> None:
    report(http(running_system(), clients=clients, seconds=seconds), out)


@main.command("door", help="Sold-out answers beside a bare handler.")
@CLIENTS
@LASTS
@OUT
def door_command(out: Path | None, clients: int, seconds: float) -> None:
    report(door(running_system(), clients=clients, seconds=seconds), out)


@main.command("purchase", help="Order, quote and confirmation, from end to end.")
@CLIENTS
@LASTS
@OUT
def purchase_command(out: Path | None, clients: int, seconds: float) -> None:
    report(purchase(running_system(), clients=clients, seconds=seconds), out)


@main.command("scans", help="Gates at the door: how fast, and how fast beside a sale.")
@click.option(
    "--rate", type=click.FloatRange(0, 20_000), default=0, help="Calls a second; 0: as many as go."
)
@click.option(
    "--each", type=click.IntRange(1, 500), default=1, show_default=True, help="Scans of a call."
)
@click.option("--tickets", type=click.IntRange(1, 200_000), default=20_000, show_default=True)
@click.option("--gates", type=click.IntRange(1, 100), default=8, show_default=True)
@click.option(
    "--beside", type=click.FloatRange(0, 20_000), default=0, help="Orders a second sold meanwhile."
)
@click.option("--audit/--no-audit", default=True, show_default=True)
@CLIENTS
@LASTS
@OUT
def scans_command(out: Path | None, **options: Any) -> None:
    """Run it."""
    report(scans(running_system(), ScanOptions(**options)), out)


@main.command("floors", help="What each part of an order costs at its barest on this machine.")
@click.option("--commands", type=click.FloatRange(1, 64), default=32, show_default=True)
@click.option("--events", type=click.FloatRange(1, 128), default=64, show_default=True)
@click.option("--fresh-tokens", type=click.FloatRange(0, 1), default=0.25, show_default=True)
@CLIENTS
@OUT
def floors_command(out: Path | None, **options: Any) -> None:
    report(floors(running_system(), FloorOptions(**options)), out)


@main.command("returns", help="Cancelled tickets back on sale while their shard is saturated.")
@CLIENTS
@click.option("--cancellations", type=click.IntRange(1, 100), default=10, show_default=True)
@OUT
def returns_command(out: Path | None, clients: int, cancellations: int) -> None:
    report(returns(running_system(), clients=clients, cancellations=cancellations), out)


@main.command("expiry", help="Expired tickets back on sale while their shard is saturated.")
@CLIENTS
@click.option("--expiries", type=click.IntRange(1, 500), default=20, show_default=True)
@click.option("--life", type=click.IntRange(0, 60), default=0, help="Seconds that all orders live.")
@OUT
def expiry_command(out: Path | None, **options: Any) -> None:
    report(expiry(running_system(), ExpiryOptions(**options)), out)


@main.command("growth", help="Cost per order with full tables, many events, many idle streams.")
@click.option("--orders", type=click.IntRange(1, 5_000_000), default=1_000_000, show_default=True)
@click.option("--events", type=click.IntRange(0, 200_000), default=100_000, show_default=True)
@click.option("--streams", type=click.IntRange(0, 15_000), default=10_000, show_default=True)
@click.option("--rounds", type=click.IntRange(1, 15), default=5, show_default=True)
@click.option("--each", type=click.IntRange(100, 100_000), default=3000, show_default=True)
@click.option("--keys", is_flag=True, help="Send an Idempotency-Key with each order.")
@CLIENTS
@click.option("--audit/--no-audit", default=False, help="Of the large side: minutes.")
@OUT
def growth_command(out: Path | None, **options: Any) -> None:
    report(growth(running_system(), GrowthOptions(**options)), out)


@main.command("memory", help="Memory of each process after many orders, and with waiting clients.")
@click.option("--orders", type=click.IntRange(0, 2_000_000), default=100_000, show_default=True)
@click.option("--purchases", type=click.IntRange(0, 100_000), default=5000, show_default=True)
@click.option("--waiting", type=click.IntRange(0, 15_000), default=10_000, show_default=True)
@CLIENTS
@click.option("--audit/--no-audit", default=True, show_default=True)
@OUT
def memory_command(out: Path | None, **options: Any) -> None:
    report(memory(running_system(), MemoryOptions(**options)), out)


@main.command("scale", help="The same sale with 1, 2, 4 ... processes of a kind.")
@click.option(
    "--kind", type=click.Choice(["inventory", "gateway", "relay", "notify"]), default="inventory"
)
@click.option("--counts", default="1,2,4", show_default=True, help="How many, one after the other.")
@click.option("--events", type=click.IntRange(1, 10_000), default=50, show_default=True)
@click.option("--rounds", type=click.IntRange(1, 9), default=1, show_default=True)
@CLIENTS
@LASTS
@OUT
def scale_command(
    out: Path | None,
    kind: str,
    counts: str,
    events: int,
    rounds: int,
    clients: int,
    seconds: float,
) -> None:
    numbers = [int(part) for part in counts.split(",")]
    if not all(1 <= number <= 8 for number in numbers):
        raise click.BadParameter("1 to 8 processes", param_hint="--counts")
    options = SaleOptions(clients=clients, seconds=seconds, events=events)
    work = scale(running_system(), kind=kind, counts=numbers, options=options, rounds=rounds)
    report(work, out)


@main.command("compare", help="What changed from one result to another; exit 1 on a regression.")
@click.argument("before", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.argument("after", type=click.Path(exists=True, dir_okay=False, path_type=Path))
def compare_command(before: Path, after: Path) -> None:
    """Show it. A file of several results (the history) stands for its last one."""
    lines, worse = compare(_last(before), _last(after))
    click.echo("\n".join(lines))
    if worse:
        raise SystemExit(1)


def _last(path: Path) -> dict[str, Any]:
    lines = [line for line in path.read_text().splitlines() if line.strip()]
    try:
        result: dict[str, Any] = json.loads(lines[-1])
    except (IndexError, ValueError):
        raise click.ClickException(f"{path} holds no result of a bench") from None
    return result


if __name__ == "__main__":
    main(prog_name="scripts/bench")
