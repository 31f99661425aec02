"""Whatever dies is kept byte for byte with its origin, and the clients of dead commands are told."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

import aio_pika
import orjson
import pytest

from contracts.command_ids import CommandIds
from contracts.messaging.envelope import (
    BATCH,
    SINGLE,
    Codec,
    join_batch,
)
from contracts.messaging.publisher import Properties
from contracts.messaging.topology import DEAD_EXCHANGE
from db.messages import outcomes
from db.messages.dead_letters import Status
from db.mysql.database import Database, DatabaseAway, Transaction
from tests.harness.accounts import person
from tests.harness.command_client import CommandClient, place
from tests.harness.scratch import SECRET, Scratch
from tests.harness.waiting import eventually
from tests.integration.deadletters.dead_letters import found, mark, publish_dead
from workers.relay.dead_letters import BODY_KEPT_MAX, consume_dead_letters
from workers.runtime.handlers import ACK
from workers.runtime.intake import QueueDelivery
from workers.runtime.processing import BatchConsumer

T = TypeVar("T")


@pytest.mark.parametrize(
    "body",
    [b"", b"\x00\x01\xff\xfe", "späße 票".encode(), b'{"a": 1}', b"'; DROP TABLE dead_letters; --"],
    ids=["empty", "binary", "utf-8", "json", "sql"],
)
async def test_a_body_is_kept_byte_for_byte(client: CommandClient, body: bytes) -> None:
    """With the queue it came from and the reason it was given."""
    letter = await found(
        client.database, await publish_dead(client, body, "text/odd", queue=mark())
    )
    assert (letter.body, letter.size) == (body, len(body))
    assert (letter.reason, letter.content_type, letter.status) == (
        "because",
        "text/odd",
        Status.DEAD,
    )
    assert letter.queue.startswith("m-")


async def test_the_same_message_again_is_one_row(client: CommandClient) -> None:
    """Counted; a different origin or body is another row."""
    queue, first = mark(), mark()
    for message_id, body in ((first, b"same"), (first, b"same"), (mark(), b"other")):
        await publish_dead(client, body, queue=queue, message_id=message_id)
    await publish_dead(client, b"same", queue=mark())
    assert (await found(client.database, first, seen=2)).seen == 2

    async def rows() -> bool:
        counted = await client.database.read(
            "SELECT COUNT(*) FROM dead_letters WHERE queue = %s", queue
        )
        return bool(counted[0][0] == 2)

    await eventually(rows)


async def test_a_huge_body_is_cut_and_says_so(client: CommandClient) -> None:
    """Nothing of ours is that large; the next message is not held up."""
    letter = await found(client.database, await publish_dead(client, b"x" * (BODY_KEPT_MAX + 10)))
    assert letter.size == BODY_KEPT_MAX
    assert f"the first {BODY_KEPT_MAX} of {BODY_KEPT_MAX + 10} bytes" in letter.reason


async def test_headers_of_any_kind_are_kept_as_json(client: CommandClient) -> None:
    """Numbers, bytes, tables, arrays, times and overlong texts of a stranger stop nothing."""
    headers: Any = {
        "number": 2**40,
        "raw": bytearray(b"\xff\x00"),
        "table": {"nested": [1, "two", None, True]},
        "x-death": "not a list",
        "x-eventhub-queue": 17,
        "x-eventhub-reason": "r" * 5000,
    }
    properties = Properties("c" * 200, message_id=mark(), type="t" * 200, headers=headers)
    await client.publisher.publish(DEAD_EXCHANGE, "k" * 200, b"odd", properties)
    assert properties.message_id is not None
    letter = await found(client.database, properties.message_id)
    assert letter.headers is not None
    assert letter.headers["table"] == {"nested": [1, "two", None, True]}
    assert (letter.queue, len(letter.reason)) == ("?", 2000)


@pytest.fixture
async def leaky(scratch: Scratch) -> AsyncIterator[str]:
    """A queue of its own that dead-letters to ours."""
    connection = await aio_pika.connect(scratch.amqp_url)
    channel = await connection.channel()
    name = mark()
    arguments: Any = {"x-queue-type": "quorum", "x-dead-letter-exchange": DEAD_EXCHANGE}
    queue = await channel.declare_queue(name, durable=True, arguments=arguments)
    yield name
    await queue.delete(if_unused=False, if_empty=False)
    await connection.close()


async def test_what_the_broker_gave_up_on_says_where_it_died(
    client: CommandClient, scratch: Scratch, leaky: str
) -> None:
    """Without our headers, x-first-death-* tell queue and reason, x-death the way it had come."""
    message_id = mark()
    connection = await aio_pika.connect(scratch.amqp_url)
    channel = await connection.channel()
    message = aio_pika.Message(b"poison", message_id=message_id)
    await channel.default_exchange.publish(message, leaky)
    taken = await (await channel.get_queue(leaky, ensure=False)).get(timeout=10)
    assert taken is not None
    await taken.reject(requeue=False)
    letter = await found(client.database, message_id)
    await connection.close()
    assert (letter.queue, letter.reason) == (leaky, "the broker gave up: rejected")
    assert (letter.exchange, letter.routing_key, letter.body) == ("", leaky, b"poison")


async def test_a_dead_command_fails_for_its_client(client: CommandClient) -> None:
    """FAILED/500 INTERNAL for a command without outcome, under its own request id."""
    buyer = await person(client.database)
    uuid, envelope = client.envelope(place(buyer, 1, (1, 1)))
    await publish_dead(client, client.codec.encode(envelope), SINGLE)
    outcome = await client.outcome(uuid)
    assert (outcome.status_code, outcome.code, outcome.user_id) == (500, "INTERNAL", buyer.id)
    assert (outcome.type, outcome.request_id) == (envelope.type, "test-request-1")
    assert orjson.loads(outcome.body)["instance"] == "test-request-1"
    assert outcome.accepted_at == envelope.time


async def test_a_decided_command_keeps_its_outcome(client: CommandClient) -> None:
    """A message that dies after its decision changes nothing of it."""
    buyer = await person(client.database)
    uuid, envelope = client.envelope(place(buyer, 1, (1, 1)))
    await publish_dead(client, client.codec.encode(envelope), SINGLE)
    first = await client.outcome(uuid)
    changed = replace(envelope, correlationid="another-request")
    message_id = await publish_dead(client, client.codec.encode(changed), SINGLE)
    await found(client.database, message_id)
    assert await client.outcome(uuid) == first


async def test_every_command_of_a_dead_batch_fails(client: CommandClient) -> None:
    """One letter for the message, one outcome per command in it."""
    buyer = await person(client.database)
    made = [client.envelope(place(buyer, 1, (1, 1))) for _ in range(3)]
    body, content_type = join_batch([client.codec.encode(one) for _, one in made])
    letter = await found(client.database, await publish_dead(client, body, content_type))
    assert (letter.message_type, content_type) == (made[0][1].type, BATCH)
    for uuid, _ in made:
        assert (await client.outcome(uuid)).status_code == 500


async def test_a_forged_command_makes_no_outcome(client: CommandClient) -> None:
    """Unsigned, signed with another key, with somebody else's id, or without a caller: kept, and that is all."""
    buyer, other = [await person(client.database) for _ in range(2)]
    uuid, envelope = client.envelope(place(buyer, 1, (1, 1)))
    unsigned = orjson.loads(client.codec.encode(envelope))
    del unsigned["signature"]
    stolen = replace(client.envelope(place(other, 1, (1, 1)))[1], id=envelope.id)
    nameless = replace(envelope, data={"fingerprint": "0" * 32})
    bodies = [
        orjson.dumps(unsigned),
        Codec("somebody else's secret, long enough!").encode(envelope),
        client.codec.encode(stolen),
        client.codec.encode(nameless),
    ]
    for body in bodies:
        await found(client.database, await publish_dead(client, body, SINGLE))
    assert await outcomes.find(client.database, [uuid]) == {}


@dataclass
class Away(Database):
    """A database that is away for some calls, then as it is."""

    inner: Database
    failures: int

    async def run(self, work: Callable[[Transaction], Awaitable[T]]) -> T:
        """As the real one, after the failures."""
        if self.failures:
            self.failures -= 1
            raise DatabaseAway("gone")
        return await self.inner.run(work)


@dataclass
class Bench:
    """What the consumer needs of a process."""

    database: Database
    codec: Codec = field(default_factory=lambda: Codec(SECRET))
    command_ids: CommandIds = field(default_factory=lambda: CommandIds(SECRET))
    stop: asyncio.Event = field(default_factory=asyncio.Event)


@dataclass
class Letter:
    """An incoming message, as far as the sink looks at it."""

    body: bytes
    message_id: str
    headers: dict[str, object] = field(default_factory=dict)
    content_type: str | None = None
    correlation_id: str | None = None
    type: str | None = None
    exchange: str | None = ""
    routing_key: str | None = ""


async def test_a_letter_waits_for_the_database(database: Database) -> None:
    """Not acknowledged, not retried elsewhere: kept as soon as the database is back."""
    letter = Letter(b"patient", mark())
    consume = consume_dead_letters(Bench(Away(database, 2)))  # type: ignore[arg-type]  # what it needs of Services
    assert not isinstance(consume, BatchConsumer)
    assert await consume(QueueDelivery("dead", letter)) is ACK  # type: ignore[arg-type]  # what it needs of a message
    assert (await found(database, letter.message_id)).body == b"patient"


async def test_stopping_leaves_the_letter_on_its_queue(database: Database) -> None:
    """With the database away the process still ends; the message has no end and comes again."""
    bench = Bench(Away(database, 10**9))
    bench.stop.set()
    consume = consume_dead_letters(bench)  # type: ignore[arg-type]  # what it needs of Services
    assert not isinstance(consume, BatchConsumer)
    with pytest.raises(asyncio.CancelledError):
        await consume(QueueDelivery("dead", Letter(b"x", mark())))  # type: ignore[arg-type]  # what it needs of a message
