"""Brings a database to the newest migration: `python -m db.migrate` (reads MYSQL_URL).

In: `db/migrations/V*__*.sql` and a server that may still be starting. Out: the schema, the history in
`flyway_schema_history`, exit code 0; or 1 with one sentence that names the migration and what to do.
Must stay true: any number of runners (and Flyway) may start at once, one works and the others wait (the same named
lock as Flyway's); a migration runs once; a changed, missing, out-of-order or half-applied one stops everything before
any statement runs. MySQL commits each DDL statement by itself: a row with success = 0 is written before the first
statement, so that a runner that was killed half-way is seen as well as one that failed.

Source of table, lock and rules: Flyway's manual, "Schema history table" and "Validate"; its MySQL sources.
"""

import asyncio
import os
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiomysql
import pymysql.err
from tenacity import AsyncRetrying, retry_if_exception, stop_after_delay, wait_exponential

from db.migration_files import (
    FOLDER,
    MigrationError,
    MigrationFile,
    MigrationStatement,
    load,
    version_of,
)
from db.mysql.database import (
    COLLATION,
    Transaction,
    connection_arguments,
    error_code,
    is_away,
)

HISTORY = "flyway_schema_history"
START_SECONDS = 60.0
"""How long a server may take to start."""
LOCK_SECONDS = 600.0
"""How long another runner may take."""
_UNKNOWN_DATABASE = 1049
_NO_SUCH_TABLE = 1146
_DATABASE_EXISTS = 1007
_SETTINGS = (
    f"SET time_zone = '+00:00', collation_connection = {COLLATION}, "
    "default_storage_engine = InnoDB, sql_mode = 'STRICT_ALL_TABLES,"
    "NO_ZERO_DATE,NO_ZERO_IN_DATE,ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION'"
)
_CREATE_HISTORY = f"""
CREATE TABLE IF NOT EXISTS {HISTORY} (
    installed_rank INT NOT NULL,
    version VARCHAR(50) NULL,
    description VARCHAR(200) NOT NULL,
    type VARCHAR(20) NOT NULL,
    script VARCHAR(1000) NOT NULL,
    checksum INT NULL,
    installed_by VARCHAR(100) NOT NULL,
    installed_on TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP,
    execution_time INT NOT NULL,
    success BOOL NOT NULL,
    PRIMARY KEY (installed_rank),
    KEY {HISTORY}_s_idx (success)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE {COLLATION}
"""


@dataclass(frozen=True, slots=True)
class Applied:
    """One row of the history. `version` is None for rows that are no versioned migration."""

    rank: int
    version: tuple[int, ...] | None
    type: str
    script: str
    checksum: int | None
    success: bool


async def migrate(
    url: str, *, folder: Path = FOLDER, start_seconds: float = START_SECONDS
) -> list[str]:
    """Create the database when it is missing and apply what is new; the scripts that were applied now.

    Raises MigrationError, or pymysql's error when the server stays away or refuses the login.
    """
    files = load(folder)
    for file in files:
        # Refuse what cannot be split before anything is touched.
        _ = file.statements
    connection = await _connect(url, start_seconds)
    try:
        session = Transaction(await connection.cursor())
        await session.execute(_SETTINGS)
        async with _alone(session):
            return await _apply(session, files)
    finally:
        connection.close()


def plan(files: Sequence[MigrationFile], history: Sequence[Applied]) -> list[MigrationFile]:
    """What is still to be applied, in order.

    Raises MigrationError when the history holds a failed, changed or unknown migration, or a file comes too late.
    """
    known = {file.version: file for file in files}
    baseline: tuple[int, ...] = ()
    done: set[tuple[int, ...]] = set()
    for row in history:
        if not row.success:
            raise MigrationError(_half_applied(row.script))
        if row.version is None:
            continue
        done.add(row.version)
        if row.type == "BASELINE":
            baseline = max(baseline, row.version)
        else:
            _compare(row, known.get(row.version))
    waiting = [file for file in files if file.version not in done and file.version > baseline]
    newest = max(done, default=())
    for file in waiting:
        if file.version < newest:
            raise MigrationError(
                f"{file.script} comes too late: the database is at version {_text(newest)} already. "
                "Give it a number above that"
            )
    return waiting


async def history(session: Transaction) -> list[Applied]:
    """What the database says was applied, in that order; nothing when it has no history."""
    try:
        rows = await session.fetch(
            "SELECT installed_rank, version, type, script, checksum, success "
            f"FROM {HISTORY} ORDER BY installed_rank"
        )
    except pymysql.err.ProgrammingError as error:
        if error_code(error) == _NO_SUCH_TABLE:
            return []
        raise
    return [
        Applied(r[0], version_of(r[1]) if r[1] else None, r[2], r[3], r[4], bool(r[5]))
        for r in rows
    ]


def lock_name(database: str) -> str:
    """The named lock that Flyway takes for this history: Java's hash of the quoted table name."""
    units = f"`{database}`.`{HISTORY}`".encode("utf-16-be")
    value = 0
    for high, low in zip(units[::2], units[1::2], strict=True):
        value = (31 * value + (high << 8 | low)) % 2**32
    return f"Flyway-{value - 2**32 if value >= 2**31 else value}"


async def _connect(url: str, start_seconds: float) -> Any:
    async for attempt in AsyncRetrying(
        retry=retry_if_exception(is_away),
        stop=stop_after_delay(start_seconds),
        wait=wait_exponential(0.1, max=1),
        reraise=True,
    ):
        with attempt:
            return await _open(url)
    raise AssertionError("tenacity reraises")


async def _open(url: str) -> Any:
    arguments = connection_arguments(url) | {"autocommit": True}
    try:
        return await aiomysql.connect(**arguments)
    except pymysql.err.MySQLError as error:
        if error_code(error) != _UNKNOWN_DATABASE:
            raise
    connection = await aiomysql.connect(**(arguments | {"db": None}))
    try:
        cursor = await connection.cursor()
        name = str(arguments["db"]).replace("`", "``")
        await cursor.execute(f"CREATE DATABASE `{name}` CHARACTER SET utf8mb4 COLLATE {COLLATION}")
    except pymysql.err.MySQLError as error:
        # Another runner was quicker.
        if error_code(error) != _DATABASE_EXISTS:
            raise
    finally:
        connection.close()
    return await aiomysql.connect(**arguments)


@asynccontextmanager
async def _alone(session: Transaction) -> AsyncIterator[None]:
    [[database]] = await session.fetch("SELECT DATABASE()")
    if database is None:
        raise MigrationError(
            "MYSQL_URL names no database: mysql://user:password@host:port/database"
        )
    name = lock_name(database)
    [[granted]] = await session.fetch("SELECT GET_LOCK(%s, %s)", name, LOCK_SECONDS)
    if not granted:
        raise MigrationError(
            f"another migration of {database} has been running for {LOCK_SECONDS:.0f} s: "
            "look at it (SHOW PROCESSLIST), then start again"
        )
    yield
    # After an error the connection is closed, and the lock goes with it.
    await session.fetch("SELECT RELEASE_LOCK(%s)", name)


async def _apply(session: Transaction, files: Sequence[MigrationFile]) -> list[str]:
    applied = await history(session)
    if not applied:
        await _begin_history(session)
    waiting = plan(files, applied)
    rank = max((row.rank for row in applied), default=0)
    for file in waiting:
        rank += 1
        await _apply_one(session, file, rank)
    return [file.script for file in waiting]


async def _begin_history(session: Transaction) -> None:
    tables = await session.fetch(
        "SELECT table_name FROM information_schema.tables "
        "WHERE table_schema = DATABASE() AND table_name <> %s LIMIT 3",
        HISTORY,
    )
    if tables:
        names = ", ".join(row[0] for row in tables)
        raise MigrationError(
            f"the database holds tables ({names}) but no migration history: it is not EventHub's, or its "
            f"{HISTORY} was deleted. Use an empty database, or restore that table"
        )
    await session.execute(_CREATE_HISTORY)


async def _apply_one(session: Transaction, file: MigrationFile, rank: int) -> None:
    await session.execute(
        f"INSERT INTO {HISTORY} (installed_rank, version, description, type, script, checksum, "
        "installed_by, execution_time, success) "
        "VALUES (%s, %s, %s, 'SQL', %s, %s, SUBSTRING_INDEX(USER(), '@', 1), 0, 0)",
        rank,
        file.version_text,
        file.description,
        file.script,
        file.checksum,
    )
    began = time.monotonic()
    for number, statement in enumerate(file.statements, 1):
        await _run(session, file, number, statement)
    await session.execute(
        f"UPDATE {HISTORY} SET success = 1, execution_time = %s WHERE installed_rank = %s",
        int((time.monotonic() - began) * 1000),
        rank,
    )


async def _run(
    session: Transaction, file: MigrationFile, number: int, statement: MigrationStatement
) -> None:
    try:
        await session.execute(statement.sql)
    except pymysql.err.MySQLError as error:
        raise MigrationError(
            f"{file.script}: statement {number} (line {statement.line}) failed: {error}. "
            + _half_applied(file.script)
        ) from error


def _compare(row: Applied, file: MigrationFile | None) -> None:
    if file is None:
        raise MigrationError(
            f"{row.script} was applied to the database and its file is missing: this release is older than "
            "the database, or the file was deleted. Start the newer release, or bring the file back"
        )
    if row.checksum is not None and row.checksum != file.checksum:
        raise MigrationError(
            f"{file.script} was changed after it had been applied (checksum {file.checksum}, "
            f"applied {row.checksum}): undo the change and put it into a new migration"
        )


def _half_applied(script: str) -> str:
    return (
        f"{script} is half-applied: its first statements may have taken effect. Undo them by hand, delete its row "
        f"(success = 0) from {HISTORY} (or `flyway repair`), and start again; a new installation may "
        "simply drop its database"
    )


def _text(version: tuple[int, ...]) -> str:
    return ".".join(map(str, version))


def main() -> int:
    """Migrate the database of MYSQL_URL; 0, or 1 with what is wrong on standard error."""
    url = os.environ.get("MYSQL_URL")
    if not url:
        print("MYSQL_URL is not set", file=sys.stderr)
        return 1
    try:
        applied = asyncio.run(migrate(url))
    except (MigrationError, pymysql.err.MySQLError, OSError, EOFError) as error:
        print(f"migration stopped: {error}", file=sys.stderr)
        return 1
    print(f"applied: {', '.join(applied)}" if applied else "the schema is up to date")
    return 0


if __name__ == "__main__":
    sys.exit(main())
