"""The fault proxy itself: passes everything, breaks what it is told to, counts what it caught."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from scripts.proving.proxy import Proxy, Trap
from scripts.proving.wires import COMMIT, Splitter, basic_ack, basic_publish
from tests.harness.waiting import eventually

QUERY = b"\x07\x00\x00\x00\x03COMMIT"
OTHER = b"\x09\x00\x00\x00\x03SELECT 1"
FRAME = b"\x01\x00\x01\x00\x00\x00\x04\x00\x3c\x00\x50\xce"
PUBLISH = b"\x01\x00\x01\x00\x00\x00\x04\x00\x3c\x00\x28\xce"


@pytest.mark.parametrize("size", [1, 2, 3, 5, 100])
@pytest.mark.parametrize(
    ("wire", "packets"),
    [
        ("mysql", [OTHER, QUERY, QUERY]),
        ("amqp", [b"AMQP\x00\x00\x09\x01", FRAME, PUBLISH, FRAME]),
        ("amqp", [FRAME, PUBLISH]),
    ],
)
def test_packets_come_out_whole_however_they_come_in(
    wire: str, packets: list[bytes], size: int
) -> None:
    """In slices of any size: the same packets, every byte of them."""
    stream = b"".join(packets)
    splitter = Splitter(wire)  # type: ignore[arg-type]  # one of the three
    found: list[bytes] = []
    for start in range(0, len(stream), size):
        found += splitter.feed(stream[start : start + size])
    assert found == packets


def test_each_packet_is_known_for_what_it_is() -> None:
    """A COMMIT, a confirm or ack, a publish; nothing else."""
    assert [COMMIT(packet) for packet in (QUERY, OTHER, FRAME)] == [True, False, False]
    assert [basic_ack(packet) for packet in (FRAME, PUBLISH, QUERY)] == [True, False, False]
    assert [basic_publish(packet) for packet in (FRAME, PUBLISH, QUERY)] == [False, True, False]


class Server:
    """Says everything back, writes down what it hears, hangs up when it is told to."""

    def __init__(self) -> None:
        self.url = ""
        self.heard = bytearray()
        self.hang_up = asyncio.Event()

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""
        ending = asyncio.create_task(self._end(writer))
        while data := await reader.read(1000):
            self.heard += data
            writer.write(data)
        ending.cancel()
        writer.close()

    async def _end(self, writer: asyncio.StreamWriter) -> None:
        await self.hang_up.wait()
        writer.close()


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    """Somebody behind the proxy."""
    made = Server()
    listener = await asyncio.start_server(made.talk, "127.0.0.1", 0)
    host, port = listener.sockets[0].getsockname()
    made.url = f"mysql://user:secret@{host}:{port}/x"
    yield made
    listener.close()


@pytest.fixture
def echo(server: Server) -> str:
    return server.url


async def say(proxy: Proxy, data: bytes, expect: int) -> bytes:
    """What comes back of this, at most `expect` bytes; less when the connection breaks."""
    reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
    writer.write(data)
    try:
        return await reader.readexactly(expect)
    except (asyncio.IncompleteReadError, ConnectionError) as error:
        return getattr(error, "partial", b"")
    finally:
        writer.transport.abort()


@pytest.mark.parametrize("mode", ["pass", "delay", "slices"])
async def test_what_passes_is_whole(echo: str, mode: str) -> None:
    """Slow or sliced, nothing is missing."""
    async with Proxy(echo, mode=mode) as proxy:  # type: ignore[arg-type]  # one of the modes
        assert proxy.address == f"mysql://user:secret@127.0.0.1:{proxy.port}/x"
        assert await say(proxy, OTHER + QUERY, len(OTHER + QUERY)) == OTHER + QUERY


@pytest.mark.parametrize(
    ("action", "direction", "comes_back"),
    [("drop", "up", OTHER), ("cut", "up", b""), ("cut answer", "up", b""), ("drop", "down", OTHER)],
)
async def test_a_trap_catches_its_packet_once(
    echo: str, action: str, direction: str, comes_back: bytes
) -> None:
    """The first COMMIT is lost as the trap says, the next connection's passes; the count says one."""
    async with Proxy(echo) as proxy:
        trap = proxy.set(Trap(direction, COMMIT, action))  # type: ignore[arg-type]  # words of theirs
        assert await say(proxy, QUERY + OTHER, len(OTHER)) == comes_back
        assert trap.caught == 1
        assert await say(proxy, QUERY, len(QUERY)) == QUERY
        assert trap.caught == 1


async def test_cut_refuses_until_it_is_healed(echo: str) -> None:
    """Open connections break, new ones too; afterwards all is well."""
    async with Proxy(echo) as proxy:
        proxy.turn("cut")
        assert await say(proxy, QUERY, len(QUERY)) == b""
        proxy.turn("pass")
        assert await say(proxy, QUERY, len(QUERY)) == QUERY


async def test_a_black_hole_swallows_and_gives_back(echo: str) -> None:
    """Nothing comes while it lasts; what was sent meanwhile arrives afterwards, as after a partition."""
    async with Proxy(echo, mode="hole") as proxy:
        waiting = asyncio.create_task(say(proxy, QUERY, len(QUERY)))
        done, _ = await asyncio.wait({waiting}, timeout=0.2)
        assert not done
        proxy.turn("pass")
        assert await waiting == QUERY


async def test_a_black_hole_swallows_the_end_of_a_connection_as_well(server: Server) -> None:
    """A server that hangs up is not heard: its client finds out when the way is there again."""
    async with Proxy(server.url) as proxy:
        reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
        writer.write(OTHER)
        await reader.readexactly(len(OTHER))
        proxy.turn("hole")
        server.hang_up.set()
        gone = asyncio.create_task(reader.read())
        done, _ = await asyncio.wait({gone}, timeout=0.2)
        assert not done
        proxy.turn("pass")
        assert await gone == b""
        writer.close()


async def test_a_mute_server_hears_and_nobody_hears_its_answer(server: Server) -> None:
    """What went up has arrived; what comes back is there when it may speak again."""
    async with Proxy(server.url, mode="mute") as proxy:
        waiting = asyncio.create_task(say(proxy, QUERY, len(QUERY)))

        async def heard() -> bool:
            return bytes(server.heard) == QUERY

        await eventually(heard)
        done, _ = await asyncio.wait({waiting}, timeout=0.2)
        assert not done
        proxy.turn("pass")
        assert await waiting == QUERY
