"""Copies are young, read once for all who ask at once, and gone when what they show has changed."""

import asyncio

import pytest

from gateway.caching.short_lived import COPY_BYTES, Fresh

ROOM = 10 * COPY_BYTES
"""For nearly ten copies."""


def light(_: object) -> int:
    """A value that weighs one byte."""
    return 1


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Source:
    """Something that takes a while to read; `gate` lets readers through."""

    def __init__(self) -> None:
        self.reads = 0
        self.gate = asyncio.Event()
        self.gate.set()

    async def read(self) -> int:
        self.reads += 1
        mine = self.reads
        await self.gate.wait()
        return mine


async def test_many_at_once_cost_one_read() -> None:
    """Single flight: a thousand clients of a hot event are one query."""
    fresh, source = Fresh[str, int](1.0, ROOM, light), Source()
    assert set(await asyncio.gather(*(fresh.get("a", source.read) for _ in range(1000)))) == {1}
    assert source.reads == 1


async def test_a_copy_ages_from_before_it_was_read() -> None:
    """The promise is about the data's age, not about when it arrived here."""
    clock, source = Clock(), Source()
    fresh = Fresh[str, int](1.0, ROOM, light, clock)
    source.gate.clear()
    first = asyncio.create_task(fresh.get("a", source.read))
    await asyncio.sleep(0)
    clock.now = 0.9
    source.gate.set()
    assert await first == 1
    assert fresh.peek("a") == 1
    clock.now = 1.0
    assert fresh.peek("a") is None
    assert await fresh.get("a", source.read) == 2


async def test_what_changed_meanwhile_is_read_again() -> None:
    """A read that began before the change is not kept after it."""
    fresh, source = Fresh[str, int](1.0, ROOM, light), Source()
    source.gate.clear()
    before = asyncio.create_task(fresh.get("a", source.read))
    await asyncio.sleep(0)
    fresh.drop("a")
    source.gate.set()
    assert await before == 1
    assert await fresh.get("a", source.read) == 2
    assert fresh.peek("a") == 2


async def test_a_failure_reaches_all_callers_and_is_not_kept() -> None:
    """The next one asks again."""
    fresh = Fresh[str, int](1.0, ROOM, light)

    async def fails() -> int:
        raise ConnectionError("away")

    with pytest.raises(ConnectionError):
        await fresh.get("a", fails)
    assert await fresh.get("a", Source().read) == 1


async def test_copies_have_a_budget_in_bytes() -> None:
    """The oldest go first, as many as the newest needs; what is heavier than all of it is not kept."""
    fresh = Fresh[str, bytes](1.0, 1000 + 3 * COPY_BYTES, len)

    async def get(key: str, size: int) -> None:
        async def read() -> bytes:
            return b"x" * size

        assert len(await fresh.get(key, read)) == size

    for key in ("a", "b", "c"):
        await get(key, 300)
    assert fresh.bytes == 900 + 3 * COPY_BYTES
    await get("d", 600)
    assert [fresh.peek(key) is not None for key in "abcd"] == [False, False, True, True]
    await get("huge", 2000)
    assert [fresh.peek(key) is not None for key in ("c", "d", "huge")] == [True, True, False]
    fresh.drop("d")
    assert fresh.bytes == 300 + COPY_BYTES


async def test_copies_that_are_over_are_given_back() -> None:
    """With the next one that is kept, not only when the budget is used up."""
    clock = Clock()
    fresh = Fresh[str, int](1.0, ROOM, light, clock)
    for key in ("a", "b"):
        await fresh.get(key, Source().read)
    clock.now = 1.0
    await fresh.get("c", Source().read)
    assert fresh.bytes == 1 + COPY_BYTES
