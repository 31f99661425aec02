"""What a publish says when its connection breaks is what happened: never "surely not sent" of one that arrived.

The publisher stands behind a fault proxy; whether the message arrived is read off the queue.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from urllib.parse import quote, urlsplit

import aiohttp
import pytest
from aio_pika.abc import AbstractChannel

from contracts.messaging.link import BrokerAway, Link
from contracts.messaging.publisher import (
    Coalescer,
    Properties,
    Publisher,
    PublishFailed,
    PublishUnknown,
)
from scripts.proving.proxy import Proxy, Trap
from scripts.proving.wires import basic_ack, basic_publish
from tests.harness.command_client import CommandClient
from tests.harness.scratch import Scratch
from tests.harness.waiting import eventually

QUEUE = "parcel"


@dataclass(slots=True)
class Post:
    """A publisher behind a proxy, a queue to publish to, a look into it."""

    proxy: Proxy
    link: Link
    publisher: Publisher
    management: str
    channel: AbstractChannel

    async def send(self, body: bytes = b"parcel") -> None:
        """Publish to the default exchange."""
        await self.publisher.publish("amq.direct", QUEUE, body, Properties("text/plain"))

    async def arrived(self) -> int:
        """How many messages lie on the queue."""
        queue = await self.channel.declare_queue(QUEUE, passive=True)
        return queue.declaration_result.message_count or 0


@pytest.fixture
async def post(scratch: Scratch, client: CommandClient) -> AsyncIterator[Post]:
    """An empty queue and a publisher whose patience is short."""
    channel = client.publisher._link.channel
    queue = await channel.declare_queue(QUEUE, durable=True)
    await queue.bind("amq.direct", QUEUE)
    await queue.purge()
    async with Proxy(scratch.amqp_url) as proxy:
        link = Link(proxy.address, "post")
        await link.start(wait=20)
        publisher = Publisher(link, confirm_seconds=8)
        yield Post(proxy, link, publisher, scratch.amqp_management_url, channel)
        await link.stop()


async def _cut(post: Post) -> None:
    post.proxy.cut()


async def _closed_by_an_operator(post: Post) -> None:
    vhost = quote(urlsplit(post.proxy.url).path.lstrip("/"), safe="")
    async with aiohttp.ClientSession() as session:

        async def close() -> bool:
            async with session.get(f"{post.management}/api/vhosts/{vhost}/connections") as answer:
                mine = [
                    one["name"]
                    for one in await answer.json()
                    if one.get("client_properties", {}).get("connection_name") == "post"
                ]
            for name in mine:
                url = f"{post.management}/api/connections/{quote(name, safe='')}"
                async with session.delete(url):
                    pass
            return bool(mine)

        await eventually(close, within=20, every=0.2)


async def _stopped(post: Post) -> None:
    await post.link.stop()


async def _channel_closed(post: Post) -> None:
    # Publishing to an exchange that is not there closes the channel: everything in flight on it is in the dark.
    with suppress(PublishFailed, BrokerAway):
        await post.publisher.publish("nowhere", QUEUE, b"x", Properties("text/plain"))


ENDS: dict[str, Callable[[Post], Awaitable[None]]] = {
    "cut": _cut,
    "closed by an operator": _closed_by_an_operator,
    "stopped": _stopped,
    "channel closed": _channel_closed,
}


@pytest.mark.parametrize("end", ENDS)
async def test_a_message_that_arrived_is_never_said_to_be_unsent(post: Post, end: str) -> None:
    """Its confirm is lost, then the connection ends in this way: the end is unknown, and said to be."""
    trap = post.proxy.set(Trap("down", basic_ack, "drop"))
    sending = asyncio.create_task(post.send())

    async def lost() -> bool:
        return trap.caught == 1

    await eventually(lost)
    await ENDS[end](post)
    with pytest.raises(PublishUnknown):
        await sending
    assert await post.arrived() == 1


async def test_a_message_cut_off_on_its_way_is_unknown_too(post: Post) -> None:
    """The publisher cannot tell that the broker never saw it."""
    post.proxy.set(Trap("up", basic_publish, "cut"))
    with pytest.raises(PublishUnknown):
        await post.send()
    assert await post.arrived() == 0


async def test_without_a_connection_it_is_surely_not_sent(post: Post) -> None:
    """BrokerAway at once; when the broker is back, publishing works again by itself."""
    post.proxy.turn("cut")

    async def away() -> bool:
        return not post.link.is_open

    await eventually(away)
    with pytest.raises(BrokerAway):
        await post.send()
    post.proxy.turn("pass")

    async def works() -> bool:
        with suppress(BrokerAway, PublishFailed):
            await post.send()
            return True
        return False

    assert await eventually(works)
    assert await post.arrived() == 1


@pytest.mark.parametrize("end", ENDS)
async def test_nobody_waits_for_ever_for_a_batch_whose_connection_ended(
    post: Post, end: str
) -> None:
    """Forty commands are on their way or wait behind: each is told an end, and the lane works afterwards."""
    coalescer = Coalescer(post.publisher, "amq.direct")
    trap = post.proxy.set(Trap("down", basic_ack, "drop"))
    sending = [asyncio.create_task(coalescer.submit(QUEUE, b"{}")) for _ in range(40)]

    async def lost() -> bool:
        return trap.caught == 1

    await eventually(lost)
    await ENDS[end](post)
    async with asyncio.timeout(30):
        told = await asyncio.gather(*sending, return_exceptions=True)
    assert all(one is None or isinstance(one, PublishFailed | BrokerAway) for one in told), told
    assert any(isinstance(one, PublishUnknown) for one in told)
