"""The parts that an order cannot do without, each at its barest, measured one after the other.

In: servers and the size of a batch. Out: a `FloorPart` for each: CPU per order of Python and of each server, wall time.
Must stay true: real durability (quorum queue, persistent messages, confirms, committed transactions on tables with our
columns and keys); nothing in the loops but the part itself; scratch queues, keys and databases, removed afterwards.
"""

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aio_pika

from contracts.messaging.envelope import join_batch
from db.mysql.database import Database, Transaction
from db.redis.clients import quick_client
from gateway.http.models import Body
from gateway.http.parsing import check_json
from scripts.benching.loads.users import LoadUser
from scripts.benching.lower_bounds.samples import REQUEST_BODY, Samples
from scripts.benching.measurement.cpu import read_cpu
from scripts.benching.systems.system import System

SERVERS = ("mysql", "rabbitmq", "redis")
IDLE_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class FloorPart:
    """One part's floor. cpu: microseconds per order, by `python` and server; p50_ms: one round, not per order."""

    cpu: Mapping[str, float]
    p50_ms: float = 0.0

    @property
    def total(self) -> float:
        """Microseconds per order, Python and servers."""
        return sum(self.cpu.values())


@dataclass(slots=True)
class Meter:
    """Measures rounds of work: what Python and the servers spend on them beyond what they spend idle."""

    pids: Mapping[str, int]
    idle: dict[str, float] = field(default_factory=dict)

    async def settle(self) -> None:
        """Learn what the servers use when nobody asks them anything (CPU seconds per second)."""
        before = read_cpu(self.pids)
        await asyncio.sleep(IDLE_SECONDS)
        used = read_cpu(self.pids).since(before)
        self.idle = {name: seconds / IDLE_SECONDS for name, seconds in used.items()}

    async def measure(
        self, rounds: int, orders: int, work: Callable[[], Awaitable[object]], server: str = ""
    ) -> FloorPart:
        """Run `work` so many times; each round serves `orders` orders and asks `server` ("": none)."""
        times: list[float] = []
        servers, python = read_cpu(self.pids), time.process_time()
        began = time.perf_counter()
        for _ in range(rounds):
            started = time.perf_counter()
            await work()
            times.append(time.perf_counter() - started)
        wall, python = time.perf_counter() - began, time.process_time() - python
        used = read_cpu(self.pids).since(servers)
        per = 1e6 / (rounds * orders)
        cpu = {"python": round(python * per, 2)}
        if server in used:
            net = (used[server] - self.idle.get(server, 0.0) * wall) * per
            cpu[server] = round(max(net, 0.0), 2)
        return FloorPart(cpu, round(sorted(times)[len(times) // 2] * 1000, 3))


def meter(system: System) -> Meter:
    """A meter for the servers that run under this system's supervisor."""
    return Meter({name: pid for name, pid in system.pids().items() if name in SERVERS})


# -- Python alone --------------------------------------------------------------------------------


async def token_checks(system: System, users: Sequence[LoadUser]) -> dict[str, FloorPart]:
    """A token seen for the first time, and one that was verified before."""
    idle = Meter({})
    tokens = system.tokens()
    rest = iter([user.token for user in users])

    async def first() -> None:
        tokens.verify(next(rest))

    async def again() -> None:
        tokens.verify(users[0].token)

    return {
        "tokenFirst": await idle.measure(len(users), 1, first),
        "tokenAgain": await idle.measure(5000, 1, again),
    }


async def validation(model: type[Body]) -> FloorPart:
    """The body as strict JSON, then as a model."""

    async def work() -> None:
        check_json(REQUEST_BODY)
        model.model_validate_json(REQUEST_BODY)

    return await Meter({}).measure(5000, 1, work)


# -- the broker ----------------------------------------------------------------------------------


@asynccontextmanager
async def _scratch_queue(
    url: str, prefetch: int
) -> AsyncIterator[tuple[aio_pika.abc.AbstractChannel, aio_pika.abc.AbstractQueue]]:
    connection = await aio_pika.connect(url)
    channel = await connection.channel(on_return_raises=True)
    await channel.set_qos(prefetch_count=prefetch)
    name = f"bench.{secrets.token_hex(6)}"
    queue = await channel.declare_queue(name, durable=True, arguments={"x-queue-type": "quorum"})
    try:
        yield channel, queue
    finally:
        await queue.delete(if_unused=False, if_empty=False)
        await connection.close()


async def broker_parts(
    system: System, gauge: Meter, body: bytes, batch: int, rounds: int
) -> dict[str, FloorPart]:
    """Publishing a batch with its confirm, one after the other; then consuming and acknowledging all of them."""
    joined, content_type = join_batch([body] * batch)
    async with _scratch_queue(system.amqp_url, 32) as (channel, queue):
        exchange = channel.default_exchange

        async def publish() -> None:
            message = aio_pika.Message(
                joined,
                content_type=content_type,
                delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
            )
            await exchange.publish(message, queue.name, mandatory=True)

        published = await gauge.measure(rounds, batch, publish, "rabbitmq")
        left, done = rounds, asyncio.Event()

        async def arrived(message: aio_pika.abc.AbstractIncomingMessage) -> None:
            nonlocal left
            await message.ack()
            left -= 1
            if left == 0:
                done.set()

        async def consume() -> None:
            tag = await queue.consume(arrived)
            await done.wait()
            await queue.cancel(tag)

        consumed = await gauge.measure(1, batch * rounds, consume, "rabbitmq")
    return {"publishConfirm": published, "consumeAck": consumed}


# -- Redis ---------------------------------------------------------------------------------------


async def redis_parts(
    system: System, gauge: Meter, data: Samples, batch: int, rounds: int
) -> dict[str, FloorPart]:
    """The seat lock of a batch (set, delete), and the push of its outcomes: an entry written, an entry read."""
    redis = quick_client(system.redis_url)
    key, stream = (f"bench:{secrets.token_hex(6)}:{what}" for what in ("seat", "stream"))
    fields: dict[Any, Any] = {secrets.token_bytes(16): data.outcome.to_push() for _ in range(batch)}
    last = b"0-0"

    async def lock() -> None:
        await redis.set(key, b"1", nx=True, px=5000)
        await redis.delete(key)

    async def push() -> None:
        await redis.xadd(stream, fields)

    async def read() -> None:
        nonlocal last
        replies: Any = await redis.xread({stream: last}, count=1)
        last = replies[0][1][-1][0]

    try:
        return {
            "seatLock": await gauge.measure(rounds, batch, lock, "redis"),
            "push": await gauge.measure(rounds, batch, push, "redis"),
            "pushRead": await gauge.measure(rounds, batch, read, "redis"),
        }
    finally:
        await redis.delete(key, stream)
        await redis.aclose()


# -- the database --------------------------------------------------------------------------------


async def database_parts(
    url: str, gauge: Meter, data: Samples, batch: int, rounds: int
) -> dict[str, FloorPart]:
    """One transaction (stock taken by version, its ledger row, orders, details, outcomes, outbox; commit), and the
    outbox read and emptied as the relay does it.

    `url` names a scratch database with our tables (see `baseline_tables`), ticket type 1 in it.
    """
    database = await Database.connect(url, size=2)
    version = 1

    async def sell() -> None:
        nonlocal version
        async with database.transaction() as transaction:
            await _sell(transaction, version, batch, data)
        version += 1

    async def relay() -> None:
        rows = await database.read("SELECT id, body FROM outbox ORDER BY id LIMIT %s", batch)
        marks = ",".join(["%s"] * len(rows))
        await database.write(
            f"DELETE FROM outbox WHERE id IN ({marks})",  # noqa: S608 - marks only
            *(row[0] for row in rows),
        )

    try:
        return {
            "transaction": await gauge.measure(rounds, batch, sell, "mysql"),
            "outboxEmptied": await gauge.measure(rounds, batch, relay, "mysql"),
        }
    finally:
        await database.close()


async def _sell(transaction: Transaction, version: int, batch: int, data: Samples) -> None:
    now = "2030-01-01 12:00:00.123456"
    await transaction.fetch("SELECT available, version FROM ticket_types WHERE id = 1")
    await transaction.execute(
        "UPDATE ticket_types SET available = available - %s, version = version + 1, updated_at = %s "
        "WHERE id = 1 AND version = %s AND available >= %s",
        batch, now, version, batch,
    )  # fmt: skip
    ids = [secrets.token_bytes(16) for _ in range(batch)]
    await transaction.insert(
        "stock_ledger",
        ("ticket_type_id", "version", "kind", "delta", "created_at"),
        [(1, version + 1, "TAKE", -batch, now)],
    )
    first = await transaction.insert(
        "orders",
        ("user_id", "event_id", "total_cost", "currency", "expires_at", "command_id", "created_at", "updated_at"),
        [(12345, 1, "49.90", "USD", "2030-01-01 12:15:00", one, now, now) for one in ids],
    )  # fmt: skip
    await transaction.insert(
        "order_details",
        ("order_id", "ticket_type_id", "quantity", "unit_price", "cost", "taken_version", "command_id",
         "created_at", "updated_at"),
        [(first + n, 1, 1, "49.90", "49.90", version + 1, one, now, now) for n, one in enumerate(ids)],
    )  # fmt: skip
    body = data.outcome.body.decode()
    await transaction.insert(
        "command_outcomes",
        ("id", "user_id", "type", "fingerprint", "status_code", "location", "request_id", "body",
         "accepted_at", "decided_at"),
        [
            (one, 12345, data.outcome.type, data.outcome.fingerprint, 201, data.outcome.location,
             data.outcome.request_id, body, now, now)
            for one in ids
        ],
    )  # fmt: skip
    event = data.event.decode()
    await transaction.insert(
        "outbox",
        ("stream", "aggregate", "routing_key", "body", "created_at"),
        [(1, f"order:{first + n}", "order.placed", event, now) for n in range(batch)],
    )
