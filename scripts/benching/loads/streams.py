"""Idle clients: server-sent-event streams on commands that nobody decides.

In: a gateway, its signing secret, how many. Out: the streams are open while the block runs.
Must stay true: each stream is a connection and a command of its own, accepted just now by the look of its id, so that
the gateway waits for it as for any other; all are open (their first bytes have come) before the block begins.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime

import aiohttp
import click

from contracts.command_ids import CommandId, CommandIds
from contracts.commands import KINDS, PlaceOrder
from scripts.benching.loads.crowd import allow_connections
from scripts.benching.loads.users import LoadUser
from scripts.benching.systems.system import System

AT_ONCE = 200
OPEN_SECONDS = 60.0


@asynccontextmanager
async def idle_streams(system: System, users: list[LoadUser], count: int) -> AsyncIterator[None]:
    """Hold `count` streams open. Raises click.ClickException when one of them does not open, or has ended early."""
    allow_connections(count)
    ids = CommandIds(system.secret())
    some = asyncio.Semaphore(AT_ONCE)
    async with AsyncExitStack() as stack:
        # A client that never gives up of itself: only the server's pings pass.
        session = await stack.enter_async_context(
            aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=0),
                timeout=aiohttp.ClientTimeout(total=None, connect=OPEN_SECONDS),
            )
        )
        try:
            opened = await asyncio.gather(
                *(_open(session, system, ids, users[n % len(users)], some) for n in range(count))
            )
        except (aiohttp.ClientError, TimeoutError) as error:
            raise click.ClickException(f"a stream does not open: {error!r}") from None
        readers = [asyncio.create_task(_read(answer)) for answer in opened]
        try:
            yield
            if any(reader.done() for reader in readers):
                raise click.ClickException("a stream that should have been idle has ended")
        finally:
            for reader in readers:
                reader.cancel()
            await asyncio.gather(*readers, return_exceptions=True)


async def _open(
    session: aiohttp.ClientSession,
    system: System,
    ids: CommandIds,
    user: LoadUser,
    some: asyncio.Semaphore,
) -> aiohttp.ClientResponse:
    async with some:
        fresh = CommandId(ids.fresh(), datetime.now(UTC), KINDS[PlaceOrder.TYPE])
        sealed = ids.seal(fresh, user.id)
        answer = await session.get(
            f"{system.gateway_url}/api/commands/{sealed}/events",
            headers={"Authorization": f"Bearer {user.token}"},
        )
        answer.raise_for_status()
        await answer.content.readany()
        return answer


async def _read(answer: aiohttp.ClientResponse) -> None:
    """Take the pings away until the stream ends."""
    while await answer.content.readany():
        pass
