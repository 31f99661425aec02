"""Several statements in one round trip: in order, all inside the transaction, or none."""

import pymysql.err
import pytest

from db.mysql.database import (
    Database,
    Statement,
    Transaction,
    VersionConflict,
    is_duplicate,
)
from tests.harness.accounts import person
from tests.harness.scratch import Scratch

ABSENT = 2**61


async def history(database: Database, command: bytes) -> int:
    """How many outcomes of that command are stored."""
    rows = await database.read("SELECT COUNT(*) FROM command_outcomes WHERE id = %s", command)
    return int(rows[0][0])


def outcome(user: int, command: bytes) -> tuple[object, ...]:
    """A row of command_outcomes."""
    at = "2026-01-01 00:00:00.000000"
    return (command, user, "t", "0" * 32, 409, "SOLD_OUT", None, "request", "{}", at, at)


COLUMNS = (
    "id", "user_id", "type", "fingerprint", "status_code", "code", "location", "request_id", "body",
    "accepted_at", "decided_at",
)  # fmt: skip


async def test_what_waits_is_there_for_the_next_statement(database: Database) -> None:
    """In the order in which it was said."""
    user, command = (await person(database)).id, b"round trip one."
    async with database.transaction() as transaction:
        transaction.insert_later("command_outcomes", COLUMNS, [outcome(user, command.ljust(16))])
        [[count]] = await transaction.fetch(
            "SELECT COUNT(*) FROM command_outcomes WHERE id = %s", command.ljust(16)
        )
        assert count == 1
        transaction.later("DELETE FROM command_outcomes WHERE id = %s", command.ljust(16))
    assert await history(database, command.ljust(16)) == 0


async def test_rows_read_ahead_are_given_once(database: Database) -> None:
    """The first fetch of that text gets them; a second asks the server again."""
    user = (await person(database)).id
    query = Statement("SELECT status FROM users WHERE id = %s", (user,))
    async with database.transaction() as transaction:
        transaction.read_ahead(query)
        await transaction.now()
        await transaction.execute("UPDATE users SET status = 'DISABLED' WHERE id = %s", user)
        assert await transaction.fetch(query.sql, user) == [("ACTIVE",)]
        assert await transaction.fetch(query.sql, user) == [("DISABLED",)]


async def test_an_error_takes_everything_back(database: Database) -> None:
    """The server stops at the first error: what stood behind it never runs, what stood before is rolled back."""
    user = (await person(database)).id
    first, twice, behind = b"a".ljust(16), b"b".ljust(16), b"c".ljust(16)

    async def work(transaction: Transaction) -> None:
        for command in (first, twice, twice, behind):
            transaction.insert_later("command_outcomes", COLUMNS, [outcome(user, command)])

    with pytest.raises(pymysql.err.IntegrityError) as caught:
        await database.run(work)
    assert is_duplicate(caught.value)
    assert [await history(database, one) for one in (first, twice, behind)] == [0, 0, 0]


async def test_a_version_not_met_is_named_before_what_follows_from_it(database: Database) -> None:
    """The ledger's key says no as well when a version is past: the conflict is the cause, and is run again."""
    user, command = (await person(database)).id, b"round trip two."
    row = outcome(user, command.ljust(16))

    async def work(transaction: Transaction) -> None:
        transaction.insert_later("command_outcomes", COLUMNS, [row])
        transaction.change_later(
            "UPDATE users SET status = 'DISABLED' WHERE id = %s",
            ABSENT,
            expect=1,
            conflict="nobody has it",
        )
        transaction.insert_later("command_outcomes", COLUMNS, [row])

    with pytest.raises(VersionConflict, match="nobody has it"):
        await database.run(work)
    assert await history(database, command.ljust(16)) == 0
    # The session is as good as before: the pool gives it to the next.
    assert await database.read("SELECT 1") == [(1,)]


async def test_a_transaction_that_asked_nothing_leaves_nothing(database: Database) -> None:
    """Neither an open transaction nor an error."""
    async with database.transaction():
        pass
    with pytest.raises(ValueError, match="early"):
        async with database.transaction():
            raise ValueError("early")
    assert await database.read("SELECT 1") == [(1,)]


async def test_a_version_not_met_costs_no_session(scratch: Scratch) -> None:
    """Conflicts are everyday: rolled back, the same session goes on."""
    database = await Database.connect(scratch.mysql_url, size=1)

    async def work(transaction: Transaction) -> None:
        transaction.change_later(
            "UPDATE users SET status = 'DISABLED' WHERE id = %s",
            ABSENT,
            expect=1,
            conflict="nobody has it",
        )

    before = await database.read("SELECT CONNECTION_ID()")
    with pytest.raises(VersionConflict):
        await database.run(work)
    assert await database.read("SELECT CONNECTION_ID()") == before
    await database.close()
