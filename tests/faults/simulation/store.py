"""A database in memory that understands exactly the statements of the simulated workers.

In: the SQL that the modules of `db` send for them, with its parameters. Out: rows and counts.
Must stay true: REPEATABLE READ as InnoDB has it (plain reads from the first read's snapshot; locking reads, updates
and unique keys on what is committed now); a statement that it does not know is an error, never an empty answer.
"""

import re
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import pymysql.err

from db.mysql.database import (
    ATTEMPTS,
    Insert,
    JsonText,
    Row,
    StatementResult,
    Transaction,
    is_transient,
)
from tests.faults.simulation.weather import Weather

T = TypeVar("T")
BEGINNING = datetime(2026, 1, 1, tzinfo=UTC)
LOCK_WAIT_SECONDS = 3.0
Table = dict[Any, dict[str, Any]]
TABLES = (
    "events", "ticket_types", "orders", "order_details", "order_history", "stock_ledger",
    "command_outcomes", "outbox", "payments", "payment_receipts", "pending_returns", "rates",
    "tickets",
)  # fmt: skip
UNIQUE: dict[str, tuple[tuple[str, ...], ...]] = {
    "command_outcomes": (("id",),),
    "orders": (("command_id",),),
    "stock_ledger": (("ticket_type_id", "version"),),
    "order_history": (("order_id", "version"),),
    "payments": (("command_id",), ("order_id", "asset")),
    "payment_receipts": (("tx_hash",),),
    "pending_returns": (("order_id",),),
    "tickets": (("order_detail_id", "number"),),
}
KEYS = {
    ("payments", ("order_id", "asset")): "uq_payments_pending",
    ("payment_receipts", ("tx_hash",)): "PRIMARY",
}
"""Names of keys whose duplicate the modules of `db` know by its name."""
PARTIAL = {("payments", ("order_id", "asset")): {"status": "PENDING"}}
"""Keys that only such rows have."""
DEFAULTS: dict[str, dict[str, Any]] = {
    "orders": {"status": "PENDING_PAYMENT", "version": 1},
    "order_details": {"returned_version": None},
    "payments": {"status": "PENDING", "tx_hash": None},
}


def stored(name: str, value: object) -> Any:
    """A value as its column gives it back: times without a zone, JSON as text."""
    if isinstance(value, JsonText):
        return value.text
    return naive(value) if name.endswith("_at") else value


def naive(value: object) -> Any:
    """A DATETIME(6) as the driver gives it."""
    return datetime.fromisoformat(value) if isinstance(value, str) else value


class Store:
    """What is committed, and who holds which lock."""

    def __init__(self, weather: Weather, language: tuple[Sequence[Any], Sequence[Any]]) -> None:
        """`language`: (pattern, answer) of the queries and (pattern, change) of the statements it understands."""
        self.weather, self.language = weather, language
        self.tables: dict[str, Table] = {name: {} for name in TABLES}
        self.locks: dict[tuple[str, Any], set[Session]] = {}
        self.shared: set[tuple[str, Any]] = set()
        self.serial = 0
        self.not_understood: list[str] = []

    def unknown(self, sql: str) -> Exception:
        """An error for a statement that nobody taught us: the world's judge will name it."""
        self.not_understood.append(sql)
        return NotImplementedError(sql)

    def next_id(self) -> int:
        """Ids rise over all tables."""
        self.serial += 1
        return self.serial

    def now(self) -> datetime:
        """The database's clock, aware."""
        return BEGINNING + timedelta(seconds=self.weather.time())

    def forget(self, process: int) -> None:
        """A process is dead: its sessions end, their locks are free."""
        for key, holders in list(self.locks.items()):
            alive = {session for session in holders if session.process != process}
            if alive:
                self.locks[key] = alive
            else:
                del self.locks[key]
                self.shared.discard(key)


class Database:
    """A process's way to the store."""

    def __init__(self, store: Store, process: int) -> None:
        self.store, self._process = store, process

    async def run(self, work: Callable[[Transaction], Awaitable[T]]) -> T:
        """As db.mysql.database.Database.run, without the jitter."""
        for attempt in range(ATTEMPTS):
            session = Session(self.store, self._process)
            try:
                done = await work(session)
                await session.commit()
            except Exception as error:
                session.end()
                if attempt == ATTEMPTS - 1 or not is_transient(error):
                    raise
            else:
                return done
        raise AssertionError("the last attempt returns or raises")

    async def read(self, sql: str, *parameters: Any) -> list[Row]:
        """One query."""
        session = Session(self.store, self._process)
        try:
            return await session.fetch(sql, *parameters)
        finally:
            session.end()

    async def write(self, sql: str, *parameters: Any) -> int:
        """One statement."""
        session = Session(self.store, self._process)
        try:
            count = await session.execute(sql, *parameters)
            await session.commit()
            return count
        finally:
            session.end()


class Session(Transaction):
    """One transaction."""

    def __init__(self, store: Store, process: int) -> None:
        super().__init__(None)
        self.store, self.process = store, process
        self._snapshot: dict[str, Table] | None = None
        self._written: dict[tuple[str, Any], dict[str, Any] | None] = {}
        self._held: set[tuple[str, Any]] = set()

    async def _results(self, flight: Sequence[Any]) -> AsyncIterator[tuple[Any, StatementResult]]:
        """What each statement of a round trip gives; between two of them others have their turn."""
        for one in flight:
            await self.store.weather.database()
            statement = one.statement
            if isinstance(statement, Insert):
                yield one, StatementResult([], len(statement.rows), await self._insert(statement))
            else:
                yield one, await self._answer(statement.sql, list(statement.parameters))

    async def _answer(self, sql: str, parameters: list[Any]) -> StatementResult:
        """The rows of a query that is known, or how many rows a known statement changed."""
        queries, statements = self.store.language
        for pattern, answer in queries:
            if re.match(pattern, sql):
                return StatementResult(await answer(self, sql, parameters), 0, 0)
        for pattern, change in statements:
            if re.match(pattern, sql):
                return StatementResult([], await change(self, parameters), 0)
        raise self.store.unknown(sql)

    async def _insert(self, insert: Insert) -> int:
        """The id of the first row. Raises IntegrityError (1062)."""
        table, first = insert.table, 0
        for values in insert.rows:
            row = {
                name: stored(name, one) for name, one in zip(insert.columns, values, strict=True)
            }
            for unique in UNIQUE.get(table, ()):
                await self._claim(table, tuple(row[name] for name in unique), unique)
            key = row["id"] if "id" in row else self.store.next_id()
            row.setdefault("id", key)
            first = first or (key if isinstance(key, int) else 0)
            self._written[table, key] = DEFAULTS.get(table, {}) | row
        return first

    async def commit(self) -> None:
        """Make it so. Either end of the COMMIT may be lost: then the driver reports a lost connection."""
        await self.flush()
        lost = await self.store.weather.commit()
        if lost != "before":
            for (table, key), row in self._written.items():
                if row is None:
                    self.store.tables[table].pop(key, None)
                else:
                    self.store.tables[table][key] = row
        self.end()
        if lost:
            raise pymysql.err.OperationalError(2013, f"connection lost, commit {lost}")

    def end(self) -> None:
        """Let go of everything."""
        for key in self._held:
            holders = self.store.locks.get(key, set())
            holders.discard(self)
            if not holders:
                self.store.locks.pop(key, None)
                self.store.shared.discard(key)
        self._held.clear()
        self._written.clear()

    # -- what statements are made of ---------------------------------------------------------------

    def plain(self, table: str) -> list[dict[str, Any]]:
        """Rows as the snapshot has them, with our own changes, by id."""
        if self._snapshot is None:
            self._snapshot = {name: dict(rows) for name, rows in self.store.tables.items()}
        return self._over(self._snapshot[table], table)

    def current(self, table: str) -> list[dict[str, Any]]:
        """Rows as they are committed now, with our own changes, by id."""
        return self._over(self.store.tables[table], table)

    def _over(self, rows: Table, table: str) -> list[dict[str, Any]]:
        mine = {key: row for (name, key), row in self._written.items() if name == table}
        seen = {**rows, **mine}
        return [
            seen[key]
            for key in sorted(seen, key=str if table == "command_outcomes" else None)
            if seen[key] is not None
        ]  # type: ignore[type-var,misc]  # ids of one table are of one kind

    async def lock(self, table: str, key: Any, *, shared: bool = False) -> None:
        """Hold a row. Raises OperationalError (1205) after three seconds."""
        wanted, waited = (table, key), 0.0
        while not self.free(wanted, shared):
            waited += await self.store.weather.wait()
            if waited > LOCK_WAIT_SECONDS:
                raise pymysql.err.OperationalError(1205, "lock wait timeout")
        self.store.locks.setdefault(wanted, set()).add(self)
        (self.store.shared.add if shared else self.store.shared.discard)(wanted)
        self._held.add(wanted)

    def free(self, wanted: tuple[str, Any], shared: bool) -> bool:
        others = self.store.locks.get(wanted, set()) - {self}
        return not others or (shared and wanted in self.store.shared)

    async def _claim(self, table: str, values: tuple[Any, ...], unique: tuple[str, ...]) -> None:
        await self.lock(f"{table}.{unique}", values)
        counts = PARTIAL.get((table, unique), {}).items()
        for row in self.current(table):
            if counts <= row.items() and tuple(row[name] for name in unique) == values:
                key = KEYS.get((table, unique), f"uq_{table}")
                raise pymysql.err.IntegrityError(1062, f"Duplicate entry {values} for key '{key}'")

    def put(self, table: str, row: dict[str, Any], **changes: Any) -> None:
        """Write a changed row."""
        self._written[table, row["id"]] = {**row, **changes}

    def drop(self, table: str, key: Any) -> None:
        """Delete a row."""
        self._written[table, key] = None
