"""Each kind of process has its own broker user: a system sells with them, and everything else is refused."""

import asyncio
import contextlib
import secrets
from collections.abc import AsyncIterator, Iterator, Mapping
from typing import Any
from urllib.parse import quote, urlsplit

import aio_pika
import aiohttp
import aiormq.exceptions
import pytest
from aiormq.exceptions import ChannelAccessRefused
from pydantic import SecretStr

from contracts.messaging.accounts import declare_all, make_users
from contracts.messaging.rights import BROKER_RIGHTS
from contracts.messaging.topology import Topology, topology
from contracts.runtime.settings import Settings
from db.mysql.database import Database
from tests.harness import system as harness
from tests.harness.accounts import person
from tests.harness.sales import items, sale
from tests.harness.scratch import Scratch, scratch_servers
from tests.harness.system import running
from tests.harness.waiting import eventually

REFUSED = (aiormq.exceptions.ChannelClosed, aiormq.exceptions.ConnectionClosed)
CONSUMES = {
    "gateway": (),
    "inventory": ("inventory.0", "inventory.3.returns", "catalogue"),
    "order": ("order", "order.events"),
    "payment": ("payment", "payment.events"),
    "quote": ("quote", "quote.rates"),
    "admission": ("admission",),
    "notify": ("notify",),
    "relay": ("dead",),
}
RETRIES = tuple(f"eventhub.retry.{seconds}s" for seconds in (1, 5, 30, 120))
PUBLISHES = {
    "gateway": ("eventhub.commands",),
    "relay": ("eventhub.events", "eventhub.news", "eventhub.dead", *RETRIES),
}
"""By hand: what the architecture says, not what the rights say. Others: the ladder and the dead letters."""


@pytest.fixture(scope="module")
async def place() -> AsyncIterator[Scratch]:
    """Scratch places of this module's own."""
    async with scratch_servers() as places:
        yield places


@pytest.fixture(scope="module")
def everything(place: Scratch) -> Topology:
    """All that EventHub declares."""
    settings = place.settings()
    return topology(settings.shards, settings.queue_length)


@pytest.fixture(scope="module")
async def users(place: Scratch, everything: Topology) -> AsyncIterator[Mapping[str, str]]:
    """The AMQP URL of each kind, with its rights; the topology is declared, as set-up does."""
    parts = urlsplit(place.amqp_url)
    host, prefix = parts.netloc.rpartition("@")[2], f"t_{secrets.token_hex(6)}"
    urls = {
        kind: parts._replace(netloc=f"{prefix}_{kind}:{secrets.token_hex(8)}@{host}").geturl()
        for kind in BROKER_RIGHTS
    }
    await declare_all(place.amqp_url, everything)
    await make_users(place.amqp_management_url, urls)
    yield urls
    async with aiohttp.ClientSession() as session:
        for kind in urls:
            address = f"{place.amqp_management_url}/api/users/{quote(f'{prefix}_{kind}')}"
            await session.delete(address)


@contextlib.asynccontextmanager
async def channel_of(connection: aio_pika.abc.AbstractConnection) -> AsyncIterator[Any]:
    """A bare channel."""
    channel = await connection.channel(publisher_confirms=False)
    try:
        yield await channel.get_underlay_channel()
    finally:
        with contextlib.suppress(Exception):
            await channel.close()


async def is_refused(connection: Any, method: str, arguments: Mapping[str, Any]) -> bool:
    """Whether the broker says ACCESS_REFUSED."""
    async with channel_of(connection) as channel:
        closed: asyncio.Future[BaseException | None] = asyncio.get_running_loop().create_future()

        def note(done: "asyncio.Future[Any]") -> None:
            if not closed.done():
                closed.set_result(done.exception())

        channel.closing.add_done_callback(note)
        try:
            await getattr(channel, method)(**arguments)
            # A publish is not answered: ask something harmless behind it, on the same channel.
            await channel.basic_qos(prefetch_count=1)
        except ChannelAccessRefused:
            return True
        except REFUSED:
            return isinstance(await closed, ChannelAccessRefused)
    return False


def attempts(everything: Topology, kind: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """All that this kind must not."""
    publishes = PUBLISHES.get(kind, ("eventhub.dead", *RETRIES))
    names = {exchange.name for exchange in everything.exchanges}
    for exchange in everything.exchanges:
        declared = {"exchange": exchange.name, "exchange_type": exchange.kind, "durable": True}
        yield "exchange_declare", declared
        yield "exchange_delete", {"exchange": exchange.name}
    for name in ("", "amq.direct", "amq.topic", *sorted(names - set(publishes))):
        yield "basic_publish", {"exchange": name, "routing_key": "order", "body": b"{}"}
    for queue in everything.queues:
        whole = {"queue": queue.name, "durable": True, "arguments": queue.arguments}
        yield "queue_declare", whole
        yield "queue_delete", {"queue": queue.name}
        bound = {"queue": queue.name, "exchange": "eventhub.events", "routing_key": "#"}
        yield "queue_bind", bound
        yield "queue_unbind", bound
        if queue.name not in CONSUMES[kind] and not (
            kind == "inventory" and queue.name.startswith("inventory.")
        ):
            yield "basic_get", {"queue": queue.name}
            yield "queue_purge", {"queue": queue.name}
            yield "basic_consume", {"queue": queue.name, "consumer_callback": _nothing}
    yield "queue_declare", {"queue": "mine"}
    yield "exchange_declare", {"exchange": "mine"}


async def _nothing(_: object) -> None:
    """A consumer that is never reached."""


@pytest.mark.parametrize("kind", sorted(BROKER_RIGHTS))
async def test_everything_else_is_refused(
    everything: Topology, users: Mapping[str, str], kind: str
) -> None:
    """Declare, delete, bind, publish, read: whatever is not this kind's own."""
    connection = await aio_pika.connect(users[kind])
    async with connection:
        done = [
            (method, arguments)
            for method, arguments in attempts(everything, kind)
            if not await is_refused(connection, method, arguments)
        ]
    assert done == []


@pytest.mark.parametrize("kind", sorted(BROKER_RIGHTS))
async def test_its_own_is_not(users: Mapping[str, str], kind: str) -> None:
    """The control: reading its queues and writing to its exchanges is allowed."""
    connection = await aio_pika.connect(users[kind])
    async with connection:
        for queue in CONSUMES[kind]:
            asked = {"queue": queue, "consumer_callback": _nothing}
            assert not await is_refused(connection, "basic_consume", asked), queue
        for exchange in PUBLISHES.get(kind, ("eventhub.dead", *RETRIES)):
            sent = {"exchange": exchange, "routing_key": "nowhere", "body": b"{}"}
            assert not await is_refused(connection, "basic_publish", sent), exchange


async def test_a_system_sells_with_narrow_users(
    place: Scratch, users: Mapping[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Gateway and workers, each as its own user, find the topology declared: bought, cancelled, back on sale."""

    def own(settings: Settings, process: str) -> Settings:
        kind = process.rpartition("-")[0]
        return settings.model_copy(
            update={
                "amqp_url": SecretStr(users[kind]),
                "mysql_url": SecretStr(place.narrow[kind]),
                "topology": "expect",
                "amqp_management_url": None,
            }
        )

    monkeypatch.setattr(harness, "own_account", own)
    database = await Database.connect(place.mysql_url, size=1)
    async with running(place) as system:
        organizer, buyer = await person(database, "ORGANIZER"), await person(database)
        sold = await sale(system, organizer, 2)
        api = system.api(buyer)
        made = await api.post("/api/orders", items((sold.ticket_type, 2)))
        assert made.status == 201, made.body
        assert (await api.post(f"/api/orders/{made.body['id']}/cancel")).status == 200

        async def back() -> bool:
            shown = await api.get(f"/api/ticket-types/{sold.ticket_type}")
            return bool(shown.body["available"] == 2)

        await eventually(back, within=20)
    await database.close()
