"""Many who ask at once share a query; each hears only of his own."""

import asyncio
from collections.abc import Sequence

import pytest

from gateway.caching.batched_reads import Batched


class Table:
    """Rows 0 to 99; remembers the queries, and lets them through one by one."""

    def __init__(self) -> None:
        self.queries: list[list[int]] = []
        self.gate = asyncio.Semaphore(1000)
        self.broken = False

    async def read(self, keys: Sequence[int]) -> dict[int, str]:
        self.queries.append(list(keys))
        await self.gate.acquire()
        if self.broken:
            raise ConnectionError("away")
        return {key: str(key) for key in keys if key < 100}


async def test_a_thousand_for_one_key_are_one_query() -> None:
    """A rush on one ticket type that nobody asked for before."""
    table = Table()
    batched = Batched(table.read)
    answers = await asyncio.gather(*(batched.find([7]) for _ in range(1000)))
    assert answers == [{7: "7"}] * 1000
    assert table.queries == [[7]]


async def test_who_comes_meanwhile_shares_the_next_one() -> None:
    """One query under way at a time, each key once in it; what does not exist is left out."""
    table = Table()
    table.gate = asyncio.Semaphore(0)
    batched = Batched(table.read)
    first = asyncio.create_task(batched.find([1]))
    while not table.queries:
        await asyncio.sleep(0)
    others = [asyncio.create_task(batched.find([n, 2, 500])) for n in (2, 3, 4)]
    await asyncio.sleep(0)
    table.gate.release()
    assert await first == {1: "1"}
    table.gate.release()
    assert await asyncio.gather(*others) == [{2: "2"}, {3: "3", 2: "2"}, {4: "4", 2: "2"}]
    assert table.queries == [[1], [2, 500, 3, 4]]


async def test_a_batch_is_bounded() -> None:
    """No query grows without end."""
    table = Table()
    batched = Batched(table.read, batch=10)
    assert len(await batched.find(range(25))) == 25
    assert [len(query) for query in table.queries] == [10, 10, 5]


async def test_a_failure_reaches_its_caller_and_the_next_query_is_a_fresh_one() -> None:
    """Nothing of it is kept."""
    table = Table()
    batched = Batched(table.read)
    table.broken = True
    with pytest.raises(ConnectionError):
        await batched.find([1])
    table.broken = False
    assert await batched.find([1]) == {1: "1"}


async def test_closing_leaves_nobody_waiting() -> None:
    """At the end of the process."""
    table = Table()
    table.gate = asyncio.Semaphore(0)
    batched = Batched(table.read)
    asked = asyncio.create_task(batched.find([1]))
    while not table.queries:
        await asyncio.sleep(0)
    await batched.close()
    with pytest.raises(asyncio.CancelledError):
        await asked
