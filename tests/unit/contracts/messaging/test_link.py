"""A link to the broker goes on trying, whatever it meets there, on the event loop that the processes use."""

import asyncio
import contextlib
import socket
import struct
import threading
from collections.abc import Awaitable, Callable, Iterator

import pytest
import uvloop

from contracts.messaging import link
from contracts.messaging.link import Link, library_endings
from tests.harness.waiting import eventually

NOBODY = "amqp://nobody/"
Greeting = Callable[[socket.socket], None]


def hang_up(_: socket.socket) -> None:
    """Close before a word is said, as a load balancer without a living broker behind it does."""


def reset(client: socket.socket) -> None:
    """Break the connection."""
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def stammer(client: socket.socket) -> None:
    """Half a frame, then nothing more."""
    client.sendall(b"\x01\x00\x00")


def speak_http(client: socket.socket) -> None:
    """Something else listens on this port."""
    client.sendall(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")


def speak_another_version(client: socket.socket) -> None:
    """A broker that does not speak 0-9-1 says what it does speak, and closes (AMQP 0-9-1, section 4.2.2)."""
    client.sendall(b"AMQP\x00\x01\x00\x00")


@contextlib.contextmanager
def door(greeting: Greeting) -> Iterator[tuple[str, list[int]]]:
    """(URL, one entry for each who came) of a server in a thread, that greets so and closes."""
    came: list[int] = []
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = listener.accept()
                came.append(1)
                with client, contextlib.suppress(OSError):
                    greeting(client)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield f"amqp://guest:guest@127.0.0.1:{listener.getsockname()[1]}/", came
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join()


async def came_often(url: str, came: list[int]) -> None:
    """Wait until the link has come so often that every way of losing the race was among them."""
    link = Link(url, "test")
    await link.start()

    async def often() -> bool:
        return len(came) >= 10

    try:
        await eventually(often, within=5)
        assert not link.is_open
    finally:
        await link.stop()


def connecting(monkeypatch: pytest.MonkeyPatch, how: Callable[[], Awaitable[object]]) -> list[int]:
    """Let the library connect so, at once again and again; one entry for each try to reach NOBODY."""
    tries: list[int] = []

    async def connect(url: str, **_: object) -> object:
        # Links that other tests left behind try again on this loop too.
        if url == NOBODY:
            tries.append(1)
        return await how()

    monkeypatch.setattr(link, "RECONNECT_SECONDS", (0.0,))
    monkeypatch.setattr("aio_pika.connect", connect)
    return tries


@pytest.mark.parametrize("greeting", [hang_up, reset, stammer, speak_http, speak_another_version])
def test_it_tries_again(greeting: Greeting, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten times at least: no way of being turned away ends the trying."""
    monkeypatch.setattr(link, "RECONNECT_SECONDS", (0.0,))
    with (
        door(greeting) as (url, came),
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
    ):
        runner.run(came_often(url, came))


def test_an_error_that_nobody_expects_does_not_end_the_trying(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The library may raise whatever it likes: the link is opened again."""

    async def defect() -> None:
        raise KeyError("a bug of the library")

    with asyncio.Runner() as runner:
        runner.run(came_often(NOBODY, connecting(monkeypatch, defect)))


async def test_it_stops_although_the_library_swallows_the_cancellation(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A connection in the making turns it into an error of its own: the link does not begin anew for that."""

    async def swallow() -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            raise ConnectionError("the reader went") from None

    tries = connecting(monkeypatch, swallow)
    link = Link(NOBODY, "test")
    await link.start()

    async def tried() -> bool:
        return bool(tries)

    await eventually(tried)
    async with asyncio.timeout(20):
        await link.stop()
    assert len(tries) == 1


async def test_it_goes_on_although_the_library_cancels_its_calls(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A connection that could not be closed in time does so (aiormq): nobody has cancelled the link."""

    async def cancelled() -> None:
        raise asyncio.CancelledError

    await came_often(NOBODY, connecting(monkeypatch, cancelled))


async def test_what_the_library_cancels_is_an_error_of_the_connection() -> None:
    """Not a cancellation of whoever made the call."""
    call: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    call.cancel()
    with pytest.raises(ConnectionError), library_endings():
        await call


async def test_what_the_library_ends_without_a_reason_is_an_error_of_the_connection() -> None:
    """A bare Exception, when the reader of a connection came to a quiet end; anything else says what it is."""
    with pytest.raises(ConnectionError), library_endings():
        raise Exception
    with pytest.raises(KeyError), library_endings():
        raise KeyError


async def test_a_connection_that_does_not_close_is_left_behind(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With bytes unsent the library's closing ends when TCP gives up: the link does not wait for that."""
    given_up = asyncio.Event()

    class Stuck:
        """Cancelling its closing does not end it."""

        is_closed = False

        async def channel(self, **_: object) -> None:
            raise ConnectionError

        async def close(self) -> None:
            while not given_up.is_set():
                with contextlib.suppress(asyncio.CancelledError):
                    await given_up.wait()

    async def stuck() -> Stuck:
        return Stuck()

    monkeypatch.setattr(link, "CLOSE_SECONDS", 0.01)
    await came_often(NOBODY, connecting(monkeypatch, stuck))
    given_up.set()


async def test_whoever_is_cancelled_himself_is_cancelled() -> None:
    """Also in the middle of a call."""
    begun = asyncio.Event()

    async def calls() -> None:
        with library_endings():
            begun.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(calls())
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_limit_inside_is_a_timeout() -> None:
    """It cancels the task and takes that back: no error of the connection."""
    with pytest.raises(TimeoutError), library_endings():
        async with asyncio.timeout(0):
            await asyncio.Event().wait()
