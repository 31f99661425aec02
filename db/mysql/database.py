"""Connections, transactions and what their errors mean. Every statement of EventHub runs through here.

In: SQL with parameters. Out: rows as tuples, counts, ids.
Must stay true: sessions run in UTC, strict, REPEATABLE READ; no transaction lives longer than `TRANSACTION_SECONDS`
(under the seat lease of 5 s); a transaction that is not committed is rolled back; parameters only, never text, go
into SQL (aiomysql leaves multi-statements on).
"""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar
from urllib.parse import unquote, urlsplit

import aiomysql
import pymysql.err
import structlog
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception, stop_after_attempt

from contracts.runtime.overrides.multi_statements import next_result, send_together
from contracts.runtime.timeouts import loop_fair_timeout
from contracts.runtime.times import from_sql
from db.mysql.statements import (
    Insert,
    JsonText,
    Row,
    Statement,
    placeholders,
)

__all__ = [
    "Database",
    "DatabaseAway",
    "Insert",
    "JsonText",
    "Row",
    "Statement",
    "StatementResult",
    "Transaction",
    "VersionConflict",
    "placeholders",
]

TRANSACTION_SECONDS = 4.0
VANISHED_SECONDS = 10
"""After so much silence the server ends a session and lets go of what it has locked: a client that vanished in the
middle of a transaction (a cut cable, a frozen machine) never says so itself."""
COLLATION = "utf8mb4_bin"
"""What our sessions compare with where no column decides: servers differ in what they would choose. A binary collation
may meet any other of its character set in one expression, and wins."""
ACQUIRE_SECONDS = 3.0
ATTEMPTS = 5

T = TypeVar("T")

log = structlog.get_logger(__name__)

DEADLOCK, LOCK_WAIT, CHANGED_SINCE_READ = 1213, 1205, 1020
TRANSIENT = frozenset({DEADLOCK, LOCK_WAIT, CHANGED_SINCE_READ})
DUPLICATE_KEY = 1062
LOST = frozenset({1040, 1053, 1152, 1927, 2002, 2003, 2006, 2013, 2014, 2055, 3169, 4031})
"""Server away, connection cut, ended for its silence, too many of them: nothing can be said of a COMMIT under way."""

UNWRITABLE = frozenset({3, 1021, 1026, 1114, 1290, 1836})
"""The server is there and takes nothing, for its disk is full or it is read-only: nothing of the transaction stays."""


class VersionConflict(Exception):
    """A conditional UPDATE met another version than the one that was read: roll back, read again."""


class DatabaseAway(Exception):
    """No connection to MySQL within its time, or the connection was lost."""


def error_code(error: BaseException) -> int | None:
    """MySQL's number of an error, None when it has none."""
    if isinstance(error, pymysql.err.MySQLError) and error.args and isinstance(error.args[0], int):
        return error.args[0]
    return None


def is_transient(error: BaseException) -> bool:
    """Whether the same transaction may simply be run again."""
    return isinstance(error, VersionConflict) or error_code(error) in TRANSIENT


def is_away(error: BaseException) -> bool:
    """Whether the database could not be reached, answered too late, or cannot write at all now."""
    if isinstance(
        error, DatabaseAway | TimeoutError | ConnectionError | asyncio.IncompleteReadError
    ):
        return True
    return error_code(error) in LOST | UNWRITABLE or isinstance(error, pymysql.err.InterfaceError)


def is_duplicate(error: BaseException) -> bool:
    """Whether a unique key said no."""
    return error_code(error) == DUPLICATE_KEY


@dataclass(frozen=True, slots=True)
class StatementResult:
    """What one statement gave: rows of a query, rows changed (not matched), the first id of an INSERT."""

    rows: list[Row]
    changed: int
    first_id: int


@dataclass(frozen=True, slots=True)
class _Deferred:
    """A statement that travels with the next one. `expect`: how many rows it must change."""

    statement: Statement | Insert
    expect: int | None = None
    conflict: str = ""
    ahead: bool = False


_HARMLESS = (VersionConflict, pymysql.err.IntegrityError, pymysql.err.ProgrammingError)
"""Errors after which a session is as good as before, once it has been rolled back."""


class Transaction:
    """One open transaction: the only way to write.

    A round trip costs more than a statement. What needs no answer waits (`later`, `insert_later`) and travels
    in front of the next statement that does, or of the COMMIT, in order; queries whose text is known beforehand
    travel with BEGIN (`read_ahead`). The server runs a list of statements up to the first error (MySQL manual,
    "Multiple Statement Execution Support"), so that nothing runs outside of the transaction.
    """

    def __init__(self, cursor: Any, opening: str | None = None) -> None:
        """`opening` begins the transaction; without it the session is in autocommit."""
        self._cursor = cursor
        self._opening = opening
        self._waiting: list[_Deferred] = []
        self._ahead: dict[Statement, list[Row]] = {}
        self.begun = False

    async def fetch(self, sql: str, *parameters: Any) -> list[Row]:
        """All rows of a query; those that were read ahead at once, the first time they are asked for."""
        statement = Statement(sql, parameters)
        ahead = self._ahead.pop(statement, None)
        return (await self._send(statement)).rows if ahead is None else ahead

    async def execute(self, sql: str, *parameters: Any) -> int:
        """How many rows a statement changed (changed, not matched)."""
        return (await self._send(Statement(sql, parameters))).changed

    async def insert(self, table: str, columns: Sequence[str], rows: Sequence[Row]) -> int:
        """The id of the first row; the others follow by one (one statement, `rows` not empty).

        Ids of one multi-row INSERT are consecutive: MySQL manual, "InnoDB and LAST_INSERT_ID() in simple
        inserts". Table and column names come from our own code, never from a message.
        """
        return (await self._send(Insert(table, columns, rows))).first_id

    def read_ahead(self, *queries: Statement) -> None:
        """Let queries travel with the next statement; a `fetch` of the same text gets their rows."""
        self._waiting += [_Deferred(query, ahead=True) for query in queries]

    def later(self, sql: str, *parameters: Any) -> None:
        """A statement whose count nobody asks for."""
        self._waiting.append(_Deferred(Statement(sql, parameters)))

    def change_later(self, sql: str, *parameters: Any, expect: int, conflict: str) -> None:
        """A conditional UPDATE that must change `expect` rows, else VersionConflict(conflict) when it has travelled."""
        self._waiting.append(_Deferred(Statement(sql, parameters), expect, conflict))

    def insert_later(self, table: str, columns: Sequence[str], rows: Sequence[Row]) -> None:
        """An INSERT whose ids nobody asks for; its errors come with the statement that it travels with."""
        if rows:
            self._waiting.append(_Deferred(Insert(table, columns, rows)))

    async def flush(self) -> None:
        """Send what waits, if anything does."""
        if self._waiting:
            await self._travel([])

    async def now(self) -> datetime:
        """The database's clock, aware UTC: the time at which this transaction decides."""
        rows = await self.fetch("SELECT UTC_TIMESTAMP(6)")
        return from_sql(rows[0][0])

    async def _send(self, statement: Statement | Insert) -> StatementResult:
        return await self._travel([_Deferred(statement)])

    async def _travel(self, last: list[_Deferred]) -> StatementResult:
        """One round trip for all that waits and `last`; the last result."""
        flight, self._waiting = self._waiting + last, []
        if self._opening and not self.begun:
            flight.insert(0, _Deferred(Statement(self._opening)))
        self.begun = True
        conflict: str | None = None
        result = StatementResult([], 0, 0)
        try:
            async for one, result in self._results(flight):
                if one.ahead and isinstance(one.statement, Statement):
                    self._ahead[one.statement] = result.rows
                if one.expect is not None and one.expect != result.changed and conflict is None:
                    conflict = one.conflict
        except pymysql.err.MySQLError:
            # An error after a version that was not met is its consequence (the ledger's key says no as well).
            if conflict is None:
                raise
        if conflict is not None:
            raise VersionConflict(conflict)
        return result

    async def _results(
        self, flight: Sequence[_Deferred]
    ) -> AsyncIterator[tuple[_Deferred, StatementResult]]:
        """Send the statements as one text; what each gave, in order. Raises the error of the first that fails."""
        cursor = self._cursor
        await send_together(cursor, (one.statement.text() for one in flight))
        for position, one in enumerate(flight):
            if position:
                await next_result(cursor)
            yield (
                one,
                StatementResult(
                    list(await cursor.fetchall()), cursor.rowcount, cursor.lastrowid or 0
                ),
            )


class Database:
    """A pool of sessions on one MySQL (or MariaDB) database."""

    def __init__(self, pool: aiomysql.Pool) -> None:
        self._pool = pool

    @classmethod
    async def connect(
        cls, url: str, *, size: int = 8, vanished: int = VANISHED_SECONDS
    ) -> "Database":
        """Open a pool of at most `size` sessions, which the server ends after `vanished` seconds of silence.

        Raises pymysql errors when the server says no.
        """
        isolation = await _isolation(url)
        pool = await aiomysql.create_pool(
            **connection_arguments(url),
            minsize=1,
            maxsize=size,
            autocommit=True,
            # What the server is about to end is not given out any more.
            pool_recycle=vanished / 2,
            init_command=(
                f"SET time_zone = '+00:00', collation_connection = {COLLATION}, innodb_lock_wait_timeout = 3, "
                "sql_mode = 'STRICT_ALL_TABLES,NO_ZERO_DATE,NO_ZERO_IN_DATE,ERROR_FOR_DIVISION_BY_ZERO,"
                f"NO_ENGINE_SUBSTITUTION', wait_timeout = {vanished}, {isolation} = 'REPEATABLE-READ'"
            ),
        )
        return cls(pool)

    async def close(self) -> None:
        """Close every session, rolling back what is open."""
        self._pool.terminate()
        await self._pool.wait_closed()

    @asynccontextmanager
    async def session(self) -> AsyncIterator[Any]:
        """A cursor on a session of the pool, in autocommit. Raises DatabaseAway after 3 s without one."""
        try:
            async with loop_fair_timeout(ACQUIRE_SECONDS):
                connection = await self._pool.acquire()
        except (TimeoutError, OSError) as error:
            raise DatabaseAway(f"no session: {error!r}") from error
        try:
            cursor = await connection.cursor()
            yield cursor
        except BaseException as error:
            # What a cancelled or cut session would answer next is unknown: never give it to another.
            if not isinstance(error, _HARMLESS):
                connection.close()
            raise
        finally:
            self._pool.release(connection)

    async def read(self, sql: str, *parameters: Any) -> list[Row]:
        """All rows of one query outside a transaction."""
        async with loop_fair_timeout(TRANSACTION_SECONDS), self.session() as cursor:
            return await Transaction(cursor).fetch(sql, *parameters)

    async def write(self, sql: str, *parameters: Any) -> int:
        """One statement as its own transaction; how many rows it changed."""
        async with asyncio.timeout(TRANSACTION_SECONDS), self.session() as cursor:
            return await Transaction(cursor).execute(sql, *parameters)

    @asynccontextmanager
    async def transaction(self, *, read_only: bool = False) -> AsyncIterator[Transaction]:
        """BEGIN … COMMIT, or ROLLBACK on any exception. `read_only` takes its snapshot at once."""
        opening = "START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY" if read_only else "BEGIN"
        async with asyncio.timeout(TRANSACTION_SECONDS), self.session() as cursor:
            transaction = Transaction(cursor, opening)
            try:
                yield transaction
                await transaction.flush()
            except pymysql.err.MySQLError as error:
                if transaction.begun and not is_away(error):
                    await cursor.execute("ROLLBACK")
                raise
            except Exception:
                if transaction.begun:
                    await cursor.execute("ROLLBACK")
                raise
            if not transaction.begun:
                return  # nothing was asked: there is nothing to commit
            # A packet of its own: whoever cuts it off cuts off the commit and nothing else.
            await cursor.execute("COMMIT")

    async def run(self, work: Callable[[Transaction], Awaitable[T]]) -> T:
        """Run `work` in a transaction, again (at most 5 times, with jitter) on a transient error.

        `work` starts afresh each time: after a conflict the old snapshot would only repeat it.
        """
        async for attempt in AsyncRetrying(
            retry=retry_if_exception(is_transient),
            stop=stop_after_attempt(ATTEMPTS),
            wait=_jitter,
            reraise=True,
        ):
            with attempt:
                async with self.transaction() as transaction:
                    return await work(transaction)
        raise AssertionError("tenacity reraises")


def _jitter(state: RetryCallState) -> float:
    # Up to 10, 20, 40 … ms: AWS Architecture Blog, "Exponential Backoff And Jitter" (full jitter).
    return float(random.uniform(0, 0.01 * 2**state.attempt_number))  # noqa: S311 - no secret in it


def connection_arguments(url: str) -> dict[str, Any]:
    """aiomysql's arguments for `mysql://user:password@host:port/database`."""
    parts = urlsplit(url)
    return {
        "host": parts.hostname or "127.0.0.1",
        "port": parts.port or 3306,
        "user": unquote(parts.username or ""),
        "password": unquote(parts.password or ""),
        "db": parts.path.lstrip("/") or None,
        "charset": "utf8mb4",
        "connect_timeout": 3,
    }


async def _isolation(url: str) -> str:
    """What this kind of server calls the isolation level."""
    connection = await aiomysql.connect(**connection_arguments(url))
    try:
        version: str = connection.get_server_info()
    finally:
        connection.close()
    return "tx_isolation" if "MariaDB" in version else "transaction_isolation"
