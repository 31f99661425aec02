"""`scripts/dead list|show|redrive|drop`: the messages that nobody could deal with, and what becomes of them.

In: ids of dead letters. Out: a table, one letter in full, or letters sent again or given up; exit code 1 where that
cannot be done.
Must stay true: a command is never sent again (its client was told that it failed), an event only to the queue it came
from (the other queues have it); a letter counts as redriven only after the broker confirmed it.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

import click
import orjson
import pymysql.err

from contracts.commands import COMMANDS
from contracts.messaging.envelope import MalformedMessage, open_body
from contracts.messaging.link import BrokerAway, Link
from contracts.messaging.publisher import Properties, Publisher, PublishFailed
from contracts.messaging.topology import AGAIN_EXCHANGE, EVENT_SUBSCRIPTIONS
from contracts.runtime.times import to_wire
from db.messages import dead_letters
from db.messages.dead_letters import Status, Stored
from db.mysql.database import Database, DatabaseAway
from scripts.locating import Located, locate

CONNECT_SECONDS = 10.0
T = TypeVar("T")


@click.group()
def main() -> None:
    """Look at dead letters, send events again, give letters up."""


@main.command(name="list")
@click.option("--all", "ended", is_flag=True, help="Also those redriven or dropped.")
@click.option("--limit", default=50, type=click.IntRange(1, 1000), show_default=True)
@click.option("--json", "as_json", is_flag=True, help="One JSON object per line.")
def list_letters(ended: bool, limit: int, as_json: bool) -> None:
    """List dead letters, newest first."""
    letters = _with_database(lambda d: dead_letters.listing(d, ended=ended, limit=limit))
    if as_json:
        for letter in letters:
            click.echo(orjson.dumps(_json(letter)))
        return
    if not letters:
        click.echo("no dead letters")
        return
    for line in _columns([_TITLES, *(_cells(letter) for letter in letters)]):
        click.echo(line)


@main.command()
@click.argument("letter_id", metavar="ID", type=int)
def show(letter_id: int) -> None:
    """Show one letter in full, its body included."""
    letter = _with_database(lambda d: _required(d, letter_id))
    for name, value in _json(letter).items():
        click.echo(f"{name}: {value}")
    click.echo(f"headers: {orjson.dumps(letter.headers).decode()}\n")
    click.echo(_readable(letter.body or b""))


@main.command()
@click.argument("letter_ids", metavar="ID...", type=int, nargs=-1, required=True)
def redrive(letter_ids: Sequence[int]) -> None:
    """Send events again to the queue they came from."""
    where = locate()

    async def work(database: Database) -> int:
        return await redrive_letters(database, where, letter_ids, click.echo)

    raise SystemExit(1 if _with_database(work, where) else 0)


@main.command()
@click.argument("letter_ids", metavar="ID...", type=int, nargs=-1, required=True)
def drop(letter_ids: Sequence[int]) -> None:
    """Give letters up. Their rows stay, with the status DROPPED."""
    count = _with_database(lambda d: dead_letters.end(d, letter_ids, Status.DROPPED))
    click.echo(f"dropped: {count}")
    if count != len(set(letter_ids)):
        raise click.ClickException("the others are unknown or were ended before")


async def redrive_letters(
    database: Database, where: Located, letter_ids: Sequence[int], say: Callable[[str], None]
) -> int:
    """Send letters again, one by one; says what became of each. Returns how many were refused or failed."""
    link = Link(where.require_amqp(), "scripts/dead")
    failures = 0
    try:
        await link.start(wait=CONNECT_SECONDS)
        publisher = Publisher(link)
        for letter_id in letter_ids:
            letter = await dead_letters.find(database, letter_id)
            refusal = why_not(letter) or await _send(publisher, letter)
            if refusal is None:
                await dead_letters.end(database, [letter_id], Status.REDRIVEN)
            failures += refusal is not None
            say(f"{letter_id}: {refusal or 'redriven'}")
    except BrokerAway as error:
        raise click.ClickException(f"the broker is not there: {error}") from error
    finally:
        await link.stop()
    return failures


def why_not(letter: Stored | None) -> str | None:
    """Why a letter is not sent again; None when it may be."""
    if letter is None:
        return "there is no such letter"
    if letter.status is not Status.DEAD:
        return f"it is {letter.status} already"
    try:
        envelopes = open_body(letter.body or b"", letter.content_type)
    except MalformedMessage as error:
        return f"nobody can read it: {error}"
    if any(one.type in COMMANDS for one in envelopes):
        return "a command is never sent again: its client was told that it failed"
    if letter.queue not in EVENT_SUBSCRIPTIONS and not letter.queue.endswith(".returns"):
        return f"the queue {letter.queue} takes no events"
    return None


async def _send(publisher: Publisher, letter: Stored | None) -> str | None:
    assert letter is not None, "refused before"
    properties = Properties(
        letter.content_type or "", letter.message_id, letter.correlation_id, letter.message_type
    )
    try:
        await publisher.publish(AGAIN_EXCHANGE, letter.queue, letter.body or b"", properties)
    except PublishFailed as error:
        return f"not confirmed, it stays: {error}"
    return None


async def _required(database: Database, letter_id: int) -> Stored:
    letter = await dead_letters.find(database, letter_id)
    if letter is None:
        raise click.ClickException(f"there is no dead letter {letter_id}")
    return letter


def _with_database(work: Callable[[Database], Awaitable[T]], where: Located | None = None) -> T:
    url = (where or locate()).require_mysql()

    async def run() -> T:
        database = await Database.connect(url, size=2)
        try:
            return await work(database)
        finally:
            await database.close()

    try:
        return asyncio.run(run())
    except (pymysql.err.MySQLError, DatabaseAway, OSError, EOFError) as error:
        raise click.ClickException(f"the database does not answer: {error}") from error


_TITLES = ("id", "status", "seen", "since", "queue", "type", "reason")


def _cells(one: Stored) -> tuple[str, ...]:
    since = f"{one.created_at:%Y-%m-%dT%H:%M:%SZ}"
    reason = " ".join(one.reason.split())
    return (
        *(str(one.id), str(one.status), str(one.seen), since),
        *(one.queue, one.message_type or "-", reason),
    )


def _columns(rows: Sequence[tuple[str, ...]]) -> list[str]:
    """Rows as lines, every column as wide as its longest cell: one letter stays one line."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]


def _json(letter: Stored) -> dict[str, object]:
    return {
        "id": letter.id,
        "status": str(letter.status),
        "queue": letter.queue,
        "reason": letter.reason,
        "exchange": letter.exchange,
        "routingKey": letter.routing_key,
        "contentType": letter.content_type,
        "messageId": letter.message_id,
        "messageType": letter.message_type,
        "correlationId": letter.correlation_id,
        "seen": letter.seen,
        "bytes": letter.size,
        "createdAt": to_wire(letter.created_at),
        "updatedAt": to_wire(letter.updated_at),
    }


def _readable(body: bytes) -> str:
    """Indented JSON, else text, else a hex dump."""
    try:
        return orjson.dumps(orjson.loads(body), option=orjson.OPT_INDENT_2).decode()
    except orjson.JSONDecodeError:
        pass  # Not JSON: shown as it is.
    text = body.decode("utf-8", "replace")
    return text if text.isprintable() else body.hex(" ", 4)


if __name__ == "__main__":
    main()
