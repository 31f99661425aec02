"""scripts/dead: what an operator sees, sends again and gives up."""

import asyncio
import os
import sys
from datetime import UTC, datetime
from pathlib import Path

import aio_pika
import orjson

from contracts.messaging.envelope import SINGLE, Envelope, new_event_id
from db.messages import dead_letters
from db.messages.dead_letters import Status, Stored
from tests.harness.accounts import person
from tests.harness.command_client import CommandClient, place
from tests.harness.scratch import Scratch
from tests.integration.deadletters.dead_letters import found, mark, publish_dead

ROOT = Path(__file__).resolve().parents[3]


async def dead(scratch: Scratch, *arguments: object) -> tuple[int, str]:
    """Run the command; (exit code, everything it printed)."""
    environment = {**os.environ, **scratch.environment(), "PYTHONPATH": str(ROOT)}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "scripts.dead_letters", *map(str, arguments)),
        env=environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate()
    assert process.returncode is not None
    return process.returncode, output.decode()


async def dead_event(client: CommandClient, queue: str) -> Stored:
    """A letter with a signed event in it."""
    event = Envelope(
        id=new_event_id(),
        type="eventhub.order.placed.v1",
        source="/eventhub/test",
        time=datetime.now(UTC),
        data={"mark": mark()},
    )
    body = client.codec.encode(event)
    return await found(client.database, await publish_dead(client, body, SINGLE, queue=queue))


async def test_letters_are_listed_and_shown(client: CommandClient, scratch: Scratch) -> None:
    """The list says what and why, `show` has the body too, readable where it is."""
    letter = await dead_event(client, "payment.events")
    code, listed = await dead(scratch, "list")
    assert code == 0
    line = next(line for line in listed.splitlines() if line.split()[0] == str(letter.id))
    assert all(word in line for word in ("DEAD", "payment.events", "order.placed.v1", "because"))
    code, shown = await dead(scratch, "show", letter.id)
    assert code == 0
    assert '"mark": "m-' in shown
    binary = await found(client.database, await publish_dead(client, b"\x00\xff\x01"))
    assert "00ff01" in (await dead(scratch, "show", binary.id))[1]
    code, lines = await dead(scratch, "list", "--json", "--limit", "1")
    assert orjson.loads(lines.splitlines()[0])["status"] == "DEAD"


async def test_an_event_goes_again_to_the_queue_it_came_from(
    client: CommandClient, scratch: Scratch
) -> None:
    """Byte for byte, to that queue alone; the letter counts as redriven and cannot go twice."""
    letter = await dead_event(client, "payment.events")
    connection = await aio_pika.connect(scratch.amqp_url)
    channel = await connection.channel()
    queue = await channel.get_queue("payment.events", ensure=False)
    other = await channel.get_queue("order.events", ensure=False)
    for one in (queue, other):
        await one.purge()  # Whatever tests before this one have left there.
    assert await dead(scratch, "redrive", letter.id) == (0, f"{letter.id}: redriven\n")
    message = await queue.get(timeout=10)
    assert message is not None
    await message.ack()
    assert await other.get(fail=False) is None
    await connection.close()
    assert (message.body, message.content_type) == (letter.body, SINGLE)
    after = await dead_letters.find(client.database, letter.id)
    assert after
    assert after.status is Status.REDRIVEN
    code, said = await dead(scratch, "redrive", letter.id)
    assert (code, said) == (1, f"{letter.id}: it is REDRIVEN already\n")


async def test_a_redriven_letter_that_dies_again_is_dead_again(
    client: CommandClient, scratch: Scratch
) -> None:
    """The same row, seen twice."""
    letter = await dead_event(client, mark())
    await dead_letters.end(client.database, [letter.id], Status.REDRIVEN)
    assert letter.body is not None
    assert letter.message_id is not None
    await publish_dead(
        client, letter.body, SINGLE, queue=letter.queue, message_id=letter.message_id
    )
    again = await found(client.database, letter.message_id, seen=2)
    assert (again.id, again.status) == (letter.id, Status.DEAD)


async def test_a_command_is_never_sent_again(client: CommandClient, scratch: Scratch) -> None:
    """Its client was told that it failed. Unreadable letters and strange queues are refused as well."""
    buyer = await person(client.database)
    _, envelope = client.envelope(place(buyer, 1, (1, 1)))
    command = await found(
        client.database,
        await publish_dead(client, client.codec.encode(envelope), SINGLE, queue="notify"),
    )
    unreadable = await found(client.database, await publish_dead(client, b"garbage"))
    elsewhere = await dead_event(client, "quote.rates")
    code, said = await dead(scratch, "redrive", command.id, unreadable.id, elsewhere.id, 10**9)
    assert code == 1
    for words in ("a command is never", "nobody can read it", "takes no events", "no such letter"):
        assert words in said
    for letter in (command, unreadable, elsewhere):
        after = await dead_letters.find(client.database, letter.id)
        assert after
        assert after.status is Status.DEAD


async def test_letters_are_given_up(client: CommandClient, scratch: Scratch) -> None:
    """DROPPED and gone from the list, not from the table; unknown ones are said."""
    letter = await dead_event(client, mark())
    assert await dead(scratch, "drop", letter.id) == (0, "dropped: 1\n")
    assert f" {letter.id} " not in (await dead(scratch, "list"))[1]
    assert str(letter.id) in (await dead(scratch, "list", "--all"))[1]
    code, said = await dead(scratch, "drop", letter.id)
    assert code == 1
    assert "unknown or were ended" in said


async def test_no_database_is_an_error_in_words(scratch: Scratch) -> None:
    """No traceback and no password."""
    environment = {
        **os.environ,
        "MYSQL_URL": "mysql://u:geheim@127.0.0.1:1/x",
        "PYTHONPATH": str(ROOT),
    }
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "scripts.dead_letters", "list"),
        env=environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate()
    assert process.returncode == 1
    assert "Traceback" not in output.decode()
    assert "geheim" not in output.decode()
