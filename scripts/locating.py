"""Where the running system's servers are, for the operator's commands.

In: MYSQL_URL, AMQP_URL, AMQP_MANAGEMENT_URL and REDIS_URL, or `.run/eventhub.json` as `scripts/up` wrote it.
Out: a `Located`.
Must stay true: the environment wins, and is read as `scripts/up` reads it (a URL without a database means the same
one); the URLs hold passwords and are never printed.
"""

import json
import os
from dataclasses import dataclass
from pathlib import Path

import click

from scripts.stack.private_servers import servers

CHECKOUT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True, slots=True)
class Located:
    """Server URLs; None where nobody says."""

    mysql: str | None
    amqp: str | None
    management: str | None = None
    redis: str | None = None

    def require_mysql(self) -> str:
        """The database's URL. Raises click.ClickException."""
        return _required(self.mysql, "MYSQL_URL")

    def require_amqp(self) -> str:
        """The broker's URL. Raises click.ClickException."""
        return _required(self.amqp, "AMQP_URL")

    def require_management(self) -> str:
        """The URL of the broker's management API. Raises click.ClickException."""
        return _required(self.management, "AMQP_MANAGEMENT_URL")


def locate(checkout: Path = CHECKOUT) -> Located:
    """Look in the environment, then in what `scripts/up` left. Raises click.ClickException on a damaged file."""
    path = checkout / ".run" / "eventhub.json"
    try:
        described = json.loads(path.read_text())
    except FileNotFoundError:
        described = {}
    except ValueError as error:
        raise click.ClickException(f"{path} is damaged: {error}") from error
    given = servers.given_urls(dict(os.environ))
    return Located(
        given.get("MYSQL_URL") or described.get("mysqlUrl"),
        given.get("AMQP_URL") or described.get("amqpUrl"),
        given.get("AMQP_MANAGEMENT_URL") or described.get("amqpManagementUrl"),
        given.get("REDIS_URL") or described.get("redisUrl"),
    )


def _required(url: str | None, variable: str) -> str:
    if not url:
        raise click.ClickException(
            f"EventHub does not run here: start scripts/up, or set {variable}."
        )
    return url
