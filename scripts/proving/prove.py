"""`scripts/prove [--quick] [--seed N]`: break everything on purpose, then prove that nothing was lost.

In: nothing (servers of its own), or the four URLs; `--history FILE [--deadline SECONDS]`: a load client's file, held
against MYSQL_URL.
Out: one report; exit code 0 when everything held, 1 when something did not, 2 when it could not look.
Must stay true: seeds are printed, and `--seed` runs one of them again; what it started is gone when it ends.
"""

import asyncio
import os
import platform
import random
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import click
import pymysql.err

from db.mysql.database import Database
from scripts.locating import locate
from scripts.proving.checking import check
from scripts.proving.history import Operation, load_file
from scripts.proving.report import notes_of, parts_of, render
from scripts.stack.commands.testing import end_on_signals, own_home, run_pytest, running_servers
from scripts.stack.home import SetupError
from scripts.versions import server_versions

FIXED_SEED = 20260101
FRESH_SEEDS = 2
AT_ONCE = ("-n", "2", "--dist", "loadfile")
"""Two modules side by side, each on servers of its own: most of a fault is waiting for what it broke."""
EVERYTHING = (
    "tests/faults",
    "tests/integration/commands/test_secret_rotation.py",
    "tests/integration/gateway/test_authorisation.py",
    "tests/integration/gateway/test_hostile.py",
    "tests/integration/gateway/test_locks.py",
    "tests/integration/gateway/test_sessions.py",
    "tests/integration/locking/test_vanished.py",
    "tests/integration/rates/test_broker_rights.py",
    "tests/integration/sales/test_hostile_corpus.py",
    "tests/integration/sales/test_hostile_messages.py",
    "tests/integration/sales/test_overdue.py",
    "tests/integration/sales/test_person_limits.py",
    "tests/integration/tickets",
    "tests/unit/contracts/test_ticket_codes.py",
    "tests/unit/contracts/test_ticket_vectors.py",
)
"""What docs/guarantees.md names. What draws its faults from a seed runs once for each, everything else once."""


@click.command()
@click.option("--quick", is_flag=True, help="Under three minutes: the part that is in the suite.")
@click.option("--seed", type=int, help="Only this seed, as a report printed it.")
@click.option(
    "--history",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Hold a load client's history against MYSQL_URL, and do nothing else.",
)
@click.option(
    "--deadline",
    type=float,
    help="With --history: seconds after which a command may have been lost on purpose.",
)
def main(quick: bool, seed: int | None, history: Path | None, deadline: float | None) -> None:
    """Break everything on purpose, then prove that nothing was lost, sold twice or paid twice."""
    if history is not None:
        sys.exit(_check(history, deadline))
    os.umask(0o077)
    end_on_signals()
    seeds = [seed] if seed is not None else _seeds()
    try:
        with own_home() as home, running_servers(home) as urls:
            sys.exit(_prove(quick, seeds, urls))
    except (SetupError, OSError, EOFError, pymysql.err.MySQLError) as error:
        click.echo(error, err=True)
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)


def _seeds() -> list[int]:
    fresh = random.SystemRandom()
    return [FIXED_SEED, *(fresh.randrange(10**9) for _ in range(FRESH_SEEDS))]


def _prove(quick: bool, seeds: Sequence[int], urls: dict[str, str]) -> int:
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="eventhub-prove-") as folder:
        notes = Path(folder) / "notes"
        where = _where(urls)
        click.echo(f"seeds {', '.join(map(str, seeds))}\n{where}")
        junit = Path(folder) / "junit.xml"
        given = {
            "EVENTHUB_PROVE_SEED": ",".join(map(str, seeds)),
            "EVENTHUB_PROVE_NOTES": str(notes),
        }
        marks = [] if quick else ["-m", "full or not full"]
        arguments = ["-q", *AT_ONCE, *marks, f"--junitxml={junit}", *EVERYTHING]
        parts = parts_of(junit, seeds, run_pytest(arguments, {**urls, **given}))
        told = notes_of(notes.read_text().splitlines()) if notes.exists() else []
    click.echo(render(parts, told, time.monotonic() - began, where))
    return 0 if parts and all(part.held for part in parts) else 1


def _where(urls: Mapping[str, str]) -> str:
    versions = asyncio.run(server_versions(urls["MYSQL_URL"], urls["AMQP_URL"], urls["REDIS_URL"]))
    told = [f"{name} {version}" for name, version in versions.items()]
    return ", ".join([*told, f"Python {platform.python_version()}"])


def _check(history: Path, deadline: float | None) -> int:
    url = locate().require_mysql()
    operations = load_file(history)
    lies = asyncio.run(_lies(url, operations, deadline))
    for lie in lies:
        click.echo(lie)
    click.echo(f"{len(operations)} operations, {len(lies)} lies")
    return 1 if lies else 0


async def _lies(url: str, operations: Sequence[Operation], deadline: float | None) -> list[str]:
    database = await Database.connect(url, size=1)
    try:
        return await check(database, operations, deadline=deadline)
    finally:
        await database.close()


if __name__ == "__main__":
    main()
