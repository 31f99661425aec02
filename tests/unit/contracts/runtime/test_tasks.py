"""Background tasks end, also when a library has lost the first cancellation."""

import asyncio

from contracts.runtime.tasks import end


async def deaf(times: int, begun: asyncio.Event) -> None:
    """A loop that loses so many cancellations, as one that is just connecting does."""
    while True:
        begun.set()
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            if not times:
                raise
            times -= 1


async def test_a_lost_cancellation_is_said_again() -> None:
    """Told once it would go round for ever."""
    begun = asyncio.Event()
    task = asyncio.create_task(deaf(2, begun))
    await begun.wait()
    await end(task)
    assert task.cancelled()


async def test_what_has_ended_already_is_fine() -> None:
    """Also by an error, which is nobody's news any more."""

    async def fails() -> None:
        raise ValueError

    task = asyncio.create_task(fails())
    await asyncio.wait({task})
    await end(task)
    assert task.done()
