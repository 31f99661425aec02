"""Providers as they are: made by the command, connected with their own broker user."""

import asyncio
import contextlib
import itertools
import json
import os
import secrets
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import aio_pika
from aio_pika.abc import AbstractChannel

from contracts.messaging.topology import RATES_EXCHANGE
from contracts.runtime.times import to_wire
from tests.harness.scratch import Scratch

_serial = itertools.count(1)


@dataclass(frozen=True, slots=True)
class Ran:
    """How a command ended."""

    code: int
    out: str
    error: str

    @property
    def shown(self) -> dict[str, Any]:
        """The JSON on standard output."""
        parsed: dict[str, Any] = json.loads(self.out)
        return parsed


async def provider_command(scratch: Scratch, *arguments: str) -> Ran:
    """`scripts/provider …`, as a process of its own."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "scripts.providers",
        *arguments,
        env={**os.environ, **scratch.environment()},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, error = await process.communicate()
    assert process.returncode is not None
    return Ran(process.returncode, out.decode(), error.decode())


def new_name() -> str:
    """A name that no other test session uses: the broker's users are everybody's."""
    return f"test-{secrets.token_hex(4)}"


@contextlib.asynccontextmanager
async def provider(scratch: Scratch, *options: str) -> AsyncIterator[dict[str, Any]]:
    """A provider of its own, removed at the end; what `add` printed."""
    name = new_name()
    added = await provider_command(scratch, "add", name, *options)
    assert added.code == 0, added.error
    try:
        yield added.shown
    finally:
        await provider_command(scratch, "remove", name)


@contextlib.asynccontextmanager
async def connected(url: str) -> AsyncIterator[AbstractChannel]:
    """A channel with publisher confirms, unroutable messages raising."""
    connection = await aio_pika.connect(url, timeout=5)
    try:
        yield await connection.channel(on_return_raises=True)
    finally:
        await connection.close()


def fields(asset: str, rate: str, *, age: float = 0.0) -> dict[str, str]:
    """The body of a report observed `age` seconds ago, in USD."""
    observed = to_wire(datetime.now(UTC) - timedelta(seconds=age))
    return {"asset": asset, "currency": "USD", "rate": rate, "observedAt": observed}


def message(body: object, name: str | None, **changes: Any) -> aio_pika.Message:
    """A provider's message; `body` is bytes or becomes JSON."""
    properties: dict[str, Any] = {
        "content_type": "application/json",
        "user_id": name,
        "message_id": f"m{next(_serial)}",
        "delivery_mode": aio_pika.DeliveryMode.PERSISTENT,
    }
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return aio_pika.Message(raw, **(properties | changes))


async def publish(channel: AbstractChannel, key: str, sent: aio_pika.Message) -> None:
    """To the rates exchange, confirmed."""
    exchange = await channel.get_exchange(RATES_EXCHANGE, ensure=False)
    await exchange.publish(sent, key)
