"""Copies are young, read once for all who ask at once, and gone when what they show has changed."""

import asyncio

import pytest

from gateway.caching.short_lived import Fresh


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
    fresh, source = Fresh[str, int](1.0, 10), Source()
    assert set(await asyncio.gather(*(fresh.get("a", source.read) for _ in range(1000)))) == {1}
    assert source.reads == 1


async def test_a_copy_ages_from_before_it_was_read() -> None:
    """The promise is about the data's age, not about when it arrived here."""
    clock, source = Clock(), Source()
    fresh = Fresh[str, int](1.0, 10, clock)
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
    fresh, source = Fresh[str, int](1.0, 10), Source()
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
    fresh = Fresh[str, int](1.0, 10)

    async def fails() -> int:
        raise ConnectionError("away")

    with pytest.raises(ConnectionError):
        await fresh.get("a", fails)
    assert await fresh.get("a", Source().read) == 1


async def test_it_is_bounded() -> None:
    """The oldest copy goes first."""
    fresh, source = Fresh[int, int](1.0, 2), Source()
    for key in range(3):
        await fresh.get(key, source.read)
    assert fresh.peek(0) is None
    assert fresh.peek(2) == 3
