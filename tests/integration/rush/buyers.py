"""Buyers who do not give up: each wants one ticket and asks again with the same Idempotency-Key until told yes or no.

In: a gateway that may be down, slow or killed half-way. Out: for each buyer the order's id, or SOLD_OUT.
Must stay true: a buyer ends only with a 201 or a 409 SOLD_OUT; any other refusal that a retry cannot cure is an error.
"""

import asyncio
import secrets
from dataclasses import dataclass, field

import aiohttp

PATIENCE_SECONDS = 90.0
BREATH_SECONDS = 0.05
AGAIN = frozenset({202, 429, 500, 503})
AT_ONCE = 60


@dataclass(slots=True)
class Results:
    """How the buyers ended."""

    orders: dict[int, int] = field(default_factory=dict)
    """Buyer (number) -> order id."""
    sold_out: set[int] = field(default_factory=set)
    retries: int = 0
    changed: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def orders_reach(self, count: int) -> None:
        """Wait until so many buyers have their order."""
        async with self.changed:
            await self.changed.wait_for(lambda: len(self.orders) >= count)


async def buy_all(url: str, tokens: list[str], ticket_type: int, results: Results) -> None:
    """Let every buyer buy, sixty at a time, and wait for all of them."""
    some = asyncio.Semaphore(AT_ONCE)
    timeout = aiohttp.ClientTimeout(total=15)
    async with aiohttp.ClientSession(timeout=timeout) as session, asyncio.TaskGroup() as group:
        for number, token in enumerate(tokens):
            group.create_task(_buy(session, url, token, ticket_type, number, results, some))


async def _buy(
    session: aiohttp.ClientSession,
    url: str,
    token: str,
    ticket_type: int,
    number: int,
    results: Results,
    some: asyncio.Semaphore,
) -> None:
    key = secrets.token_hex(12)
    async with some, asyncio.timeout(PATIENCE_SECONDS):
        while not await _ask(session, url, token, ticket_type, number, key, results):
            results.retries += 1
            await asyncio.sleep(BREATH_SECONDS)


async def _ask(
    session: aiohttp.ClientSession,
    url: str,
    token: str,
    ticket_type: int,
    number: int,
    key: str,
    results: Results,
) -> bool:
    """Ask once; whether the buyer knows now."""
    try:
        async with session.post(
            f"{url}/api/orders",
            json={"items": [{"ticketTypeId": ticket_type, "quantity": 1}]},
            headers={
                "Authorization": f"Bearer {token}",
                "Prefer": "wait=5",
                "Idempotency-Key": key,
            },
        ) as answer:
            status, body = answer.status, await answer.json(content_type=None)
    except (aiohttp.ClientError, TimeoutError):
        return False
    if status in AGAIN:
        return False
    async with results.changed:
        if status == 201:
            results.orders[number] = body["id"]
        else:
            assert (status, body["code"]) == (409, "SOLD_OUT"), body
            results.sold_out.add(number)
        results.changed.notify_all()
    return True
