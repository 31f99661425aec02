"""Who never reads, never finishes, or opens too much: closed in time, at little cost, and nobody else is harmed."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import pytest

from db.mysql.database import Database
from tests.harness.accounts import person
from tests.harness.sales import sale
from tests.harness.scratch import Scratch, scratch_servers
from tests.harness.system import System, running
from tests.harness.waiting import eventually
from tests.integration.gateway.raw import Raw, read, send

ALIVE = b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n"
COUNTED: dict[str, Any] = {
    "limits_off_for": "",
    "limit_address": "1000000/s",
    "limit_user": "1000000/s",
}


@contextlib.asynccontextmanager
async def opened(
    system: System,
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """A connection of one's own."""
    parts = urlsplit(system.url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port, limit=1024)
    try:
        yield reader, writer
    finally:
        writer.transport.abort()


async def closed(system: System, reason: str) -> float:
    """How many connections the gateway has closed for this reason."""
    start = f'eventhub_connections_closed_total{{reason="{reason}"}}'
    lines = [one for one in (await system.metrics()).splitlines() if one.startswith(start)]
    return sum(float(one.split()[-1]) for one in lines)


async def test_who_never_reads_is_let_go(
    system: System, own_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Hundreds of answers asked for in one go and none read: cut, and what waited for its client is gone."""
    monkeypatch.setattr("contracts.runtime.overrides.http_connections.SLOW_SECONDS", 0.3)
    owner = await person(own_database, "USER", "ORGANIZER")
    sold = await sale(system, owner, 10)
    patched = await system.api(owner).patch(
        f"/api/events/{sold.event_id}", {"description": "d" * 10_000}
    )
    assert patched.status == 200
    ask = f"GET /api/events/{sold.event_id} HTTP/1.1\r\nHost: x\r\n\r\n".encode()
    async with opened(system) as (reader, writer):
        before = await closed(system, "slow reader")
        # More than the kernel's buffers of both sides hold.
        for _ in range(2000):
            writer.write(ask)

        async def cut() -> bool:
            return await closed(system, "slow reader") > before

        await eventually(cut, within=20)
        # What lies in the kernel's buffers, and then the end: not all that was asked for.
        got = 0
        with contextlib.suppress(ConnectionError):
            async with asyncio.timeout(20):
                while piece := await reader.read(65_536):
                    got += len(piece)
        assert got < 2000 * 10_000
    assert (await send(system.url, ALIVE)).status == 200


async def test_who_reads_slowly_but_reads_is_served(
    system: System, own_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same, read piece by piece over many times the period in which progress is expected."""
    monkeypatch.setattr("contracts.runtime.overrides.http_connections.SLOW_SECONDS", 0.2)
    owner = await person(own_database, "USER", "ORGANIZER")
    sold = await sale(system, owner, 10)
    await system.api(owner).patch(f"/api/events/{sold.event_id}", {"description": "d" * 10_000})
    ask = f"GET /api/events/{sold.event_id} HTTP/1.1\r\nHost: x\r\n\r\n".encode()
    async with opened(system) as (reader, writer):
        for _ in range(300):
            writer.write(ask)
        answers = [await read_long(reader) for _ in range(300)]
    assert {one.status for one in answers} == {200}


async def read_long(reader: asyncio.StreamReader) -> Raw:
    """One answer, by a reader whose buffer is small."""
    reader._limit = 2**20  # type: ignore[attr-defined]  # a head fits; reading pauses as it did
    return await read(reader)


async def test_a_later_head_that_is_never_finished_is_closed(
    system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a good request half another one: the time for a head counts for each."""
    monkeypatch.setattr("contracts.runtime.overrides.http_connections.HEAD_SECONDS", 0.3)
    async with opened(system) as (reader, writer):
        writer.write(ALIVE)
        assert (await read(reader)).status == 200
        writer.write(b"GET /livez HTTP/1.1\r\nHost: x\r\nX-Slow: ")
        async with asyncio.timeout(10):
            assert await reader.read() == b""


async def test_a_body_that_takes_longer_than_a_head_may_is_no_head(
    system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A request whose head is there has the time of a body; the connection goes on afterwards."""
    monkeypatch.setattr("contracts.runtime.overrides.http_connections.HEAD_SECONDS", 0.2)
    body = b'{"email": "a@example.com", "password": "x"}'
    head = b"POST /api/auth/login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    async with opened(system) as (reader, writer):
        writer.write(ALIVE)
        assert (await read(reader)).status == 200
        writer.write(head + b"Content-Length: %d\r\n\r\n" % len(body))
        for byte in body:
            writer.write(bytes([byte]))
            await writer.drain()
            await asyncio.sleep(0.01)
        assert (await read(reader)).status == 401
        writer.write(ALIVE)
        assert (await read(reader)).status == 200


@pytest.mark.parametrize("unfinished", [True, False])
async def test_a_head_has_a_size(system: System, unfinished: bool) -> None:
    """Over 32 KiB of headers, each of them allowed: 400 and the connection is closed, finished or not."""
    before = await closed(system, "large head")
    lines = b"".join(b"X-%d: %s\r\n" % (n, b"a" * 4000) for n in range(9))
    head = b"GET /livez HTTP/1.1\r\nHost: x\r\n" + lines + (b"" if unfinished else b"\r\n")
    async with opened(system) as (reader, writer):
        writer.write(head)
        answer = await read(reader)
        assert (answer.status, answer.problem["code"]) == (400, "INVALID")
        async with asyncio.timeout(10):
            assert await reader.read() == b""
    assert await closed(system, "large head") == before + 1


async def test_a_refused_large_body_is_still_answered(system: System) -> None:
    """What follows a refused head is a body, not another head: the client sees its 413."""
    head = b"POST /api/auth/login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    async with opened(system) as (reader, writer):
        writer.write(head + b"Content-Length: 200000\r\n\r\n")
        writer.write(b"a" * 200_000)
        assert (await read(reader)).status == 413


async def test_an_address_has_so_many_connections(own_scratch: Scratch) -> None:
    """The sixth of five is told 429 and closed; one that is closed makes room; exempt networks are not counted."""
    async with (
        running(own_scratch, workers=(), connections_per_address=5, **COUNTED) as system,
        contextlib.AsyncExitStack() as stack,
    ):
        held = [await stack.enter_async_context(opened(system)) for _ in range(5)]
        for reader, writer in held:
            writer.write(ALIVE)
            assert (await read(reader)).status == 200
        async with opened(system) as (reader, _):
            assert (await reader.readline()).startswith(b"HTTP/1.1 429 ")
        assert await closed(system, "too many") == 1
        held[0][1].transport.abort()

        async def room() -> bool:
            async with opened(system) as (reader, writer):
                writer.write(ALIVE)
                return b" 200 " in await reader.readline()

        await eventually(room)
    async with (
        running(own_scratch, workers=(), connections_per_address=1) as system,
        opened(system) as (one, first),
        opened(system) as (other, second),
    ):
        for reader, writer in ((one, first), (other, second)):
            writer.write(ALIVE)
            assert (await read(reader)).status == 200


async def test_an_account_has_so_many_event_streams() -> None:
    """The third of two is 429 with Retry-After; another account has its own."""
    times = {"startTime": "2030-01-01T18:00:00Z", "endTime": "2030-01-01T23:00:00Z"}
    async with (
        scratch_servers() as places,  # nobody decides here: a stream lasts
        running(places, workers=(), streams_per_user=2) as system,
        aiohttp.ClientSession() as session,
    ):
        accounts = await Database.connect(places.mysql_url, size=1)
        one, other = await person(accounts, "ORGANIZER"), await person(accounts, "ORGANIZER")
        await accounts.close()

        async def command(who: object) -> str:
            made = await system.api(who).post("/api/events", {"name": "x", **times}, wait=None)  # type: ignore[arg-type]  # a person
            assert made.status == 202
            return f"{system.url}{made.headers['Location']}/events"

        mine, theirs = await command(one), await command(other)
        headers = {"Authorization": f"Bearer {one.token}"}
        streams = [await session.get(mine, headers=headers) for _ in range(2)]
        assert [stream.status for stream in streams] == [200, 200]
        async with session.get(mine, headers=headers) as refused:
            assert refused.status == 429, await refused.text()
            assert refused.headers["Retry-After"] == "15"
        async with session.get(
            theirs, headers={"Authorization": f"Bearer {other.token}"}
        ) as stranger:
            assert stranger.status == 200
        streams[0].close()
        streams[1].close()
