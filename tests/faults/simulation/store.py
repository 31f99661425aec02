"""A database in memory that understands exactly the statements of the simulated workers.

In: what the functions of `db` ask for them, with its parameters. Out: rows and counts. A statement is known by the
function that made it, never by its text, so that a function that is renamed or gone is an error at import.
Must stay true: REPEATABLE READ as InnoDB has it (plain reads from the first read's snapshot; locking reads, updates
and unique keys on what is committed now); a statement that it does not know is an error, never an empty answer.
"""

import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import pymysql.err

from db.mysql.database import (
    ATTEMPTS,
    Insert,
    JsonText,
    Row,
    Statement,
    StatementResult,
    Transaction,
    is_transient,
)
from tests.faults.simulation.chance import Chance

T = TypeVar("T")
Maker = Callable[..., Any]
Query = Callable[["Session", str, list[Any]], Awaitable[list[Row]]]
Change = Callable[["Session", list[Any]], Awaitable[int]]
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
KEYS: dict[tuple[str, tuple[str, ...]], str] = {
    ("payments", ("order_id", "asset")): "uq_payments_pending",
    ("payment_receipts", ("tx_hash",)): "PRIMARY",
}
"""Names of keys whose duplicate the modules of `db` know by its name."""
PARTIAL: dict[tuple[str, tuple[str, ...]], dict[str, str]] = {
    ("payments", ("order_id", "asset")): {"status": "PENDING"}
}
"""Keys that only such rows have."""
DEFAULTS: dict[str, dict[str, Any]] = {
    "orders": {"status": "PENDING_PAYMENT", "version": 1, "items_version": 1},
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


@dataclass(frozen=True)
class Language:
    """What a store understands: for each function of `db` that makes a query or a statement, what it does to rows.

    ahead: functions that make queries to be read ahead, each with the function that asks for its rows later.
    """

    queries: Mapping[Maker, Query]
    statements: Mapping[Maker, Change]
    ahead: Sequence[tuple[Callable[[Sequence[Any]], list[Statement]], Maker]]


def name_of(maker: Maker) -> str:
    """A function by its full name."""
    return f"{maker.__module__}.{maker.__qualname__}"


def asking() -> str:
    """The full name of the function that asks this module for something now."""
    frame = sys._getframe(1)
    while frame.f_globals["__name__"] == __name__ and frame.f_back:
        frame = frame.f_back
    return f"{frame.f_globals['__name__']}.{frame.f_code.co_qualname.partition('.<locals>')[0]}"


class Store:
    """What is committed, and who holds which lock."""

    def __init__(self, chance: Chance, language: Language) -> None:
        self.chance = chance
        self.queries = {name_of(maker): one for maker, one in language.queries.items()}
        self.statements = {name_of(maker): one for maker, one in language.statements.items()}
        self.ahead = language.ahead
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
        return BEGINNING + timedelta(seconds=self.chance.time())

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
        session = Session(self.store, self._process)
        try:
            return await session.fetch(sql, *parameters)
        finally:
            session.end()

    async def write(self, sql: str, *parameters: Any) -> int:
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
        self._makers: dict[str, str] = {}
        """Who made a statement, by its text."""

    async def fetch(self, sql: str, *parameters: Any) -> list[Row]:
        self._makers[sql] = asking()
        return await super().fetch(sql, *parameters)

    async def execute(self, sql: str, *parameters: Any) -> int:
        self._makers[sql] = asking()
        return await super().execute(sql, *parameters)

    def later(self, sql: str, *parameters: Any) -> None:
        self._makers[sql] = asking()
        super().later(sql, *parameters)

    def change_later(self, sql: str, *parameters: Any, expect: int, conflict: str) -> None:
        self._makers[sql] = asking()
        super().change_later(sql, *parameters, expect=expect, conflict=conflict)

    def read_ahead(self, *queries: Statement) -> None:
        """As `Transaction.read_ahead`. Whoever made a query makes the very same again for its parameters."""
        for query in queries:
            for make, asks in self.store.ahead:
                if query in make(query.parameters):
                    self._makers[query.sql] = name_of(asks)
        super().read_ahead(*queries)

    async def _results(self, flight: Sequence[Any]) -> AsyncIterator[tuple[Any, StatementResult]]:
        """What each statement of a round trip gives; between two of them others have their turn."""
        for one in flight:
            await self.store.chance.database()
            statement = one.statement
            if isinstance(statement, Insert):
                yield one, StatementResult([], len(statement.rows), await self._insert(statement))
            else:
                yield one, await self._answer(statement.sql, list(statement.parameters))

    async def _answer(self, sql: str, parameters: list[Any]) -> StatementResult:
        """The rows of a query that is known, or how many rows a known statement changed."""
        maker = self._makers.get(sql, "")
        if answer := self.store.queries.get(maker):
            return StatementResult(await answer(self, sql, parameters), 0, 0)
        if change := self.store.statements.get(maker):
            return StatementResult([], await change(self, parameters), 0)
        raise self.store.unknown(f"{maker}: {sql}")

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
        lost = await self.store.chance.commit()
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
        order = str if table == "command_outcomes" else None
        found = (seen[key] for key in sorted(seen, key=order))
        return [row for row in found if row is not None]

    async def lock(self, table: str, key: Any, *, shared: bool = False) -> None:
        """Hold a row. Raises OperationalError (1205) after three seconds."""
        wanted, waited = (table, key), 0.0
        while not self.free(wanted, shared):
            waited += await self.store.chance.wait()
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
