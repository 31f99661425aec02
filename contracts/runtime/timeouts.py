"""Time-outs that do not blame others for our own delay.

In: how long something may take. Out: TimeoutError after that long, as with `asyncio.timeout`.
Must stay true: a process that is starved of CPU, or has thousands of requests to begin at once, may not look at its
sockets for seconds; an answer that lies there unread is no answer that did not come. So the limit is cut into slices,
and a slice counts only once the event loop has come round to it: at least `SLICES` rounds pass, each with a look at the
sockets.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

SLICES = 10


@asynccontextmanager
async def loop_fair_timeout(seconds: float) -> AsyncIterator[None]:
    """Like `asyncio.timeout(seconds)`, but never before the loop has gone round ten times. Raises TimeoutError."""
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(None) as limit:
        handle: asyncio.TimerHandle

        def wait_a_slice(left: int) -> None:
            nonlocal handle
            if left:
                handle = loop.call_later(seconds / SLICES, wait_a_slice, left - 1)
            else:
                limit.reschedule(loop.time())

        wait_a_slice(SLICES)
        try:
            yield
        finally:
            handle.cancel()
