"""Two transactions against each other, step by step, on the real server.

In: two lists of steps. Out: MySQL's error number of each side, None for a commit.
Must stay true: the second begins only when the first has taken its first step, and goes on only when the server shows
what came of that: the interleaving is the same in every run, without a sleep.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field

import pymysql.err

from db.mysql.database import (
    DEADLOCK,
    Database,
    Transaction,
    error_code,
)
from tests.harness.waiting import eventually

Step = Callable[[Transaction], Awaitable[object]]
SECONDS = 20.0


def sql(text: str, *parameters: object) -> Step:
    """A step that is one statement."""

    async def step(transaction: Transaction) -> object:
        return await transaction.execute(text, *parameters)

    return step


@dataclass(slots=True, eq=False)
class Side:
    """One of the two: its session, and the error that ended its transaction."""

    transaction: Transaction
    thread: int
    steps: list[Step]
    error: int | None = None
    ended: bool = field(default=False)

    async def take(self, count: int) -> None:
        """Up to `count` more steps; COMMIT behind the last, ROLLBACK at the first error."""
        for _ in range(count):
            if self.ended or not self.steps:
                break
            try:
                await self.steps.pop(0)(self.transaction)
                await self.transaction.flush()
            except pymysql.err.MySQLError as error:
                self.error = error_code(error)
                await self._end("ROLLBACK")
        if not (self.steps or self.ended):
            await self._end("COMMIT")

    async def _end(self, how: str) -> None:
        self.ended = True
        await self.transaction.execute(how)


async def race(
    database: Database, first: Sequence[Step], second: Sequence[Step]
) -> list[int | None]:
    """First's first step, second's first step (or its wait), first's rest, second's rest."""
    async with (
        _side(database, first) as one,
        _side(database, second) as other,
        asyncio.timeout(SECONDS),
    ):
        await one.take(1)
        opening = asyncio.create_task(other.take(1))
        await _done_or_waiting(database, other, opening)
        rest = asyncio.create_task(one.take(len(first)))
        await _done_or_waiting(database, one, rest)
        await opening
        await asyncio.gather(rest, other.take(len(second)))
        return [one.error, other.error]


def deadlocked(errors: Sequence[int | None]) -> bool:
    """Whether the server had to end one of the two."""
    return DEADLOCK in errors


@contextlib.asynccontextmanager
async def _side(database: Database, steps: Sequence[Step]) -> AsyncIterator[Side]:
    async with database.session() as cursor:
        transaction = Transaction(cursor)
        # The server must find the deadlock by itself, long before this time-out.
        await transaction.execute("SET innodb_lock_wait_timeout = 15")
        [[thread]] = await transaction.fetch("SELECT CONNECTION_ID()")
        await transaction.execute("BEGIN")
        side = Side(transaction, thread, list(steps))
        try:
            yield side
        finally:
            if not side.ended:
                await transaction.execute("ROLLBACK")
            await transaction.execute("SET innodb_lock_wait_timeout = 3")


async def _done_or_waiting(database: Database, side: Side, task: "asyncio.Task[None]") -> None:
    async def settled() -> bool:
        if task.done():
            return True
        rows = await database.read(
            "SELECT trx_state FROM information_schema.innodb_trx WHERE trx_mysql_thread_id = %s",
            side.thread,
        )
        return any(row[0] == "LOCK WAIT" for row in rows)

    # The server refreshes that table only when nobody has read it for 0.1 s.
    await eventually(settled, every=0.12)
