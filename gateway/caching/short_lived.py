"""Copies in this process that live for less than a second, made by one reader at a time.

In: a key and how to read its value. Out: the value, at most `seconds` old when it is given out.
Must stay true: a copy's age counts from before it was read; a thousand clients at once cost one read;
a failed read is nobody's copy; no more than `size` copies are kept.
"""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Fresh(Generic[K, V]):
    """Values by key, each read at most once per `seconds`."""

    def __init__(
        self, seconds: float, size: int, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._seconds = seconds
        self._size = size
        self._monotonic = monotonic
        self._copies: OrderedDict[K, tuple[float, V]] = OrderedDict()
        self._reads: dict[K, asyncio.Task[V]] = {}

    def peek(self, key: K) -> V | None:
        """The copy if it is fresh, None when it is missing or old."""
        copy = self._copies.get(key)
        return copy[1] if copy is not None and copy[0] > self._monotonic() else None

    async def get(self, key: K, read: Callable[[], Awaitable[V]]) -> V:
        """The fresh copy, or what `read` gives. Raises what `read` raises."""
        copy = self._copies.get(key)
        if copy is not None and copy[0] > self._monotonic():
            return copy[1]
        task = self._reads.get(key)
        if task is None:
            until = self._monotonic() + self._seconds
            task = asyncio.create_task(self._read(key, read, until))
            # All who asked may be gone when it fails: nobody is left to be told.
            task.add_done_callback(lambda done: done.cancelled() or done.exception())
            self._reads[key] = task
        return await asyncio.shield(task)

    def drop(self, key: K) -> None:
        """Forget a copy: what it shows has changed. A read under way is not joined any more."""
        self._copies.pop(key, None)
        self._reads.pop(key, None)

    async def _read(self, key: K, read: Callable[[], Awaitable[V]], until: float) -> V:
        mine = asyncio.current_task()
        try:
            value = await read()
        finally:
            current = self._reads.get(key) is mine
            if current:
                del self._reads[key]
        if current:
            self._copies[key] = (until, value)
            self._copies.move_to_end(key)
            if len(self._copies) > self._size:
                self._copies.popitem(last=False)
        return value
