"""Thousands of mutants against a whole EventHub: no 5xx, no refusal without its document, the books still right."""

import asyncio
import itertools
import json
from collections import Counter
from collections.abc import AsyncIterator

import aiohttp
import pytest
from yarl import URL

from db.audit import audit
from db.mysql.database import Database
from gateway.documents.pages import render_document
from gateway.routes import TABLE
from tests.harness.accounts import person
from tests.harness.scratch import scratch_servers
from tests.harness.system import System, running
from tests.integration.gateway.mutants import Mutant, mutants

DOCUMENT = json.loads(render_document(TABLE).body)
AT_ONCE = 16


@pytest.fixture(scope="module")
async def victim() -> AsyncIterator[System]:
    """Places of its own: admins among the senders may ruin them."""
    async with scratch_servers() as place, running(place, log_level="error") as system:
        yield system


async def send(system: System, mutant: Mutant, token: str | None) -> tuple[int, str]:
    """(status, what is wrong with the answer or nothing)."""
    headers = mutant.headers | ({"Authorization": f"Bearer {token}"} if token else {})
    url = URL(system.url + mutant.path, encoded=True)
    timeout = aiohttp.ClientTimeout(total=40)
    async with system.session.request(
        mutant.method, url, headers=headers, data=mutant.body, timeout=timeout
    ) as answer:
        body = await answer.read()
        if answer.status >= 500:
            return answer.status, f"{answer.status}"
        if answer.status >= 400 and mutant.method != "HEAD":
            if answer.content_type != "application/problem+json":
                return answer.status, answer.content_type
            document = json.loads(body)
            if (
                document["status"] != answer.status
                or not document["code"]
                or not document["instance"]
            ):
                return answer.status, str(document)
        return answer.status, ""


async def storm(system: System, seed: int, count: int) -> Counter[int]:
    """Send them, some at a time, from nobody and every role; how many of each status."""
    own_database = await Database.connect(system.scratch.mysql_url, size=2)
    accounts = [
        await person(own_database, role) for role in ("USER", "ORGANIZER", "ADMIN", "PROVIDER")
    ]
    accounts.append(await person(own_database, "USER", "ORGANIZER", "ADMIN", "PROVIDER"))
    tokens = itertools.cycle([None, *(one.token for one in accounts)])
    queue = iter(itertools.islice(mutants(seed, TABLE, DOCUMENT), count))
    seen: Counter[int] = Counter()

    async def sender() -> None:
        for mutant in queue:
            status, wrong = await send(system, mutant, next(tokens))
            assert not wrong, f"{wrong}: {mutant}"
            seen[status] += 1

    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(AT_ONCE):
                group.create_task(sender())
        (await audit(own_database)).require_ok()
    finally:
        await own_database.close()
    assert sum(seen.values()) == count
    return seen


async def test_thousands_of_mutated_requests(victim: System) -> None:
    """Enough to meet every call with most of what hurts; some get through, most are refused."""
    seen = await storm(victim, 17, 1500)
    assert {200, 400, 401, 403, 404} <= set(seen)


@pytest.mark.full
@pytest.mark.timeout(1800)
async def test_a_storm_of_mutants(victim: System) -> None:
    """20,000 of them."""
    await storm(victim, 18, 20_000)
