"""`scripts/gate`: a gate at a keyboard, or at a scanner that types a line for each code.

In: codes, one a line, on standard input. Out: a ruling for each, as a line for people or as JSON.
Must stay true: a ruling is on the disk before it is shown; every five seconds, and at the end, what was decided alone
is told; the token comes from the environment or a file, never from an argument; a file is that of one event: what it
holds untold would be lost at another's door.
"""

import asyncio
import contextlib
import hashlib
import os
import sqlite3
import sys
from collections.abc import AsyncIterator, Coroutine
from pathlib import Path
from typing import Any

import aiohttp
import click
import orjson

from scripts.gating.client import HttpDoor, Revoked, Unreachable
from scripts.gating.gate import Gate, NoBundle
from scripts.gating.memory import FACT, GateMemory, KeptScan
from scripts.gating.offline import BadBundle

SYNC_SECONDS = 5.0
_WORDS = {
    "ADMITTED": "LET IN",
    "ALREADY_USED": "STOP: used before",
    "VOID": "STOP: void",
    "WRONG_EVENT": "STOP: another event's",
    "UNKNOWN": "STOP: no ticket",
    "CONFLICT": "CONFLICT: was let in before",
    "VOID_ADMITTED": "CONFLICT: was void",
}


class OtherEvent(Exception):
    """The token is that of another event's gate than the file."""


@click.group(help="A gate. Its token is in EVENTHUB_GATE_TOKEN, or in the file --token-file names.")
@click.option("--url", default="http://127.0.0.1:8080", show_default=True)
@click.option("--token-file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--file", "path", type=click.Path(dir_okay=False, path_type=Path), default=Path("gate.sqlite")
)
@click.pass_context
def main(context: click.Context, url: str, token_file: Path | None, path: Path) -> None:
    """The commands."""
    os.umask(0o077)
    token = token_file.read_text().strip() if token_file else os.environ.get("EVENTHUB_GATE_TOKEN")
    if not token:
        raise click.ClickException("no token: set EVENTHUB_GATE_TOKEN or give --token-file")
    context.obj = (url, token, path)


@main.command("run", help="Read codes from standard input, one a line, until it ends.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@click.pass_obj
def run_command(obj: tuple[str, str, Path], as_json: bool) -> None:
    """Run it."""
    _ending(_run(*obj, as_json))


@main.command("sync", help="Tell what was decided alone, fetch what has changed.")
@click.pass_obj
def sync_command(obj: tuple[str, str, Path]) -> None:
    """Run it."""
    _ending(_sync(*obj))


@main.command("status", help="What the file holds.")
@click.pass_obj
def status_command(obj: tuple[str, str, Path]) -> None:
    """Run it."""
    _ending(_status(obj[2]))


def _ending(work: Coroutine[Any, Any, None]) -> None:
    try:
        asyncio.run(work)
    except sqlite3.Error as error:
        raise click.ClickException(f"the gate's file cannot be used: {error}") from None
    except (Unreachable, Revoked, NoBundle, BadBundle, OtherEvent) as error:
        raise click.ClickException(f"{type(error).__name__}: {error}") from None


@contextlib.asynccontextmanager
async def _gate(url: str, token: str, path: Path) -> AsyncIterator[Gate]:
    memory = GateMemory(path)
    try:
        async with aiohttp.ClientSession() as session:
            gate = Gate(memory, HttpDoor(session, url, token))
            await _require_own_event(gate, token)
            yield gate
    finally:
        memory.close()


async def _require_own_event(gate: Gate, token: str) -> None:
    """A token that the file does not know may be another event's. Raises OtherEvent, Unreachable, Revoked."""
    memory, digest = gate.memory, hashlib.sha256(token.encode()).hexdigest()
    event = memory.get("event")
    if event is not None and memory.get("token") != digest:
        found = (await gate.door.bundle(None))["event"]["id"]
        if found != event["id"]:
            raise OtherEvent(
                f"the file is of event {event['id']}, the token of event {found}: give another --file"
            )
    memory.keep_token(digest)


async def _status(path: Path) -> None:
    memory = GateMemory(path)
    event = memory.get("event") or {}
    click.echo(
        orjson.dumps({"event": event.get("id"), "name": event.get("name")} | memory.counts())
    )
    memory.close()


async def _sync(url: str, token: str, path: Path) -> None:
    async with _gate(url, token, path) as gate:
        await gate.sync()
        for one in gate.memory.unshown():
            _show(gate, one, False)


async def _run(url: str, token: str, path: Path, as_json: bool) -> None:
    async with _gate(url, token, path) as gate:
        for forgotten in await gate.resume():
            _show(gate, forgotten, as_json, before="from before the restart: ")
        await _try_sync(gate, as_json)
        syncing = asyncio.create_task(_keep_syncing(gate, as_json))
        try:
            while line := await asyncio.to_thread(sys.stdin.buffer.readline):
                # A picture may hold any bytes: what is no text is no code, and stops no gate.
                if code := line.decode(errors="replace").strip():
                    _show(gate, await gate.scan(code), as_json)
        finally:
            syncing.cancel()
            await asyncio.gather(syncing, return_exceptions=True)
        await _try_sync(gate, as_json)
        left = gate.memory.counts().get(FACT, 0)
        if left:
            click.echo(f"{left} entries are not told yet: run `scripts/gate sync`", err=True)


async def _keep_syncing(gate: Gate, as_json: bool) -> None:
    while True:
        await asyncio.sleep(SYNC_SECONDS)
        await _try_sync(gate, as_json)


async def _try_sync(gate: Gate, as_json: bool) -> None:
    try:
        await gate.sync()
    except (Unreachable, BadBundle) as error:
        click.echo(f"alone: {error}", err=True)
    for one in gate.memory.unshown():
        _show(gate, one, as_json)


def _show(gate: Gate, scan: KeptScan, as_json: bool, before: str = "") -> None:
    result = scan.result or {"id": scan.id, "ruling": scan.ruling}
    if as_json:
        click.echo(orjson.dumps(result))
    else:
        click.echo(before + _line(scan.ruling or "", result))
    sys.stdout.flush()
    gate.memory.shown(scan)


def _line(ruling: str, result: dict[str, object]) -> str:
    words = [_WORDS.get(ruling, ruling)]
    ticket, first = result.get("ticket"), result.get("firstGate")
    if isinstance(ticket, dict) and ticket.get("holderName"):
        words.append(str(ticket["holderName"]))
    if isinstance(first, dict):
        words.append(f"({first['name']}, {result.get('firstAt')})")
    return "  ".join(words)


if __name__ == "__main__":
    main(prog_name="scripts/gate")
