"""Rows are forgotten when their time is over and never before; outcomes oldest first."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest

from contracts.outcomes import Outcome
from db.messages import outcomes
from db.migrate import migrate
from db.mysql.database import Database, DatabaseAway
from db.retention import (
    STEP,
    RetentionRule,
    forget_once,
    forget_outcomes,
    keep_forgetting,
    retention_rules,
)
from scripts.benching.loads.many_accounts import add_accounts
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


# One statement per row: %s is how many days ago it was over. Of each rule one row goes and one stays.
OVER: dict[str, tuple[str, str, int, int]] = {
    "dead letters": (
        "dead_letters",
        "INSERT INTO dead_letters (digest, queue, reason, headers, body, status, created_at, updated_at) "
        "SELECT UNHEX(SHA2(UUID(), 256)), 'q', 'r', '{}', '', 'DROPPED', t, t FROM (SELECT {ago} AS t) x",
        91,
        89,
    ),
    "endpoints": (
        "webhook_endpoints",
        "INSERT INTO webhook_endpoints (user_id, url, event_types, secret, status, created_at, updated_at) "
        "SELECT {user}, 'https://a.example', '[]', '', 'DELETED', t, t FROM (SELECT {ago} AS t) x",
        31,
        29,
    ),
    "webhook secrets": (
        "webhook_old_secrets",
        "INSERT INTO webhook_old_secrets (endpoint_id, secret, valid_until) "
        "SELECT 1, '', {ago} + INTERVAL 1 HOUR",
        1,
        0,
    ),
    "webhook pings": (
        "webhook_pings",
        "INSERT INTO webhook_pings (user_id, endpoint_id, created_at) SELECT {user}, 1, {ago}",
        1,
        0,
    ),
    "rates": (
        "rates",
        "INSERT INTO rates (asset, currency, source, rate, observed_at, received_at) "
        "SELECT 'BTC', 'USD', UUID(), 1, t, t FROM (SELECT {ago} AS t) x",
        31,
        29,
    ),
    "leases": (
        "leases",
        "INSERT INTO leases (kind, name, holder, incarnation, expires_at) "
        "SELECT 'shard:present', UUID(), 'h', REPEAT('0', 32), {ago}",
        2,
        0,
    ),
    "tokens": (
        "refresh_tokens",
        "INSERT INTO refresh_tokens (token_hash, family_id, expires_at, created_at) "
        "SELECT UNHEX(SHA2(UUID(), 256)), id, {ago}, {ago} FROM refresh_families",
        2,
        0,
    ),
    "sign-ins": (
        "refresh_families",
        "INSERT INTO refresh_families (id, user_id, expires_at, created_at) "
        "SELECT UNHEX(LEFT(SHA2(UUID(), 256), 32)), {user}, {ago}, {ago}",
        2,
        0,
    ),
    "failed sign-ins": (
        "account_networks",
        "INSERT INTO account_networks (user_id, network, failures, updated_at) "
        "SELECT {user}, LEFT(UUID(), 8), 3, {ago}",
        2,
        0,
    ),
    "networks": (
        "account_networks",
        "INSERT INTO account_networks (user_id, network, signed_in_at, updated_at) "
        "SELECT {user}, LEFT(UUID(), 8), {ago}, {ago}",
        401,
        399,
    ),
    "audit log addresses": (
        "audit_log_addresses",
        "INSERT INTO audit_log_addresses (entry_id, address, at) "
        "SELECT DATEDIFF(UTC_TIMESTAMP(), {ago}), '192.0.2.1', {ago}",
        91,
        89,
    ),
}
"""rule -> (table, an insert, days after which it goes, days after which it is kept)."""


@pytest.mark.parametrize("what", OVER)
async def test_what_is_over_goes_and_the_rest_stays(fresh: Database, what: str) -> None:
    """Of each kind an old row goes, one within its time stays."""
    table, insert, old, young = OVER[what]
    [user], _ = await add_accounts(fresh, ["keeper@example.test"], "!", ("USER",))
    if what == "tokens":
        await fresh.write(
            "INSERT INTO refresh_families (id, user_id, expires_at, created_at) VALUES "
            "(REPEAT('f', 16), %s, UTC_TIMESTAMP(6) + INTERVAL 9 DAY, UTC_TIMESTAMP(6))",
            user,
        )
    for days in (old, young):
        ago = f"UTC_TIMESTAMP(6) - INTERVAL {days} DAY"
        await fresh.write(insert.replace("{ago}", ago).replace("{user}", str(user)))
    [rule] = [one for one in retention_rules(2 * HOUR) if one.what == what]
    assert await rule.step(fresh, STEP) == 1
    assert await rule.step(fresh, STEP) == 0
    assert (await fresh.read(f"SELECT COUNT(*) FROM {table}"))[0][0] == 1


async def test_what_somebody_may_still_want_is_kept_for_ever(fresh: Database) -> None:
    """A dead letter that waits for a person, and a deleted endpoint with a delivery, however old they are."""
    table, insert, old, _ = OVER["dead letters"]
    ago = f"UTC_TIMESTAMP(6) - INTERVAL {10 * old} DAY"
    await fresh.write(insert.replace("{ago}", ago).replace("DROPPED", "DEAD"))
    [user], _ = await add_accounts(fresh, ["keeper@example.test"], "!", ("USER",))
    await fresh.write(OVER["endpoints"][1].replace("{ago}", ago).replace("{user}", str(user)))
    await fresh.write(
        "INSERT INTO webhook_deliveries (endpoint_id, event_id, event_type, aggregate, sequence, body, status, "
        "created_at, updated_at) SELECT id, 'e', 't', 'order:1', 1, '{}', 'FAILED', created_at, created_at "
        "FROM webhook_endpoints"
    )
    for rule in retention_rules(2 * HOUR):
        assert await rule.step(fresh, STEP) == 0, rule.what
    assert (await fresh.read(f"SELECT COUNT(*) FROM {table}"))[0][0] == 1


async def test_a_rule_that_fails_keeps_no_other_from_its_work(fresh: Database) -> None:
    """The database is away for one of them: the next still does its step."""
    await store(fresh, outcome(3))

    async def away(_: Database, __: int) -> int:
        raise DatabaseAway

    todo = [RetentionRule("broken", away), *retention_rules(2 * HOUR)]
    assert not await forget_once(fresh, todo)
    assert (await fresh.read("SELECT COUNT(*) FROM command_outcomes"))[0][0] == 0
