"""Timeouts: as strict as a plain one for others' delay, and forgiving for our own."""

import asyncio

import pytest

from contracts.runtime.timeouts import loop_fair_timeout


def be_busy(seconds: float) -> None:
    """Keep the event loop from looking at anything."""
    loop = asyncio.get_running_loop()
    end = loop.time() + seconds
    while loop.time() < end:
        pass


async def test_what_never_comes_ends_in_a_timeout() -> None:
    """Waiting for nothing raises TimeoutError."""
    with pytest.raises(TimeoutError):
        async with loop_fair_timeout(0.05):
            await asyncio.Event().wait()


async def test_what_comes_in_time_is_returned() -> None:
    """A block that ends is not disturbed, then or later."""
    async with loop_fair_timeout(0.05):
        result = await asyncio.sleep(0, "done")
    assert result == "done"
    await asyncio.sleep(0.1)


async def test_an_answer_that_we_were_too_busy_to_read_still_counts() -> None:
    """The answer is there, the loop was blocked for longer than the limit: it is read, not timed out."""
    server = await asyncio.start_server(lambda _, w: w.write(b"answer\n"), "127.0.0.1", 0)
    async with server:
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        async with loop_fair_timeout(0.2):
            asyncio.get_running_loop().call_soon(be_busy, 0.5)
            assert await reader.readline() == b"answer\n"
        writer.close()
        await writer.wait_closed()


async def test_a_plain_timeout_would_have_lost_it() -> None:
    """The control: the same delay of our own ends `asyncio.timeout`, so the test above can fail."""
    answer = asyncio.Event()

    async def answered() -> None:
        for _ in range(5):
            await asyncio.sleep(0)
            be_busy(0.1)
        answer.set()

    async def wait_for_it() -> None:
        task = asyncio.create_task(answered())
        try:
            await answer.wait()
        finally:
            await task

    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.2):
            await wait_for_it()
    answer.clear()
    async with loop_fair_timeout(0.2):
        await wait_for_it()


async def test_cancellation_from_outside_is_no_timeout() -> None:
    """Whoever cancels the task is obeyed."""

    async def work() -> None:
        async with loop_fair_timeout(10):
            await asyncio.Event().wait()

    task = asyncio.create_task(work())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
