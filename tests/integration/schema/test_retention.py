"""Outcomes are forgotten oldest first, and never before their time."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest

from contracts.outcomes import Outcome
from db import outcomes
from db.migrate import migrate
from db.mysql import Database
from db.retention import STEP, forget_outcomes, keep_forgetting
from tests.harness.waiting import eventually

HOUR = 3600


@pytest.fixture
async def fresh(new_url: str) -> AsyncIterator[Database]:
    """A migrated database of this test's own."""
    await migrate(new_url)
    opened = await Database.connect(new_url, size=2)
    yield opened
    await opened.close()


def outcome(hours: float) -> Outcome:
    """Decided so many hours ago."""
    then = datetime.now(UTC) - timedelta(hours=hours)
    return Outcome(
        uuid.uuid4().bytes, 1, "t", "0" * 32, 409, "SOLD_OUT", None, "request", b"{}", then, then
    )


async def store(database: Database, *rows: Outcome) -> None:
    """Write outcomes as decisions do."""
    async with database.transaction() as transaction:
        outcomes.insert(transaction, rows)


async def test_only_what_is_over_goes_oldest_first(fresh: Database) -> None:
    """Of outcomes 5, 4, 3 and 1 hours old, kept for two: first the oldest two, then the third, then nothing."""
    rows = [outcome(hours) for hours in (3, 1, 5, 4)]
    await store(fresh, *rows)
    assert await forget_outcomes(fresh, 2 * HOUR, step=2) == 2
    left = await outcomes.find(fresh, [row.command for row in rows])
    assert set(left) == {rows[0].command, rows[1].command}
    assert await forget_outcomes(fresh, 2 * HOUR, step=2) == 1
    assert await forget_outcomes(fresh, 2 * HOUR, step=2) == 0
    assert await outcomes.find(fresh, [rows[1].command])


async def test_the_job_forgets_in_steps_until_it_is_stopped(fresh: Database) -> None:
    """More than one step's worth goes without a minute's rest in between; stopping ends it at once."""
    await store(fresh, *(outcome(3) for _ in range(STEP + 20)), outcome(1))
    stop = asyncio.Event()
    job = asyncio.create_task(keep_forgetting(fresh, 2 * HOUR, stop))

    async def one_left() -> bool:
        return bool((await fresh.read("SELECT COUNT(*) FROM command_outcomes"))[0][0] == 1)

    await eventually(one_left)
    stop.set()
    await job
