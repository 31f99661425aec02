"""Migrations on a real server: each once, whatever starts at the same time or dies half-way."""

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urlsplit

import pymysql.err
import pytest

from db.migrate import migrate
from db.migration_files import MigrationError, checksum, load
from db.mysql.database import Database
from tests.harness.waiting import eventually

FLYWAY_TABLE = """
CREATE TABLE `flyway_schema_history` (
    `installed_rank` INT NOT NULL, `version` VARCHAR(50), `description` VARCHAR(200) NOT NULL,
    `type` VARCHAR(20) NOT NULL, `script` VARCHAR(1000) NOT NULL, `checksum` INT,
    `installed_by` VARCHAR(100) NOT NULL, `installed_on` TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP,
    `execution_time` INT NOT NULL, `success` BOOL NOT NULL,
    CONSTRAINT `flyway_schema_history_pk` PRIMARY KEY (`installed_rank`)) ENGINE=InnoDB
"""


def write(folder: Path, version: int, text: str) -> None:
    """A migration file."""
    (folder / f"V{version}__step_{version}.sql").write_text(text)


@contextlib.asynccontextmanager
async def opened(url: str) -> AsyncIterator[Database]:
    """A pool on a database that is there."""
    database = await Database.connect(url, size=2)
    try:
        yield database
    finally:
        await database.close()


async def history(url: str) -> list[tuple[object, ...]]:
    """(rank, version, description, type, script, checksum, success) as stored."""
    async with opened(url) as database:
        rows = await database.read(
            "SELECT installed_rank, version, description, type, script, checksum, success "
            "FROM flyway_schema_history ORDER BY installed_rank"
        )
    return [tuple(row) for row in rows]


async def test_runners_at_once_apply_each_migration_once(new_url: str) -> None:
    """Six start on a server without the database: one applies all, nobody fails, the history is Flyway's."""
    applied = await asyncio.gather(*(migrate(new_url) for _ in range(6)))
    files = load()
    assert sorted(map(len, applied)) == [0, 0, 0, 0, 0, len(files)]
    assert await history(new_url) == [
        (rank, one.version_text, one.description, "SQL", one.script, one.checksum, 1)
        for rank, one in enumerate(files, 1)
    ]
    assert await migrate(new_url) == []


async def test_flyways_history_is_gone_on_with(new_url: str, tmp_path: Path) -> None:
    """Flyway made the schema and applied version 1: the runner applies version 2 under the next rank."""
    first, second = "CREATE TABLE one (id INT);\n", "CREATE TABLE two (id INT);\n"
    write(tmp_path, 1, first)
    await migrate(new_url, folder=tmp_path)
    write(tmp_path, 2, second)
    async with opened(new_url) as database:
        await database.write("DROP TABLE flyway_schema_history")
        await database.write(FLYWAY_TABLE)
        await database.write(
            "INSERT INTO flyway_schema_history VALUES "
            "(0, NULL, '<< Flyway Schema Creation >>', 'SCHEMA', '`x`', NULL, 'f', NOW(), 0, 1), "
            "(1, '1', 'step 1', 'SQL', 'V1__step_1.sql', %s, 'f', NOW(), 12, 1)",
            checksum(first),
        )
    assert await migrate(new_url, folder=tmp_path) == ["V2__step_2.sql"]
    assert (await history(new_url))[-1] == (
        2,
        "2",
        "step 2",
        "SQL",
        "V2__step_2.sql",
        checksum(second),
        1,
    )


async def test_a_failing_statement_is_named_and_blocks_the_next_run(
    new_url: str, tmp_path: Path
) -> None:
    """File, statement, line and the server's words; then half-applied until somebody has repaired it."""
    write(tmp_path, 1, "CREATE TABLE one (id INT);")
    write(
        tmp_path,
        2,
        "CREATE TABLE two (id INT);\n\nCREATE TABLE one (id INT);\nCREATE TABLE three (id INT);",
    )
    with pytest.raises(
        MigrationError, match=r"V2__step_2\.sql: statement 2 \(line 3\) failed: .*1050"
    ):
        await migrate(new_url, folder=tmp_path)
    assert [(row[1], row[6]) for row in await history(new_url)] == [("1", 1), ("2", 0)]
    with pytest.raises(MigrationError, match=r"V2__step_2\.sql is half-applied"):
        await migrate(new_url, folder=tmp_path)
    write(tmp_path, 2, "CREATE TABLE three (id INT);")
    async with opened(new_url) as database:
        await database.write("DROP TABLE two")
        await database.write("DELETE FROM flyway_schema_history WHERE success = 0")
    assert await migrate(new_url, folder=tmp_path) == ["V2__step_2.sql"]


async def test_a_runner_killed_half_way_is_noticed(new_url: str, tmp_path: Path) -> None:
    """kill -9 between two statements leaves success = 0: the next run says half-applied."""
    write(tmp_path, 1, "CREATE TABLE one (id INT);")
    await migrate(new_url, folder=tmp_path)
    write(tmp_path, 2, "CREATE TABLE two (id INT); DO SLEEP(2); CREATE TABLE three (id INT);")
    code = "import asyncio, sys, pathlib; from db.migrate import migrate; "
    code += "asyncio.run(migrate(sys.argv[1], folder=pathlib.Path(sys.argv[2])))"
    runner = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        code,
        new_url,
        str(tmp_path),
        env={**os.environ, "PYTHONPATH": os.getcwd()},
    )
    async with opened(new_url) as database:
        await eventually(lambda: database.read("SHOW TABLES LIKE 'two'"))
        runner.send_signal(signal.SIGKILL)
        await runner.wait()
        with pytest.raises(MigrationError, match=r"V2__step_2\.sql is half-applied"):
            await migrate(new_url, folder=tmp_path)
        assert not await database.read("SHOW TABLES LIKE 'three'")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (
            lambda folder: write(folder, 1, "CREATE TABLE other (id INT);"),
            r"V1__step_1\.sql was changed",
        ),
        (lambda folder: (folder / "V2__step_2.sql").unlink(), r"V2__step_2\.sql was applied"),
        (lambda folder: write(folder, 3, "SELECT 'open"), r"V3__step_3\.sql, line 1"),
        (
            lambda folder: (folder / "V1.5__late.sql").write_text("SELECT 1;"),
            r"V1\.5__late\.sql comes too late",
        ),
    ],
)
async def test_files_that_do_not_fit_run_nothing(
    new_url: str, tmp_path: Path, change: object, says: str
) -> None:
    """Changed, missing, unreadable or too late: named, and not even the good new one is applied."""
    write(tmp_path, 1, "CREATE TABLE one (id INT);")
    write(tmp_path, 2, "CREATE TABLE two (id INT);")
    await migrate(new_url, folder=tmp_path)
    before = await history(new_url)
    write(tmp_path, 4, "CREATE TABLE four (id INT);")
    change(tmp_path)  # type: ignore[operator]  # a lambda of the parameters
    with pytest.raises(MigrationError, match=says):
        await migrate(new_url, folder=tmp_path)
    assert await history(new_url) == before


async def test_somebody_elses_tables_are_left_alone(new_url: str, tmp_path: Path) -> None:
    """A database with tables and no history is refused by name."""
    await migrate(new_url)
    async with opened(new_url) as database:
        await database.write("DROP TABLE flyway_schema_history")
    with pytest.raises(MigrationError, match=r"holds tables .* no migration history"):
        await migrate(new_url)


async def test_a_wrong_password_is_no_reason_to_wait(new_url: str) -> None:
    """The login's refusal comes at once, as it is."""
    parts = urlsplit(new_url)
    url = new_url.replace(f":{parts.password}@", ":wrong@")
    with pytest.raises(pymysql.err.OperationalError, match="1045"):
        await migrate(url, start_seconds=3600)


async def test_a_server_that_is_still_starting_is_waited_for(new_url: str) -> None:
    """Connections that are cut at first, as a starting server cuts them, do not end the run."""
    parts = urlsplit(new_url)
    cut = 3

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal cut
        if cut:
            cut -= 1
            writer.close()
            return
        inner_reader, inner_writer = await asyncio.open_connection(parts.hostname, parts.port)
        await asyncio.gather(_pump(reader, inner_writer), _pump(inner_reader, writer))

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server:
        applied = await migrate(new_url.replace(f":{parts.port}/", f":{port}/"))
    assert (cut, len(applied)) == (0, len(load()))


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
    writer.close()


@pytest.mark.parametrize(
    ("url", "says"),
    [(None, "MYSQL_URL is not set"), ("mysql://u:p@127.0.0.1:1", "migration stopped")],
)
async def test_the_command_fails_with_one_sentence(url: str | None, says: str) -> None:
    """Exit code 1 and the reason on standard error, no traceback."""
    environment = {**os.environ, "MYSQL_URL": url} if url else dict(os.environ)
    if url is None:
        del environment["MYSQL_URL"]
    code = "import db.migrate as m, sys; m.migrate.__kwdefaults__['start_seconds'] = 0; sys.exit(m.main())"
    runner = await asyncio.create_subprocess_exec(
        sys.executable, "-c", code, env=environment, stderr=asyncio.subprocess.PIPE
    )
    _, errors = await runner.communicate()
    assert runner.returncode == 1
    assert says in errors.decode()
    assert "Traceback" not in errors.decode()
