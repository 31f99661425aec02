"""The outbox and its broker as a model sees them: what waits, what came, transactions that take their time.

In: a database and a channel of a module's own. Out: sequences of events, in the table and as they came.
Must stay true: what is heard came out of the real exchange; a draft's rows have their ids before it commits.
"""

import asyncio
import contextlib

from aio_pika.abc import AbstractChannel
from pamqp.common import FieldTable

from contracts.messaging.envelope import SINGLE, Codec, open_body
from contracts.messaging.topology import EVENTS_EXCHANGE
from db.messages.outbox import Cause, NewEvent, Outbox
from db.mysql.database import Database
from tests.harness.scratch import SECRET

OBSERVED, FULL = "observed", "full"
CAUSE = Cause(None, None)


class Place:
    """The servers as the machine uses them: what is in the outbox, what came out of the exchange."""

    def __init__(self, database: Database, channel: AbstractChannel) -> None:
        self.database, self._channel = database, channel
        self.outbox = Outbox(Codec(SECRET), "model", 4)

    async def declare(self) -> None:
        """An exchange, a queue that hears everything, one that refuses everything."""
        self._exchange = await self._channel.declare_exchange(
            EVENTS_EXCHANGE, "topic", durable=True
        )
        quorum: FieldTable = {"x-queue-type": "quorum"}
        self._observed = await self._channel.declare_queue(OBSERVED, durable=True, arguments=quorum)
        refuses: FieldTable = {"x-max-length": 0, "x-overflow": "reject-publish"}
        self._full = await self._channel.declare_queue(FULL, durable=True, arguments=refuses)

    async def clear(self) -> None:
        """As new: nothing waits anywhere, nobody holds a lease."""
        await self._observed.bind(self._exchange, "#")
        await self._full.unbind(self._exchange, "#")
        await self.heard()
        await self.database.write("DELETE FROM outbox")
        await self.database.write("DELETE FROM leases")

    async def route(self, *, heard: bool, full: bool) -> None:
        """Whether the queue that hears is bound, and the one that refuses."""
        for queue, wanted in ((self._observed, heard), (self._full, full)):
            await (queue.bind if wanted else queue.unbind)(self._exchange, "#")

    async def heard(self) -> list[tuple[str, int]]:
        """(aggregate, sequence) of the events that have come, as they came; each message is handed out once."""
        events = []
        while (message := await self._observed.get(no_ack=True, fail=False)) is not None:
            for envelope in open_body(message.body, message.content_type):
                events.append((envelope.partitionkey or "", int(envelope.sequence or 0)))
        return events

    async def waiting(self) -> set[int]:
        """The sequences in the outbox."""
        rows = await self.database.read("SELECT body FROM outbox")
        found = [open_body(row[0].encode(), SINGLE) for row in rows]
        return {int(one.sequence or 0) for [one] in found}

    async def lapse(self, name: str) -> None:
        """Time passes for a process that does not notice: its leases are over."""
        await self.database.write(
            "UPDATE leases SET expires_at = UTC_TIMESTAMP(6) - INTERVAL 1 SECOND WHERE holder = %s",
            name,
        )


class Draft:
    """A transaction with events of one aggregate that is not committed yet."""

    def __init__(self, place: Place, events: list[NewEvent]) -> None:
        self._decided: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._written = asyncio.Event()
        self._task = asyncio.create_task(self._write(place, events))

    async def written(self) -> None:
        """Wait until its rows are in the table, unseen by others."""
        arrival = asyncio.create_task(self._written.wait())
        await asyncio.wait((arrival, self._task), return_when=asyncio.FIRST_COMPLETED)
        arrival.cancel()

    async def end(self, commit: bool) -> bool:
        """Commit or roll back; whether it is committed (one that took too long is not)."""
        self._decided.set_result(commit)
        with contextlib.suppress(Regret, TimeoutError):
            await self._task
            return True
        return False

    async def _write(self, place: Place, events: list[NewEvent]) -> None:
        async with place.database.transaction() as transaction:
            now = await transaction.now()
            place.outbox.add(transaction, now, [(event, CAUSE) for event in events])
            await transaction.flush()
            self._written.set()
            if not await self._decided:
                raise Regret


class Regret(Exception):
    """This transaction is to be rolled back."""
