"""Copies in this process that live for about a second, made by one reader at a time.

In: a key and how to read its value. Out: the value, at most `seconds` old when it is given out.
Must stay true: a copy's age counts from before it was read; a thousand clients at once cost one read;
a failed read is nobody's copy; the copies together weigh no more than the budget, in bytes: whoever
asks for ever different things takes others' copies, not the machine's memory.
"""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

COPY_BYTES = 256
"""What keeping a copy costs beside the value, about: key, entry, tuple."""

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Fresh(Generic[K, V]):
    """Values by key, each read at most once per `seconds`.

    weigh: the bytes of a value, without what keeping it costs (`COPY_BYTES`). budget: of all copies, in bytes.
    """

    def __init__(
        self,
        seconds: float,
        budget: int,
        weigh: Callable[[V], int],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._seconds = seconds
        self._budget, self._weigh = budget, weigh
        self._monotonic = monotonic
        self._copies: OrderedDict[K, tuple[float, V]] = OrderedDict()
        self._bytes = 0
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

    @property
    def bytes(self) -> int:
        """What the copies weigh now."""
        return self._bytes

    def drop(self, key: K) -> None:
        """Forget a copy: what it shows has changed. A read under way is not joined any more."""
        self._forget(key)
        self._reads.pop(key, None)

    def _forget(self, key: K) -> None:
        if (copy := self._copies.pop(key, None)) is not None:
            self._bytes -= self._weigh(copy[1]) + COPY_BYTES

    def _keep(self, key: K, until: float, value: V) -> None:
        """The newest goes to the end; the oldest and those that are over go from the front."""
        self._forget(key)
        weight = self._weigh(value) + COPY_BYTES
        if weight > self._budget:
            return
        self._copies[key] = (until, value)
        self._bytes += weight
        now = self._monotonic()
        while self._copies:
            oldest, (ends, _) = next(iter(self._copies.items()))
            if ends > now and self._bytes <= self._budget:
                break
            self._forget(oldest)

    async def _read(self, key: K, read: Callable[[], Awaitable[V]], until: float) -> V:
        mine = asyncio.current_task()
        try:
            value = await read()
        finally:
            current = self._reads.get(key) is mine
            if current:
                del self._reads[key]
        if current:
            self._keep(key, until, value)
        return value
