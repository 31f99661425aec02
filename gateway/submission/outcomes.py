"""How commands ended, as this gateway knows it: a bounded memory before one batched MySQL read.

In: command UUIDs. Out: outcomes of those that are decided.
Must stay true: an outcome is remembered only as it was committed (pushed by its worker or read from
the table) and never changes; nobody hears "past its deadline, nothing was done" before the
tombstone that makes it true is stored, nor of a command so old that its outcome may be forgotten.
"""

from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import orjson

from contracts.command_ids import CommandId
from contracts.commands import type_of_kind
from contracts.outcomes import Outcome
from contracts.problems import Code, Problem
from db.messages import outcomes
from db.mysql.clock import DatabaseClock
from db.mysql.database import Database
from gateway.caching.batched_reads import Batched
from gateway.http.problems import not_found

REMEMBERED_MAX = 8192
REMEMBERED_BYTES = 32 * 1024 * 1024
"""Of their bodies: an event's description alone may be ten thousand characters."""
BATCH_MAX = 1000
GRACE = timedelta(milliseconds=500)
"""After a deadline before a tombstone is tried: the clock is an estimate, the worker may be at it."""
NO_FINGERPRINT = ""
"""The fingerprint of a tombstone that was made from an id alone: it stands for any request."""


class OutcomeMemory:
    """The last outcomes that this process heard of."""

    def __init__(self, size: int = REMEMBERED_MAX, budget: int = REMEMBERED_BYTES) -> None:
        self._size, self._budget = size, budget
        self._outcomes: OrderedDict[bytes, Outcome] = OrderedDict()
        self._bytes = 0

    def get(self, uuid: bytes) -> Outcome | None:
        """The outcome, None when it was never heard of or is forgotten."""
        return self._outcomes.get(uuid)

    def put(self, outcome: Outcome) -> None:
        """Remember one; the oldest is forgotten."""
        before = self._outcomes.get(outcome.command)
        self._outcomes[outcome.command] = outcome
        self._bytes += len(outcome.body) - (len(before.body) if before else 0)
        while len(self._outcomes) > self._size or self._bytes > self._budget:
            _, oldest = self._outcomes.popitem(last=False)
            self._bytes -= len(oldest.body)


class OutcomeReader:
    """Finds outcomes: in memory, else in one query with whoever asks at the same time."""

    def __init__(self, database: Database, memory: OutcomeMemory) -> None:
        self._database = database
        self._memory = memory
        self._batched: Batched[bytes, Outcome] = Batched(self.read, BATCH_MAX)

    async def find(self, uuids: Iterable[bytes]) -> dict[bytes, Outcome]:
        """The outcomes of those that are decided. Raises what MySQL raises when it is away."""
        known = {uuid: self._memory.get(uuid) for uuid in uuids}
        found = {uuid: outcome for uuid, outcome in known.items() if outcome is not None}
        missing = [uuid for uuid, outcome in known.items() if outcome is None]
        return found | await self._batched.find(missing) if missing else found

    async def find_one(self, uuid: bytes) -> Outcome | None:
        """The outcome of one command, None while it is undecided."""
        return (await self.find((uuid,))).get(uuid)

    async def read(self, uuids: Sequence[bytes]) -> dict[bytes, Outcome]:
        """One query, past the memory; what it finds is remembered."""
        found = await outcomes.find(self._database, uuids)
        for outcome in found.values():
            self._memory.put(outcome)
        return found

    async def close(self) -> None:
        """Give up what is under way."""
        await self._batched.close()


@dataclass(frozen=True, slots=True)
class Opened:
    """A command as its caller knows it: what a tombstone must say of it."""

    id: CommandId
    text: str
    """The id as clients see it."""
    user_id: int
    request_id: str
    fingerprint: str = NO_FINGERPRINT

    @property
    def type(self) -> str:
        """The wire type, from the id's kind."""
        return type_of_kind(self.id.kind)


class Deadlines:
    """Ends commands that nobody took up in time."""

    def __init__(
        self,
        database: Database,
        reader: OutcomeReader,
        clock: DatabaseClock,
        deadline: float,
        retention: float,
    ) -> None:
        self._database = database
        self._reader = reader
        self._clock = clock
        self._deadline = timedelta(seconds=deadline)
        self._retention = timedelta(seconds=retention)

    def seconds_left(self, accepted_at: datetime) -> float:
        """Until a command accepted then may be declared dead; negative when it may."""
        return (accepted_at + self._deadline + GRACE - self._clock.now()).total_seconds()

    async def settle(self, command: Opened) -> Outcome | None:
        """The command's outcome; past its deadline there always is one (if MySQL is there to ask).

        Raises Refusal (404) for a command older than outcomes are kept: it may have been a success.
        """
        outcome = await self._reader.find_one(command.id.uuid)
        if outcome is not None or self.seconds_left(command.id.accepted_at) > 0:
            return outcome
        if self._clock.now() - command.id.accepted_at > self._retention:
            raise not_found("What became of this command is not kept any more.")
        await outcomes.insert_missing(self._database, [self._tombstone(command)])
        # Whoever was first, a worker or this tombstone: what is stored is the answer.
        found = await self._reader.read([command.id.uuid])
        return found.get(command.id.uuid)

    def _tombstone(self, command: Opened) -> Outcome:
        problem = Problem(
            Code.UNAVAILABLE,
            "Nobody took this command up before its deadline; nothing was done.",
            retry_after=1,
        )
        return Outcome(
            command=command.id.uuid,
            user_id=command.user_id,
            type=command.type,
            fingerprint=command.fingerprint,
            status_code=problem.status,
            code=str(problem.code),
            location=None,
            request_id=command.request_id,
            body=orjson.dumps(problem.to_json(command.request_id)),
            accepted_at=command.id.accepted_at,
            decided_at=self._clock.now(),
        )
