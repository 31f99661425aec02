"""What a reply looks like on the connection: one head, one body, and what HTTP asks for around them."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from email.utils import parsedate_to_datetime

import pytest
from aiohttp import web

from gateway.http.replies import empty_reply, raw_reply

Answer = Callable[[], web.Response]
Say = Callable[[str], Awaitable[tuple[str, dict[str, str], bytes]]]


@asynccontextmanager
async def connected(answer: Answer) -> AsyncIterator[Say]:
    """A connection to a server that gives this answer to everything: say(request) -> what comes back."""

    async def handle(_: web.BaseRequest) -> web.StreamResponse:
        return answer()

    runner = web.ServerRunner(web.Server(handle), access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    reader, writer = await asyncio.open_connection(*runner.addresses[0])

    async def say(request: str) -> tuple[str, dict[str, str], bytes]:
        writer.write(request.encode())
        async with asyncio.timeout(20):
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            status, *lines = head.split("\r\n")[:-2]
            headers = {name.lower(): value for name, value in (one.split(": ", 1) for one in lines)}
            assert len(headers) == len(lines), "a header twice"
            silent = request.startswith("HEAD") or "content-length" not in headers
            body = b"" if silent else await reader.readexactly(int(headers["content-length"]))
            if headers.get("connection") == "close":
                assert await reader.read() == b"", "more than was announced"
            return status, headers, body

    try:
        yield say
    finally:
        writer.close()
        await runner.cleanup()


def hello() -> web.Response:
    return raw_reply(b'{"a":1}', 201, {"Location": "/x"})


GET = "GET / HTTP/1.1\r\nHost: x\r\n\r\n"


async def test_it_is_whole_and_the_connection_stays() -> None:
    """Status, own headers, length, date; then the next one on the same connection."""
    async with connected(hello) as say:
        for _ in range(2):
            status, headers, body = await say(GET)
            assert status == "HTTP/1.1 201 Created"
            assert body == b'{"a":1}'
            assert headers["content-type"] == "application/json"
            assert headers["location"] == "/x"
            assert parsedate_to_datetime(headers["date"]).tzinfo is not None
            assert not {"server", "connection", "transfer-encoding"} & set(headers)


async def test_head_has_the_length_of_what_it_does_not_send() -> None:
    """RFC 9110 section 9.3.2; what follows on the connection is the next answer."""
    async with connected(hello) as say:
        status, headers, _ = await say(GET.replace("GET", "HEAD"))
        assert (status, headers["content-length"]) == ("HTTP/1.1 201 Created", "7")
        status, _, body = await say(GET)
        assert (status, body) == ("HTTP/1.1 201 Created", b'{"a":1}')


@pytest.mark.parametrize("status", [204, 304])
async def test_what_has_no_body_has_no_length(status: int) -> None:
    """RFC 9110 section 8.6: neither, and the connection goes on."""
    async with connected(lambda: empty_reply(status, {"ETag": '"1"'})) as say:
        for _ in range(2):
            line, headers, _ = await say(GET)
            assert line.startswith(f"HTTP/1.1 {status} ")
            assert headers["etag"] == '"1"'
            assert not {"content-length", "content-type"} & set(headers)


async def test_an_empty_body_of_another_status_has_length_zero() -> None:
    """Or a client would wait for the end of the connection."""
    async with connected(lambda: empty_reply(202)) as say:
        assert (await say(GET))[1]["content-length"] == "0"


async def test_it_says_when_it_is_the_last() -> None:
    """Asked for by the client, or by us."""
    async with connected(hello) as say:
        assert (await say(GET.replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n")))[1][
            "connection"
        ] == "close"

    def last() -> web.Response:
        reply = hello()
        reply.force_close()
        return reply

    async with connected(last) as say:
        assert (await say(GET))[1]["connection"] == "close"


async def test_an_old_client_is_told_that_the_connection_stays() -> None:
    """HTTP/1.0 closes unless both say otherwise."""
    old = GET.replace("HTTP/1.1", "HTTP/1.0")
    async with connected(hello) as say:
        keep = old.replace("\r\n\r\n", "\r\nConnection: keep-alive\r\n\r\n")
        for _ in range(2):
            status, headers, _ = await say(keep)
            assert (status, headers["connection"]) == ("HTTP/1.0 201 Created", "keep-alive")
        assert (await say(old))[0] == "HTTP/1.0 201 Created"


@pytest.mark.parametrize("value", ["a\r\nSet-Cookie: x=1", "a\nb", "a\x00b"])
async def test_a_header_cannot_smuggle_another(value: str) -> None:
    """A value with a line break never leaves: the connection is cut instead."""
    async with connected(lambda: raw_reply(b"{}", 200, {"X-Id": value})) as say:
        with pytest.raises(asyncio.IncompleteReadError) as cut:
            await say(GET)
        assert cut.value.partial == b""
