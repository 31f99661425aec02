"""Waiting for a condition with a deadline, instead of sleeping."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")


async def eventually(
    look: Callable[[], Awaitable[T]], *, within: float = 15.0, every: float = 0.02
) -> T:
    """What `look` returns once it is truthy and raises no AssertionError. Raises AssertionError after `within` s."""
    deadline = asyncio.get_running_loop().time() + within
    while True:
        try:
            found = await look()
            reason: object = f"last seen: {found!r}"
        except AssertionError as error:
            found, reason = None, error
        if found:
            return found
        if asyncio.get_running_loop().time() > deadline:
            raise AssertionError(f"not within {within} s; {reason}")
        await asyncio.sleep(every)
