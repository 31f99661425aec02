"""One attempt: sign, connect to an address that may be connected to, post, read a little of the answer.

In: a delivery, its endpoint, its secrets. Out: an `ReceiverResponse`; never an exception for anything a receiver does.
Must stay true: the address is checked on the socket that is about to connect, so a name that changes its answer gains
nothing; no redirect is followed, no cookie kept, no proxy asked, no answer read beyond its bound or unpacked.
"""

import os
import socket
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

import aiohttp
from aiohttp.abc import AbstractResolver
from standardwebhooks.webhooks import Webhook

from contracts.webhooks.addresses import forbidden_address
from workers.notify.schedule import Policy, ReceiverResponse, parse_retry_after

KEEPALIVE_SECONDS = 2.0
"""Shorter than any server's: a kept connection that the receiver closes just now would cost a retry."""
USER_AGENT = "EventHub-Webhooks/1"

AddrInfo = tuple[int | socket.AddressFamily, int | socket.SocketKind, int, str, Sequence[object]]


class ForbiddenAddress(OSError):
    """The name leads to an address that nothing may be sent to."""


def guarded_socket(info: AddrInfo) -> socket.socket:
    """A socket for this very address. Raises ForbiddenAddress unless the address is public."""
    family, kind, protocol, _, address = info
    if reason := forbidden_address(str(address[0])):
        # The same text for each address of a name: only then does the first error reach the caller.
        raise ForbiddenAddress(f"it {reason}")
    return socket.socket(family, kind, protocol)


def signed_headers(
    secrets: Sequence[str], message_id: str, at: datetime, body: str
) -> dict[str, str]:
    """The three headers of Standard Webhooks; one signature per secret, the newest first."""
    signatures = [Webhook(secret).sign(message_id, at, body) for secret in secrets]
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": " ".join(signatures),
    }


class Poster:
    """The HTTP client of all attempts of a process."""

    def __init__(
        self,
        policy: Policy,
        *,
        allow_private: bool = False,
        resolver: AbstractResolver | None = None,
    ) -> None:
        self._policy = policy
        # Names are asked for anew at each connection; that is cheap, and the check stands behind it anyway.
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                limit=0,
                use_dns_cache=False,
                keepalive_timeout=KEEPALIVE_SECONDS,
                resolver=resolver,
                socket_factory=None if allow_private else guarded_socket,
            ),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(
                total=policy.total_seconds, sock_connect=policy.connect_seconds
            ),
            auto_decompress=False,
            trust_env=False,
            max_line_size=4096,
            max_field_size=4096,
        )

    async def close(self) -> None:
        """Close every connection."""
        await self._session.close()

    async def post(self, url: str, headers: Mapping[str, str], body: str) -> ReceiverResponse:
        """One attempt, however it ends."""
        try:
            async with self._session.post(
                url,
                data=body.encode(),
                headers={
                    "Content-Type": "application/json",
                    "User-Agent": USER_AGENT,
                    **headers,
                },
                allow_redirects=False,
            ) as response:
                await self._read_a_little(response)
                return _answer(response)
        except TimeoutError:
            return ReceiverResponse(None, "no answer in time")
        except (aiohttp.ClientError, OSError, ValueError) as error:
            return ReceiverResponse(None, _reason(error))

    async def _read_a_little(self, response: aiohttp.ClientResponse) -> None:
        # Read to its end, a connection can be used again; a longer answer costs the connection.
        try:
            rest = self._policy.answer_bytes_max
            while rest > 0:
                piece = await response.content.read(rest)
                if not piece:
                    return
                rest -= len(piece)
            response.close()
        except (aiohttp.ClientError, TimeoutError, OSError):
            # The status line has come: what the receiver says after it changes nothing.
            response.close()


def _answer(response: aiohttp.ClientResponse) -> ReceiverResponse:
    retry_after = parse_retry_after(response.headers.get("Retry-After"), datetime.now(UTC))
    error = None
    if 300 <= response.status < 400:
        error = f"answered {response.status}: redirects are not followed"
    return ReceiverResponse(response.status, error, retry_after)


def _reason(error: BaseException) -> str:
    """Why no answer came, in words that tell the owner what to do and nothing of our network."""
    inner = error.os_error if isinstance(error, aiohttp.ClientConnectorError) else error
    if isinstance(inner, ForbiddenAddress):
        return f"the address may not be connected to: {inner}"
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return "the host name has no address"
    if isinstance(error, aiohttp.ClientSSLError):
        return "the TLS certificate or handshake was not accepted"
    if isinstance(error, aiohttp.ClientConnectorError):
        number = inner.errno if isinstance(inner, OSError) else None
        return f"no connection ({os.strerror(number).lower()})" if number else "no connection"
    if isinstance(error, aiohttp.ServerDisconnectedError | ConnectionError):
        return "the connection ended before an answer"
    return f"no valid HTTP answer ({type(error).__name__})"
