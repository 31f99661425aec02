"""The yardstick is sound: the baseline that EventHub is compared with sells every ticket once, in both its kinds."""

import asyncio
import secrets

import pytest

from db.mysql.database import Database
from gateway.accounts.tokens import Tokens, parse_keys
from scripts.benching.baselines.baseline_tables import (
    BaselineCount,
    baseline_tables,
    count_baseline,
)
from scripts.benching.loads.many_accounts import add_accounts
from scripts.benching.loads.wrk import WrkLoad, put_load
from scripts.benching.systems.children import serving
from tests.harness.scratch import JWT_KEYS, Scratch


async def users(database: Database, count: int) -> list[tuple[int, str]]:
    """(id, token) of new buyers."""
    emails = [f"baseline-{secrets.token_hex(6)}@example.test" for _ in range(count)]
    ids, since = await add_accounts(database, emails, "!", ("USER",))
    tokens = Tokens(parse_keys(JWT_KEYS), 3600)
    return [(user_id, tokens.issue(user_id, ("USER",), since)) for user_id in ids]


@pytest.mark.parametrize("kind", ["literal", "patient"])
async def test_a_baseline_sells_what_there_is_and_no_more(
    kind: str, scratch: Scratch, database: Database
) -> None:
    """Forty tickets, more clients than that, two processes: forty orders, then SOLD_OUT, each with its event."""
    environment = {"REDIS_URL": scratch.redis_url, "EVENTHUB_JWT_KEYS": JWT_KEYS}
    arguments = ["--patient"] if kind == "patient" else []
    async with (
        baseline_tables(scratch.mysql_url, events=1, quota=40) as tables,
        serving(
            "scripts.benching.baselines.baseline",
            arguments,
            environment | {"MYSQL_URL": tables.url},
            processes=2,
        ) as (port, _),
    ):
        load = WrkLoad(
            f"http://127.0.0.1:{port}",
            clients=50,
            seconds=30,
            limit=100,
            tokens=await users(database, 20),
            ticket_types=tables.ticket_types,
            retry=5 if kind == "literal" else 0,
        )
        answers = await asyncio.to_thread(put_load, load)
        counted = await count_baseline(tables.url)
    assert answers.accepted == 40
    assert answers.counts["409 SOLD_OUT"] == 60
    assert answers.failed == 0
    assert counted == BaselineCount(orders=40, tickets_sold=40, tickets_missing=40, outbox=40)
    assert counted.sound


def test_an_oversold_baseline_is_called_unsound() -> None:
    """A ticket sold without stock, or an order without its event, disqualifies the yardstick."""
    assert BaselineCount(3, 3, 3, 3).sound
    assert not BaselineCount(3, 3, 2, 3).sound
    assert not BaselineCount(3, 3, 3, 2).sound
