"""Ending background tasks for certain.

In: tasks. Out: they have ended. Must stay true: one lost cancellation keeps nobody waiting. `asyncio.wait_for` of
Python 3.11 returns its result when it is cancelled in the very moment that it has one (python/cpython issue 86296), and
aiomysql and aio-pika connect inside it: a loop that was cancelled then would go round for ever.
"""

import asyncio
from typing import Any

AGAIN_SECONDS = 0.5


async def end(*tasks: "asyncio.Task[Any]") -> None:
    """Cancel until all of them have ended; what they raise is not told."""
    while pending := [task for task in tasks if not task.done()]:
        for task in pending:
            task.cancel()
        await asyncio.wait(pending, timeout=AGAIN_SECONDS)
    # An error that nobody asks for would be logged as lost.
    await asyncio.gather(*tasks, return_exceptions=True)
