"""`scripts/verify-ticket CODE --keys URL`: is this a ticket's code? It knows the public keys and nothing else.

In: a code, a JWK set (a file or an address). Out: the claims as JSON, exit code 0; or why not, exit code 1.
"""

import sys
import urllib.request
from http.client import HTTPException
from pathlib import Path
from typing import Any

import click
import orjson

from scripts.gating.offline import read_code

WELL_KNOWN = "/.well-known/eventhub-tickets.json"
SECONDS = 10


@click.command(
    help="Check a ticket's code with the public keys alone ('-': the code is on standard input)."
)
@click.argument("code")
@click.option(
    "--keys",
    default="http://127.0.0.1:8080",
    show_default=True,
    help="A file with the JWK set, its address, or the address of EventHub.",
)
def main(code: str, keys: str) -> None:
    """Run the command."""
    text = sys.stdin.buffer.read().decode(errors="replace").strip() if code == "-" else code
    claims = read_code(text, _key_set(keys))
    if claims is None:
        click.echo("no ticket: none of these keys has signed it", err=True)
        sys.exit(1)
    click.echo(orjson.dumps({"tid": claims.tid, "eid": claims.eid, "ver": claims.ver}))


def _key_set(where: str) -> dict[str, dict[str, Any]]:
    """The keys of a JWK set by their kid."""
    try:
        if where.startswith(("http://", "https://")):
            address = where if where.endswith(".json") else where.rstrip("/") + WELL_KNOWN
            with urllib.request.urlopen(address, timeout=SECONDS) as answer:  # noqa: S310 - http(s) alone
                text = answer.read()
        else:
            text = Path(where).read_bytes()
        return {key["kid"]: key for key in orjson.loads(text)["keys"]}
    except (OSError, HTTPException, ValueError, KeyError, TypeError) as error:
        raise click.ClickException(f"no key set at {where}: {error!r}") from None


if __name__ == "__main__":
    main(prog_name="scripts/verify-ticket")
