"""Makes each kind of process its database account, with its rights (`rights`): `python -m db.privileges.grants`.

In: MYSQL_URL (an account that may make accounts), and MYSQL_URL_GATEWAY … MYSQL_URL_RELAY, MYSQL_URL_MIGRATION: the
account (user, password) that each is to have; those that are not named are left alone. With EVENTHUB_GRANTS=tidy
nothing is made, and what is granted beyond its rights is taken. Out: accounts; exit code 0.
Must stay true: an account that runs keeps, at every moment, the rights that it had and is to have: only what differs is
granted or taken, and taken when processes of the release before have ended; passwords stand in no log and no error.
"""

import asyncio
import os
import sys
from collections.abc import Mapping
from contextlib import asynccontextmanager
from typing import Any

import aiomysql
import pymysql.err

from db.mysql.database import connection_arguments
from db.privileges.rights import COLUMNS, KINDS, MIGRATION, RIGHTS

PRIVILEGES = {"S": "SELECT", "I": "INSERT", "U": "UPDATE", "D": "DELETE"}


def urls_of(environment: Mapping[str, str]) -> dict[str, str]:
    """The URL of each account that the environment names, by kind."""
    named = {kind: f"MYSQL_URL_{kind.upper()}" for kind in (*KINDS, MIGRATION)}
    return {kind: environment[name] for kind, name in named.items() if environment.get(name)}


async def make_accounts(admin_url: str, urls: Mapping[str, str]) -> None:
    """Make or change the accounts of these URLs, all in one database. Raises pymysql's errors."""
    async with _connected(admin_url) as cursor:
        for url in urls.values():
            await _make(cursor, connection_arguments(url))


async def grant(admin_url: str, urls: Mapping[str, str]) -> None:
    """Let each account have its rights on the tables that exist. Raises pymysql's errors."""
    async with _connected(admin_url) as cursor:
        for kind, url in urls.items():
            wanted = connection_arguments(url)
            if kind == MIGRATION:
                await _grant_all(cursor, wanted["user"], wanted["db"])
            else:
                await _grant_tables(cursor, wanted["user"], wanted["db"], kind)


async def tidy(admin_url: str, urls: Mapping[str, str]) -> None:
    """Take what is granted to these accounts on tables and not meant. Raises pymysql's errors."""
    async with _connected(admin_url) as cursor:
        for kind, url in urls.items():
            wanted = connection_arguments(url)
            user, database = wanted["user"], wanted["db"]
            held = await _held(cursor, user, database)
            for table, privilege in sorted(held - _meant(kind)):
                await cursor.execute(
                    f"REVOKE {privilege} ON `{database}`.`{table}` FROM %s@'%%'", (user,)
                )


async def drop_accounts(admin_url: str, urls: Mapping[str, str]) -> None:
    """Forget the accounts of these URLs."""
    async with _connected(admin_url) as cursor:
        for url in urls.values():
            await cursor.execute(
                "DROP USER IF EXISTS %s@'%%'", (connection_arguments(url)["user"],)
            )


@asynccontextmanager
async def _connected(url: str) -> Any:
    # Without a database: before the first migration there is none.
    connection = await aiomysql.connect(**connection_arguments(url) | {"db": None}, autocommit=True)
    try:
        yield await connection.cursor()
    finally:
        connection.close()


async def _make(cursor: Any, account: Mapping[str, Any]) -> None:
    who = (account["user"], account["password"])
    await cursor.execute("CREATE USER IF NOT EXISTS %s@'%%' IDENTIFIED BY %s", who)
    await cursor.execute("ALTER USER %s@'%%' IDENTIFIED BY %s", who)


async def _grant_all(cursor: Any, user: str, database: str) -> None:
    await cursor.execute(f"GRANT ALL PRIVILEGES ON `{database}`.* TO %s@'%%'", (user,))


async def _grant_tables(cursor: Any, user: str, database: str, kind: str) -> None:
    await cursor.execute(
        "SELECT table_name FROM information_schema.tables WHERE table_schema = %s", (database,)
    )
    tables = {row[0] for row in await cursor.fetchall()}
    for table, privilege in sorted(_meant(kind) - await _held(cursor, user, database)):
        if table in tables:
            await cursor.execute(f"GRANT {privilege} ON `{database}`.`{table}` TO %s@'%%'", (user,))


def _meant(kind: str) -> set[tuple[str, str]]:
    """(table, privilege as SQL has it) of a kind; one for each column where it is for columns."""
    found = set()
    for table, letters in RIGHTS.get(kind, {}).items():
        columns = COLUMNS.get((kind, table))
        for letter in letters:
            of = [f" (`{column}`)" for column in columns or ()] if letter == "S" else []
            found |= {(table, PRIVILEGES[letter] + which) for which in of or [""]}
    return found


async def _held(cursor: Any, user: str, database: str) -> set[tuple[str, str]]:
    """The same of what is granted."""
    whose = (database, f"'{user}'@'%'")
    await cursor.execute(
        "SELECT table_name, privilege_type FROM information_schema.table_privileges "
        "WHERE table_schema = %s AND grantee = %s",
        whose,
    )
    found = set(await cursor.fetchall())
    await cursor.execute(
        "SELECT table_name, privilege_type, column_name FROM information_schema.column_privileges "
        "WHERE table_schema = %s AND grantee = %s",
        whose,
    )
    return found | {(row[0], f"{row[1]} (`{row[2]}`)") for row in await cursor.fetchall()}


async def _main(admin_url: str, urls: Mapping[str, str]) -> None:
    if os.environ.get("EVENTHUB_GRANTS") == "tidy":
        await tidy(admin_url, urls)
        return
    await make_accounts(admin_url, urls)
    await grant(admin_url, urls)


def main() -> int:
    """The exit code: 0 done, 1 with the reason."""
    try:
        asyncio.run(_main(os.environ["MYSQL_URL"], urls_of(os.environ)))
    except KeyError:
        print("MYSQL_URL is not set", file=sys.stderr)
        return 1
    except (pymysql.err.MySQLError, OSError) as error:
        print(f"database accounts: {type(error).__name__} {error.args[:2]}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
