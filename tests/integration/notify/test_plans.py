"""Who may hear a batch of events: asked of the indexes, however many accounts and endpoints there are."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from db.mysql.database import Database
from db.webhooks import endpoints
from scripts.benching.loads.many_accounts import add_accounts
from tests.harness.scratch import scratch_servers

ACCOUNTS = 4000
BUYERS = 100


@dataclass
class Noting:
    """A database that remembers what it was asked."""

    database: Database
    asked: list[tuple[str, tuple[Any, ...]]] = field(default_factory=list)

    async def read(self, sql: str, *parameters: Any) -> Any:
        """As Database.read."""
        self.asked.append((sql, parameters))
        return await self.database.read(sql, *parameters)


@pytest.fixture(scope="module")
async def crowded() -> AsyncIterator[tuple[Database, list[int]]]:
    """A database with thousands of accounts, an endpoint for each of the first half, two admins; the ids."""
    async with scratch_servers() as scratch:
        database = await Database.connect(scratch.mysql_url)
        addresses = [f"plan-{n}@example.com" for n in range(ACCOUNTS)]
        ids, _ = await add_accounts(database, addresses[2:], "x", ["USER"])
        admins, _ = await add_accounts(database, addresses[:2], "x", ["USER", "ADMIN"])
        ids = [*admins, *ids]
        await database.write(
            "INSERT INTO webhook_endpoints (user_id, url, event_types, secret, status, created_at, updated_at) "
            "SELECT id, 'https://example.com/', '[]', 'x', 'ACTIVE', UTC_TIMESTAMP(6), UTC_TIMESTAMP(6) "
            "FROM users WHERE id < %s OR id IN (%s, %s)",
            ids[ACCOUNTS // 2],
            *admins,
        )
        for table in ("users", "user_roles", "webhook_endpoints"):
            await database.read(f"ANALYZE TABLE {table}")
        yield database, ids
        await database.close()


async def read_whole(database: Database, asked: list[tuple[str, tuple[Any, ...]]]) -> list[str]:
    """Plans that read a table or an index from end to end; `roles` has four rows."""
    bad = []
    for sql, parameters in asked:
        for row in await database.read(f"EXPLAIN FORMAT=TRADITIONAL {sql}", *parameters):
            text = [str(column) for column in row]
            tables = {"webhook_endpoints", "users", "user_roles", "e", "u", "m"}
            if {"ALL", "index"} & set(text) and tables & set(text):
                bad.append(f"{sql} -> {text}")
    return bad


async def test_listeners_are_found_by_index(crowded: tuple[Database, list[int]]) -> None:
    """A hundred buyers without endpoints: the admins alone; a hundred with: they and the admins. No scan."""
    database, ids = crowded
    noting = Noting(database)
    strangers = await endpoints.listeners(noting, ids[-BUYERS:])  # type: ignore[arg-type]  # reads alone
    assert {one.user_id for one in strangers} == {*ids[:2]}
    known = await endpoints.listeners(noting, ids[2 : 2 + BUYERS])  # type: ignore[arg-type]  # reads alone
    assert {one.user_id for one in known} == {*ids[: 2 + BUYERS]}
    assert len(noting.asked) == 4
    assert await read_whole(database, noting.asked) == []


async def test_control_a_scan_is_seen(crowded: tuple[Database, list[int]]) -> None:
    """The control: a question without an index is named."""
    scan = ("SELECT id FROM webhook_endpoints WHERE url LIKE %s", ("%x%",))
    assert len(await read_whole(crowded[0], [scan])) == 1
