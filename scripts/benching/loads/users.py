"""`scripts/users --count N --out FILE`: accounts and tokens for load tests, thousands in a second.

In: how many, which roles. Out: a file with one access token per line (or, with --json, one object per line:
id, email, password, token), mode 0600. Must stay true: works on a local stack alone (its keys come from `.run`); all
accounts share one password, made for this call, whose hash is computed once; tokens live six hours.
"""

import asyncio
import json
import os
import secrets
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import click
from argon2 import PasswordHasher

from contracts.models import RoleName
from db.mysql.database import Database
from scripts.benching.loads.many_accounts import add_accounts
from scripts.benching.systems.system import System, running_system
from scripts.stack.home import write_private

ROLES: tuple[RoleName, ...] = ("ADMIN", "ORGANIZER", "USER", "PROVIDER")
COUNT_MAX = 200_000


@dataclass(frozen=True, slots=True)
class LoadUser:
    """An account that was made for a load test."""

    id: int
    email: str
    password: str
    token: str


async def make_users(
    system: System, count: int, roles: Sequence[RoleName] = ("USER",)
) -> list[LoadUser]:
    """Make `count` accounts with tokens that are good for six hours."""
    run, password = secrets.token_hex(5), secrets.token_urlsafe(12)
    hashed = PasswordHasher(time_cost=2, memory_cost=19456, parallelism=1).hash(password)
    emails = [f"load-{run}-{number}@eventhub.example" for number in range(count)]
    database = await Database.connect(system.mysql_url, size=1)
    try:
        ids, changed_at = await add_accounts(database, emails, hashed, roles)
    finally:
        await database.close()
    tokens, held = system.tokens(), tuple(roles)
    return [
        LoadUser(user_id, email, password, tokens.issue(user_id, held, changed_at))
        for user_id, email in zip(ids, emails, strict=True)
    ]


@click.command(help="Make users and tokens for load tests on the local EventHub.")
@click.option("--count", type=click.IntRange(1, COUNT_MAX), required=True)
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), required=True)
@click.option("--role", "roles", type=click.Choice(ROLES), multiple=True, default=("USER",))
@click.option("--json", "as_json", is_flag=True, help="Objects with id, email, password, token.")
def main(count: int, out: Path, roles: tuple[RoleName, ...], as_json: bool) -> None:
    """Run the command."""
    os.umask(0o077)
    users = asyncio.run(make_users(running_system(), count, roles))
    lines = [json.dumps(asdict(user)) if as_json else user.token for user in users]
    write_private(out, "\n".join(lines) + "\n")
    click.echo(f"{count} users with role {', '.join(roles)}: tokens in {out}", err=True)


if __name__ == "__main__":
    main(prog_name="scripts/users")
