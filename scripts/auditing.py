"""`scripts/audit [--quiet] [--json]`: proves from the database alone that the promises were kept.

In: MYSQL_URL or what `scripts/up` left. Out: one line per rule (`db.audit`) and the rows that break it.
Must stay true: exit code 0 when every rule holds, 1 when one is broken, 2 when it could not look; nothing is changed.
"""

import asyncio
import os
import sys
from collections.abc import Sequence

import click
import orjson
import pymysql.err

from db.audit import DEFAULT_RETENTION, AuditReport, audit
from db.mysql.database import Database, DatabaseAway
from scripts.locating import locate
from scripts.stack.home import CHECKOUT, Home, SetupError

_COULD_NOT_LOOK = (pymysql.err.MySQLError, DatabaseAway, OSError, EOFError)


@click.command()
@click.option("--quiet", is_flag=True, help="Also ask that nothing is under way (rule 6).")
@click.option("--json", "as_json", is_flag=True, help="The report as one JSON object.")
@click.option(
    "--expected-dead", type=int, multiple=True, metavar="ID", help="A dead letter that is known."
)
def main(quiet: bool, as_json: bool, expected_dead: Sequence[int]) -> None:
    """Check every rule in one snapshot of the database."""
    try:
        url, seconds = locate().require_mysql(), retention()
        report = asyncio.run(_look(url, quiet, seconds, expected_dead))
    except click.ClickException as error:
        _give_up(error.message)
    except _COULD_NOT_LOOK as error:
        _give_up(repr(error))
    if as_json:
        click.echo(orjson.dumps(report.to_json()))
    else:
        click.echo(report.to_text())
        broken = ", ".join(map(str, report.broken))
        click.echo(f"broken: {broken}" if broken else f"all rules hold ({report.seconds:.1f} s)")
    sys.exit(0 if report.ok else 1)


def retention() -> int:
    """Seconds for which the running system keeps outcomes. Raises click.ClickException."""
    name = "EVENTHUB_OUTCOME_RETENTION"
    try:
        kept = Home(CHECKOUT / ".run").load().settings
        return int(os.environ.get(name) or kept.get(name) or DEFAULT_RETENTION)
    except (SetupError, ValueError) as error:
        raise click.ClickException(f"{name}: {error}") from error


async def _look(url: str, quiet: bool, seconds: int, expected_dead: Sequence[int]) -> AuditReport:
    database = await Database.connect(url, size=1)
    try:
        return await audit(database, quiet=quiet, retention=seconds, expected_dead=expected_dead)
    finally:
        await database.close()


def _give_up(reason: str) -> None:
    click.echo(f"could not look: {reason}", err=True)
    sys.exit(2)


if __name__ == "__main__":
    main()
