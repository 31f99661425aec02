"""A client that vanishes in the middle of a transaction: others get the rows that it has locked."""

import contextlib
from collections.abc import AsyncIterator

import pytest

from db.mysql.database import TRANSACTION_SECONDS, Database, error_code
from scripts.proving.proxy import Proxy
from tests.harness.scratch import scratch_servers

LOCK_WAIT_TIMEOUT = 1205
BY_ONE = "UPDATE counters SET value = value + 1"


@pytest.fixture
async def database_url() -> AsyncIterator[str]:
    """A database with one row that somebody will hold on to."""
    async with scratch_servers() as scratch:
        database = await Database.connect(scratch.mysql_url, size=1)
        await database.write("CREATE TABLE counters (id INT PRIMARY KEY, value INT NOT NULL)")
        await database.write("INSERT INTO counters VALUES (1, 0)")
        await database.close()
        yield scratch.mysql_url


async def left_behind(url: str, vanished: int) -> bool:
    """Whether a row can be had while a transaction that changed it has fallen into a black hole."""
    async with Proxy(url) as proxy:
        lost = await Database.connect(proxy.address, size=1, vanished=vanished)
        other = await Database.connect(url, size=1)
        got: bool | None = None
        with contextlib.suppress(TimeoutError):
            async with lost.transaction() as transaction:
                await transaction.execute(BY_ONE)
                proxy.turn("hole")
                got = await gets(other)
        assert got is not None, "the transaction ended before anybody asked for its row"
        await lost.close()
        await other.close()
        return got


async def gets(other: Database) -> bool:
    """Whether the row is to be had within the patience of one statement."""
    try:
        await other.write(BY_ONE)
    except Exception as error:
        if error_code(error) != LOCK_WAIT_TIMEOUT:
            raise
        return False
    assert await other.read("SELECT value FROM counters") == [(1,)]
    return True


async def test_rows_of_a_vanished_client_are_free_again(database_url: str) -> None:
    """What it had changed is undone, and the next one changes the row: the server ended its session."""
    assert await left_behind(database_url, vanished=1)


async def test_control_a_patient_server_keeps_them(database_url: str) -> None:
    """The control: with a silence of minutes whoever wants the row gives up."""
    assert not await left_behind(database_url, vanished=600)


async def test_no_session_is_ended_in_the_middle_of_a_living_transaction(database_url: str) -> None:
    """Every session has the limit, and it is longer than the longest transaction."""
    database = await Database.connect(database_url, size=1)
    [[seconds]] = await database.read("SELECT @@SESSION.wait_timeout")
    await database.close()
    assert TRANSACTION_SECONDS < seconds <= 10
