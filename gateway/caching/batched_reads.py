"""Reading for many at once: whoever asks while a query is under way shares the next one.

In: keys of many callers. Out: the values of those that exist, to each his own.
Must stay true: one query is under way at a time, for at most `batch` keys, each key once; an error is
told to everybody whose keys were in that query and to nobody else.
"""

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Iterable, Mapping, Sequence
from typing import Generic, TypeVar

from contracts.runtime.tasks import end

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Batched(Generic[K, V]):
    """Values by key, read in batches without a timer."""

    def __init__(
        self, read: Callable[[Sequence[K]], Awaitable[Mapping[K, V]]], batch: int = 1000
    ) -> None:
        self._read = read
        self._batch = batch
        self._asked: dict[K, asyncio.Future[V | None]] = {}
        self._task: asyncio.Task[None] | None = None

    async def find(self, keys: Iterable[K]) -> dict[K, V]:
        """The values that exist. Raises what the read raises."""
        futures = {key: self._ask(key) for key in keys}
        found: dict[K, V] = {}
        for key, future in futures.items():
            value = await asyncio.shield(future)
            if value is not None:
                found[key] = value
        return found

    async def close(self) -> None:
        """Give up what is under way."""
        if self._task is not None:
            await end(self._task)

    def _ask(self, key: K) -> "asyncio.Future[V | None]":
        future = self._asked.get(key)
        if future is None:
            future = asyncio.get_running_loop().create_future()
            # Several may wait for it, or nobody any more: an error that nobody asks for is not logged as lost.
            future.add_done_callback(lambda done: done.cancelled() or done.exception())
            self._asked[key] = future
            if self._task is None:
                self._task = asyncio.create_task(self._answer(), name="batched read")
        return future

    async def _answer(self) -> None:
        try:
            while self._asked:
                taken = dict(list(self._asked.items())[: self._batch])
                for key in taken:
                    del self._asked[key]
                await self._answer_batch(taken)
        finally:
            self._task = None

    async def _answer_batch(self, taken: "dict[K, asyncio.Future[V | None]]") -> None:
        try:
            found = await self._read(list(taken))
        except Exception as error:
            for future in taken.values():
                future.set_exception(error)
            return
        except BaseException:
            for future in taken.values():
                future.cancel()
            raise
        for key, future in taken.items():
            future.set_result(found.get(key))
