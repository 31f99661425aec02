"""Each kind of process has its own database account: what db/privileges/rights.py says, and no more."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

import aiomysql
import pymysql.err
import pytest

from db.mysql.database import Database, connection_arguments
from db.privileges import grants
from db.privileges.rights import COLUMNS, KINDS, RIGHTS
from db.tickets import keys
from tests.harness.scratch import Scratch

NOBODYS = frozenset[str]()
"""Tables that no process uses."""
REFUSED = {1044, 1045, 1142, 1143, 1227, 1410}
ELSEWHERE = (
    "SELECT * FROM mysql.user",
    "SELECT * FROM mysql.global_priv",
    "CREATE DATABASE eventhub_mine",
    "CREATE TABLE mine (id INT)",
    "CREATE USER mine",
    "GRANT SELECT ON users TO mine",
    "SET GLOBAL innodb_flush_log_at_trx_commit = 0",
    "SELECT 'x' INTO OUTFILE '/tmp/mine'",
)


@asynccontextmanager
async def connected(url: str) -> AsyncIterator[Any]:
    """A cursor of this account."""
    connection = await aiomysql.connect(**connection_arguments(url), autocommit=True)
    try:
        yield await connection.cursor()
    finally:
        connection.close()


async def refusal(cursor: Any, statement: str) -> int | None:
    """The number of the error, None when it was done."""
    try:
        await cursor.execute(statement)
    except pymysql.err.MySQLError as error:
        return int(error.args[0])
    return None


async def columns(scratch: Scratch) -> dict[str, str]:
    """Every table and one of its columns that can be written."""
    async with connected(scratch.mysql_url) as cursor:
        await cursor.execute(
            "SELECT table_name, MIN(column_name) FROM information_schema.columns "
            "WHERE table_schema = DATABASE() AND extra NOT LIKE '%GENERATED%' GROUP BY table_name"
        )
        return dict(await cursor.fetchall())


def statements(table: str, column: str) -> dict[str, str]:
    """One statement for each right; each changes nothing where it is allowed."""
    return {
        "S": f"SELECT `{column}` FROM `{table}` LIMIT 0",
        "I": f"INSERT INTO `{table}` (`{column}`) SELECT NULL FROM DUAL WHERE FALSE",
        "U": f"UPDATE `{table}` SET `{column}` = NULL WHERE FALSE",
        "D": f"DELETE FROM `{table}` WHERE FALSE",
    }


@pytest.mark.parametrize("kind", KINDS)
async def test_a_kind_may_do_its_own_and_nothing_else(scratch: Scratch, kind: str) -> None:
    """Every right on every table: done when db/privileges/rights.py says so, refused by the server when not."""
    wrong = []
    async with connected(scratch.narrow[kind]) as cursor:
        for table, column in (await columns(scratch)).items():
            for letter, statement in statements(table, column).items():
                if letter == "S" and (kind, table) in COLUMNS:
                    continue
                allowed = letter in RIGHTS[kind].get(table, "")
                number = await refusal(cursor, statement)
                if allowed == (number in REFUSED):
                    wrong.append((statement, allowed, number))
            for statement in (f"DROP TABLE `{table}`", f"ALTER TABLE `{table}` ADD x INT"):
                if await refusal(cursor, statement) not in REFUSED:
                    wrong.append((statement, False, None))
    assert wrong == []


@pytest.mark.parametrize(("kind", "table"), list(COLUMNS))
async def test_some_columns_are_not_for_everybody(scratch: Scratch, kind: str, table: str) -> None:
    """Those that are named are read, no other: password hashes are the gateway's."""
    async with connected(scratch.mysql_url) as cursor:
        await cursor.execute(
            "SELECT column_name FROM information_schema.columns "
            "WHERE table_schema = DATABASE() AND table_name = %s",
            (table,),
        )
        every = {row[0] for row in await cursor.fetchall()}
    async with connected(scratch.narrow[kind]) as cursor:
        read = {
            column
            for column in every
            if await refusal(cursor, f"SELECT `{column}` FROM `{table}` LIMIT 0") not in REFUSED
        }
    assert read == set(COLUMNS[kind, table])
    assert "password_hash" in every - read


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("statement", ELSEWHERE)
async def test_nothing_beside_the_tables_is_reached(
    scratch: Scratch, kind: str, statement: str
) -> None:
    """No accounts, no other database, no settings, no files."""
    async with connected(scratch.narrow[kind]) as cursor:
        number = await refusal(cursor, statement)
        assert number in REFUSED | {1290}, (statement, number)


async def test_every_table_is_somebodys(scratch: Scratch) -> None:
    """A table that a migration adds has to be given to those who use it; one that is gone, taken."""
    tables = set(await columns(scratch))
    given = {table for rights in RIGHTS.values() for table in rights}
    assert given == tables - NOBODYS


async def test_a_gateway_that_is_first_makes_the_first_ticket_key(scratch: Scratch) -> None:
    """With its own account: whether a gateway or the worker of the door starts first is chance."""
    async with connected(scratch.mysql_url) as cursor:
        await cursor.execute("DELETE FROM ticket_keys")
    database = await Database.connect(scratch.narrow["gateway"], size=1)
    try:
        sealer = keys.key_sealer("0123456789abcdef" * 4)
        assert await keys.make_first(database, sealer, 30 * 86400)
        assert not await keys.make_first(database, sealer, 30 * 86400)
        assert len(await database.read("SELECT kid FROM ticket_keys")) == 1
    finally:
        await database.close()
        # Under a master secret that no other test has: whoever comes next makes a key of its own.
        async with connected(scratch.mysql_url) as cursor:
            await cursor.execute("DELETE FROM ticket_keys")


async def test_what_is_granted_beyond_is_taken(scratch: Scratch) -> None:
    """A right that the last release needed: kept while its processes run, taken by the tidying."""
    url, place = scratch.narrow["notify"], urlsplit(scratch.mysql_url).path[1:]
    user = connection_arguments(url)["user"]
    async with connected(scratch.mysql_url) as cursor:
        await cursor.execute(f"GRANT DELETE ON `{place}`.users TO %s@'%%'", (user,))
    attempt = "DELETE FROM users WHERE FALSE"
    await grants.grant(scratch.mysql_url, {"notify": url})
    async with connected(url) as cursor:
        assert await refusal(cursor, attempt) is None
    await grants.tidy(scratch.mysql_url, {"notify": url})
    async with connected(url) as cursor:
        assert await refusal(cursor, attempt) in REFUSED
        assert await refusal(cursor, "SELECT status FROM users LIMIT 0") is None


async def test_the_migration_account_keeps_to_its_database(scratch: Scratch) -> None:
    """It changes tables; it makes no accounts and sees no other database."""
    parts = urlsplit(scratch.mysql_url)
    host = parts.netloc.rpartition("@")[2]
    url = parts._replace(netloc=f"t_migration_test:a-password@{host}").geturl()
    urls = {"migration": url}
    await grants.make_accounts(scratch.mysql_url, urls)
    try:
        await grants.grant(scratch.mysql_url, urls)
        async with connected(url) as cursor:
            assert await refusal(cursor, "CREATE TABLE rights_test (id INT)") is None
            assert await refusal(cursor, "DROP TABLE rights_test") is None
            for statement in ELSEWHERE:
                if "CREATE TABLE" not in statement:
                    assert await refusal(cursor, statement) in REFUSED | {1290}, statement
    finally:
        await grants.drop_accounts(scratch.mysql_url, urls)
