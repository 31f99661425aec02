"""Bytes on a socket: what no HTTP library would send.

In: a system and bytes. Out: the answer's status, headers and body, read to the end of the connection or of the body.
"""

import asyncio
import json
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

READ_SECONDS = 20


@dataclass(frozen=True, slots=True)
class Raw:
    """One answer. Header names in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def problem(self) -> dict[str, Any]:
        """The problem document. Raises AssertionError when it is none."""
        assert self.headers.get("content-type") == "application/problem+json", self
        document: dict[str, Any] = json.loads(self.body)
        assert {"type", "title", "status", "code", "detail", "instance"} <= set(document)
        assert document["status"] == self.status
        assert document["instance"] == self.headers["x-request-id"]
        return document


async def send(url: str, *pieces: bytes) -> Raw:
    """Write the pieces one after the other; read one answer."""
    parts = urlsplit(url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    try:
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
        async with asyncio.timeout(READ_SECONDS):
            return await read(reader)
    finally:
        writer.close()


async def read(reader: asyncio.StreamReader) -> Raw:
    """One answer. Raises IncompleteReadError when the line is cut instead."""
    head = await reader.readuntil(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    status = int(first.split(" ")[1])
    headers = {n.lower(): v.strip() for n, _, v in (one.partition(":") for one in lines) if n}
    if status == 100:
        return await read(reader)
    length = int(headers.get("content-length", 0))
    return Raw(status, headers, await reader.readexactly(length))


def post(path: str, body: bytes, *headers: str, content_type: str = "application/json") -> bytes:
    """A POST with a right Content-Length."""
    lines = [
        f"POST {path} HTTP/1.1",
        "Host: x",
        f"Content-Type: {content_type}",
        f"Content-Length: {len(body)}",
        *headers,
    ]
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body
