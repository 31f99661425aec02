"""Where a connection may go: decided on the address itself, at the moment of connecting."""

import asyncio
import socket
from collections.abc import AsyncIterator

import pytest
from aiohttp.abc import AbstractResolver, ResolveResult

from contracts.webhooks.addresses import forbidden_address
from tests.integration.notify.receiver import Receiver, always
from workers.notify import sending
from workers.notify.schedule import Policy
from workers.notify.sending import Poster


class Liar(AbstractResolver):
    """A name server that gives the next of its addresses each time it is asked."""

    def __init__(self, *addresses: str) -> None:
        self._addresses = list(addresses)
        self.asked = 0

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        self.asked += 1
        address = self._addresses[min(self.asked, len(self._addresses)) - 1]
        kind = socket.AF_INET6 if ":" in address else socket.AF_INET
        return [
            ResolveResult(hostname=host, host=address, port=port, family=kind, proto=0, flags=0)
        ]

    async def close(self) -> None:
        """Nothing to close."""


@pytest.fixture
def policy() -> Policy:
    """Short patience."""
    return Policy(connect_seconds=0.3, total_seconds=2)


async def test_a_name_with_several_addresses_inside_is_told_why(
    receiver: Receiver, policy: Policy
) -> None:
    """`localhost` leads to 127.0.0.1 and ::1: the reason is given as for one address."""
    poster = Poster(policy)
    answer = await poster.post(f"http://localhost:{receiver.port}/inside", {}, "{}")
    await poster.close()
    assert answer.error == "the address may not be connected to: it is not a public address"


@pytest.mark.parametrize(
    "address", ["127.0.0.1", "::1", "::ffff:127.0.0.1", "10.0.0.1", "169.254.169.254", "0.0.0.0"]
)
async def test_a_name_that_leads_inside_is_not_connected_to(
    receiver: Receiver, policy: Policy, address: str
) -> None:
    """Whatever the name looks like: the address decides, and the receiver hears nothing."""
    poster = Poster(policy, resolver=Liar(address))
    answer = await poster.post(f"http://hooks.example.com:{receiver.port}/inside", {}, "{}")
    await poster.close()
    assert answer.status_code is None
    assert answer.error is not None
    assert answer.error.startswith("the address may not be connected to")
    assert receiver.calls["/inside"] == []


async def test_control_the_same_name_is_connected_to_where_the_setting_allows_it(
    receiver: Receiver, policy: Policy
) -> None:
    """The control of the test above: only the check stands between the two."""
    poster = Poster(policy, allow_private=True, resolver=Liar("127.0.0.1"))
    answer = await poster.post(f"http://hooks.example.com:{receiver.port}/inside", {}, "{}")
    await poster.close()
    assert answer.status_code == 204
    assert len(receiver.calls["/inside"]) == 1


async def test_a_name_that_changes_its_answer_gains_nothing(
    receiver: Receiver, policy: Policy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Public when asked first, loopback when asked again: each connection is checked for itself."""

    def all_but_one(address: str) -> str | None:
        return None if address == "127.0.0.2" else forbidden_address(address)

    # No test sends anything to a public address: 127.0.0.2 stands for one.
    monkeypatch.setattr(sending, "forbidden_address", all_but_one)
    liar = Liar("127.0.0.2", "127.0.0.1")
    poster = Poster(policy, resolver=liar)
    async for _ in _serving(_accept_and_close, "127.0.0.2", receiver.port):
        url = f"http://rebind.example.com:{receiver.port}/rebound"
        answers = [await poster.post(url, {}, "{}") for _ in range(2)]
    await poster.close()
    assert liar.asked == 2
    assert [answer.status_code for answer in answers] == [204, None]
    assert receiver.calls["/rebound"] == []


async def test_an_address_in_the_url_is_checked_too(receiver: Receiver, policy: Policy) -> None:
    """A literal needs no name server, and no way round the check."""
    poster = Poster(policy)
    urls = [receiver.url("/literal"), f"http://2130706433:{receiver.port}/literal"]
    answers = [await poster.post(url, {}, "{}") for url in urls]
    await poster.close()
    assert [answer.status_code for answer in answers] == [None, None]
    assert receiver.calls["/literal"] == []


async def test_what_is_no_http_is_a_failure_like_any_other(policy: Policy) -> None:
    """A server that hangs up, or speaks something else, gives an error in words, never an exception."""
    said = {"/": b"220 mail.example.com ESMTP\r\n"}

    async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        writer.write(said["/"])
        await writer.drain()
        writer.close()

    async for port in _serving(speak):
        poster = Poster(policy, allow_private=True)
        first = await poster.post(f"http://127.0.0.1:{port}/", {}, "{}")
        said["/"] = b""
        second = await poster.post(f"http://127.0.0.1:{port}/", {}, "{}")
        third = await poster.post("http://127.0.0.1:9/", {}, "{}")
        fourth = await poster.post(f"https://127.0.0.1:{port}/", {}, "{}")
        await poster.close()
    assert [one.status_code for one in (first, second, third, fourth)] == [None] * 4
    assert all(one.error for one in (first, second, third, fourth))


async def test_nothing_of_a_receiver_is_kept_for_the_next_call(
    receiver: Receiver, policy: Policy
) -> None:
    """Cookies are not sent back."""
    receiver.answers["/cookie"] = always(204, Set_Cookie="a=b")
    poster = Poster(policy, allow_private=True)
    for _ in range(2):
        await poster.post(receiver.url("/cookie"), {}, "{}")
    await poster.close()
    assert [("cookie" in call.headers) for call in receiver.calls["/cookie"]] == [False, False]


async def _accept_and_close(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")
    await writer.drain()
    writer.close()


async def _serving(speak: object, address: str = "127.0.0.1", port: int = 0) -> AsyncIterator[int]:
    server = await asyncio.start_server(speak, address, port)  # type: ignore[arg-type]  # a connection handler
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        await server.wait_closed()
