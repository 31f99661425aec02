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
from typing import Any, TypeVar, cast
from urllib.parse import unquote, urlsplit

import aiomysql
import pymysql.err
import structlog
from pymysql.converters import encoders
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception, stop_after_attempt

from contracts.patience import patience
from contracts.times import from_sql

TRANSACTION_SECONDS = 4.0
ACQUIRE_SECONDS = 3.0
ATTEMPTS = 5

Row = tuple[Any, ...]
T = TypeVar("T")

log = structlog.get_logger(__name__)

DEADLOCK, LOCK_WAIT, CHANGED_SINCE_READ = 1213, 1205, 1020
TRANSIENT = frozenset({DEADLOCK, LOCK_WAIT, CHANGED_SINCE_READ})
DUPLICATE_KEY = 1062
LOST = frozenset({1040, 1053, 1152, 1927, 2002, 2003, 2006, 2013, 2014, 2055, 3169})
"""Server away, connection cut, too many connections: nothing can be said of a COMMIT under way."""


@dataclass(frozen=True, slots=True)
class JsonText:
    """JSON that orjson wrote, as a parameter.

    Such a text holds no control characters, so that only backslash and quote need a backslash before
    them (MySQL manual, "String Literals"; our sessions never set NO_BACKSLASH_ESCAPES). The driver's own
    table takes twenty times as long over it, and an order brings two.
    """

    text: str


def _quote_json(value: JsonText, _: object = None) -> str:
    escaped = value.text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


encoders[JsonText] = _quote_json


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
    """Whether the database could not be reached or answered too late."""
    if isinstance(
        error, DatabaseAway | TimeoutError | ConnectionError | asyncio.IncompleteReadError
    ):
        return True
    return error_code(error) in LOST or isinstance(error, pymysql.err.InterfaceError)


def is_duplicate(error: BaseException) -> bool:
    """Whether a unique key said no."""
    return error_code(error) == DUPLICATE_KEY


class Transaction:
    """One open transaction: the only way to write."""

    def __init__(self, cursor: Any) -> None:
        self._cursor = cursor

    async def fetch(self, sql: str, *parameters: Any) -> list[Row]:
        """All rows of a query."""
        await self._cursor.execute(sql, parameters or None)
        return cast("list[Row]", await self._cursor.fetchall())

    async def execute(self, sql: str, *parameters: Any) -> int:
        """How many rows a statement changed (changed, not matched)."""
        return cast("int", await self._cursor.execute(sql, parameters or None))

    async def insert(self, table: str, columns: Sequence[str], rows: Sequence[Row]) -> int:
        """The id of the first row; the others follow by one (one statement, `rows` not empty).

        Ids of one multi-row INSERT are consecutive: MySQL manual, "InnoDB and LAST_INSERT_ID() in simple
        inserts". Table and column names come from our own code, never from a message.
        """
        one = "(" + ",".join(["%s"] * len(columns)) + ")"
        values = ",".join([one] * len(rows))
        sql = f"INSERT INTO {table} ({','.join(columns)}) VALUES {values}"
        await self._cursor.execute(sql, [value for row in rows for value in row])
        return cast("int", self._cursor.lastrowid)

    async def now(self) -> datetime:
        """The database's clock, aware UTC: the time at which this transaction decides."""
        rows = await self.fetch("SELECT UTC_TIMESTAMP(6)")
        return from_sql(rows[0][0])


def placeholders(values: Sequence[Any]) -> str:
    """`%s,%s,…` for an IN list."""
    return ",".join(["%s"] * len(values))


class Database:
    """A pool of sessions on one MySQL (or MariaDB) database."""

    def __init__(self, pool: aiomysql.Pool) -> None:
        self._pool = pool

    @classmethod
    async def connect(cls, url: str, *, size: int = 8) -> "Database":
        """Open a pool of at most `size` sessions. Raises pymysql errors when the server says no."""
        flavour = await _isolation_variable(url)
        pool = await aiomysql.create_pool(
            **connection_arguments(url),
            minsize=1,
            maxsize=size,
            autocommit=True,
            pool_recycle=240,
            init_command=(
                "SET time_zone = '+00:00', innodb_lock_wait_timeout = 3, "
                "sql_mode = 'STRICT_ALL_TABLES,NO_ZERO_DATE,NO_ZERO_IN_DATE,ERROR_FOR_DIVISION_BY_ZERO,"
                f"NO_ENGINE_SUBSTITUTION', {flavour} = 'REPEATABLE-READ'"
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
            async with patience(ACQUIRE_SECONDS):
                connection = await self._pool.acquire()
        except (TimeoutError, OSError) as error:
            raise DatabaseAway(f"no session: {error!r}") from error
        try:
            cursor = await connection.cursor()
            yield cursor
        except BaseException as error:
            # What a cancelled or cut session would answer next is unknown: never give it to another.
            if not isinstance(error, pymysql.err.IntegrityError | pymysql.err.ProgrammingError):
                connection.close()
            raise
        finally:
            self._pool.release(connection)

    async def read(self, sql: str, *parameters: Any) -> list[Row]:
        """All rows of one query outside a transaction."""
        async with patience(TRANSACTION_SECONDS), self.session() as cursor:
            return await Transaction(cursor).fetch(sql, *parameters)

    async def write(self, sql: str, *parameters: Any) -> int:
        """One statement as its own transaction; how many rows it changed."""
        async with asyncio.timeout(TRANSACTION_SECONDS), self.session() as cursor:
            return await Transaction(cursor).execute(sql, *parameters)

    @asynccontextmanager
    async def transaction(self, *, read_only: bool = False) -> AsyncIterator[Transaction]:
        """BEGIN … COMMIT, or ROLLBACK on any exception. `read_only` takes its snapshot at once."""
        async with asyncio.timeout(TRANSACTION_SECONDS), self.session() as cursor:
            await cursor.execute(
                "START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY" if read_only else "BEGIN"
            )
            try:
                yield Transaction(cursor)
            except pymysql.err.MySQLError as error:
                if not is_away(error):
                    await cursor.execute("ROLLBACK")
                raise
            except Exception:
                await cursor.execute("ROLLBACK")
                raise
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


async def _isolation_variable(url: str) -> str:
    """`tx_isolation` on MariaDB 10.11, `transaction_isolation` on MySQL 8 and later."""
    connection = await aiomysql.connect(**connection_arguments(url))
    try:
        version: str = connection.get_server_info()
    finally:
        connection.close()
    return "tx_isolation" if "MariaDB" in version else "transaction_isolation"
