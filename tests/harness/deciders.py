"""Deciders without a broker: what a worker does with a batch, several of them against each other."""

import secrets
from collections.abc import Sequence
from contextlib import AsyncExitStack
from datetime import UTC, datetime

from contracts.command_ids import CommandId
from contracts.commands import Command
from contracts.messaging.envelope import Codec
from contracts.runtime.settings import Settings
from db.messages.outbox import Outbox
from db.mysql.database import Database
from db.redis.clients import quick_client
from db.redis.seat_locks import SeatLocks, Seats
from tests.harness.command_client import CommandClient
from tests.harness.scratch import SECRET
from workers.runtime.deciding import CommandProcessor
from workers.runtime.handlers import Received, WorkItem


async def decider(
    stack: AsyncExitStack, settings: Settings, seats: Seats | None = None
) -> CommandProcessor:
    """A decider with connections of its own, closed with `stack`; its seat locks are real unless given."""
    database = await Database.connect(settings.mysql_url.get_secret_value())
    stack.push_async_callback(database.close)
    redis = quick_client(settings.redis_url.get_secret_value())
    stack.push_async_callback(redis.aclose)

    async def back() -> None:
        await database.read("SELECT 1")

    deciding = CommandProcessor(
        database,
        redis,
        settings,
        outbox=Outbox(Codec(SECRET), "test", settings.shards),
        seats=seats or SeatLocks(redis, settings.seat_lease, secrets.token_hex(16)),
        database_back=back,
    )
    # Its last lines belong to the test that made it, not behind the run's closing line.
    stack.callback(deciding._decided.flush)
    return deciding


def items(
    client: CommandClient, commands: Sequence[Command], *, seen_before: bool = False
) -> list[WorkItem]:
    """Commands as they come out of a delivery."""
    made = []
    for command in commands:
        uuid, envelope = client.envelope(command)
        accepted = CommandId(uuid, datetime.now(UTC))
        made.append(WorkItem(Received(envelope, command, "test", accepted, seen_before)))
    return made
