"""The connections of a worker process, and what stands on them: made once, at its start, and handed to what needs them.

In: what `workers.runtime.process` opened. Out: the same to handlers of messages, jobs and probes.
Must stay true: nothing here opens or closes a connection; who waits stops waiting when the process is told to end.
"""

import asyncio
import contextlib
from dataclasses import dataclass, field

from redis.asyncio import Redis

from contracts.command_ids import CommandIds
from contracts.messaging.envelope import Codec
from contracts.messaging.publisher import Publisher
from contracts.runtime.settings import Settings
from db.messages.outbox import Outbox
from db.mysql.database import Database, is_away
from workers.runtime.intake import Intake

DATABASE_POLL_SECONDS = 0.25


class Stopping(Exception):
    """The process ends while it waits for the database: the messages stay on their queues."""


@dataclass(slots=True)
class Services:
    """The connections of a process, and what stands on them."""

    settings: Settings
    incarnation: str
    database: Database
    redis: "Redis"
    publisher: Publisher
    intake: Intake
    codec: Codec
    command_ids: CommandIds
    outbox: Outbox
    stop: asyncio.Event = field(default_factory=asyncio.Event)

    async def rest(self, seconds: float) -> None:
        """Wait so long, or until the process is told to stop."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self.stop.wait()

    async def database_back(self) -> None:
        """Wait until the database answers. Raises Stopping when the process is to end first.

        A moment at least: a server that answers may still have no room to write.
        """
        await self.rest(DATABASE_POLL_SECONDS)
        while not self.stop.is_set():
            try:
                await self.database.read("SELECT 1")
                return
            except Exception as error:
                if not is_away(error):
                    raise
            await self.rest(DATABASE_POLL_SECONDS)
        raise Stopping
