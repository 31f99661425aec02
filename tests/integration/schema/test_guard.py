"""Start-up refuses what it finds on a real server."""

from collections.abc import AsyncIterator

import aiomysql
import pytest

from db.guard import WeakDatabase, check
from db.migrate import migrate
from db.mysql.database import Database, connection_arguments


@pytest.fixture
async def fresh(new_url: str) -> AsyncIterator[Database]:
    """A migrated database of this test's own."""
    await migrate(new_url)
    opened = await Database.connect(new_url, size=2)
    yield opened
    await opened.close()


async def faults(database: Database) -> str:
    """What the guard says."""
    with pytest.raises(WeakDatabase) as caught:
        await check(database)
    return str(caught.value)


async def test_our_servers_and_sessions_pass(fresh: Database) -> None:
    """The settings that scripts/servers gives, and the sessions of our pool."""
    await check(fresh)


async def test_an_old_schema_is_refused(fresh: Database) -> None:
    """The missing migration is named, with the command that applies it."""
    await fresh.write("DELETE FROM flyway_schema_history ORDER BY installed_rank DESC LIMIT 1")
    assert "not applied): run `python -m db.migrate`" in await faults(fresh)


async def test_a_schema_that_was_never_made_is_refused(fresh: Database) -> None:
    """No history at all is the oldest schema."""
    await fresh.write("DROP TABLE flyway_schema_history")
    assert "V1__first_sale.sql" in await faults(fresh)


async def test_a_half_applied_migration_is_refused(fresh: Database) -> None:
    """success = 0 means that nobody knows what is there."""
    await fresh.write("UPDATE flyway_schema_history SET success = 0 WHERE installed_rank = 1")
    assert "V1__first_sale.sql is half-applied" in await faults(fresh)


async def test_a_table_without_transactions_is_refused(fresh: Database) -> None:
    """Named, with its engine."""
    await fresh.write("CREATE TABLE loose (id INT) ENGINE = MyISAM")
    assert "Table loose has engine MyISAM" in await faults(fresh)


@pytest.mark.parametrize(
    ("setting", "says"),
    [
        ("SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED", "READ-COMMITTED"),
        ("SET time_zone = '+02:00'", "time_zone"),
        ("SET sql_mode = ''", "STRICT_ALL_TABLES"),
        ("SET default_storage_engine = MyISAM", "default_storage_engine"),
    ],
)
async def test_weak_sessions_are_refused(
    fresh: Database, new_url: str, setting: str, says: str
) -> None:
    """What a session really runs with counts, not what the server's file says."""
    pool = await aiomysql.create_pool(
        **connection_arguments(new_url), minsize=1, autocommit=True, init_command=setting
    )
    weak = Database(pool)
    try:
        assert says in await faults(weak)
    finally:
        await weak.close()
