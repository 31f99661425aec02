"""Forgetting: command outcomes are kept for a time and then deleted, oldest first, in small steps.

In: a database, how long outcomes are kept (EVENTHUB_OUTCOME_RETENTION, seconds). Out: fewer rows.
Must stay true: nothing younger than its time is deleted (by the database's clock), always the oldest first: the audit
relies on both; one step locks little and is over in milliseconds, so that no sale waits for it.
"""

import asyncio
from datetime import timedelta

import structlog

from contracts.times import from_sql
from db import outcomes
from db.mysql import Database, is_away, is_transient

log = structlog.get_logger(__name__)

STEP = 500
"""Rows per statement."""
REST_SECONDS = 60.0
BETWEEN_STEPS_SECONDS = 0.05


async def forget_outcomes(database: Database, retention: int, *, step: int = STEP) -> int:
    """Delete at most `step` outcomes that are older than `retention` seconds; how many went."""
    [[now]] = await database.read("SELECT UTC_TIMESTAMP(6)")
    return await outcomes.forget_before(
        database, from_sql(now) - timedelta(seconds=retention), step
    )


async def keep_forgetting(database: Database, retention: int, stop: asyncio.Event) -> None:
    """A background job: forget what is over, once a minute, until `stop` is set. Run it in one process at a time."""
    while not stop.is_set():
        full = await _try_step(database, retention) == STEP
        try:
            async with asyncio.timeout(BETWEEN_STEPS_SECONDS if full else REST_SECONDS):
                await stop.wait()
        except TimeoutError:
            continue


async def _try_step(database: Database, retention: int) -> int:
    try:
        gone = await forget_outcomes(database, retention)
    except Exception as error:
        if not (is_away(error) or is_transient(error)):
            raise
        log.warning("outcomes not forgotten, trying again", error=repr(error))
        return 0
    if gone:
        log.info("outcomes forgotten", count=gone)
    return gone
