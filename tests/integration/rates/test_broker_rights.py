"""What a provider's broker user must not: everything on every exchange and queue, save to publish its own rates.

A provider's is the only kind of user that EventHub makes on the broker (scripts/broker_users.py).
"""

from collections.abc import AsyncIterator, Iterator
from typing import Any
from urllib.parse import quote, urlsplit, urlunsplit

import aio_pika
import aiohttp
import aiormq.exceptions
import pytest
from aiormq.exceptions import ChannelAccessRefused

from contracts.messaging.quorum_probe import PROBE_ARGUMENTS, PROBE_QUEUE
from contracts.messaging.topology import (
    RATES_EXCHANGE,
    RATES_QUEUE,
    Queue,
    Topology,
    topology,
)
from db.mysql.database import Database
from tests.harness.rates import SEED, priced
from tests.harness.scratch import Scratch
from tests.harness.system import System
from tests.harness.waiting import eventually
from tests.integration.rates.broker import connected, fields, message, provider, publish
from tests.integration.rates.test_rates_http import asset

REFUSED = (aiormq.exceptions.ChannelClosed, aiormq.exceptions.ConnectionClosed)
PULSE = Queue(PROBE_QUEUE, PROBE_ARGUMENTS)
BROKER_S_OWN = ("amq.direct", "amq.fanout", "amq.headers", "amq.match", "amq.topic")
Attempt = tuple[str, dict[str, Any]]
"""A method of AMQP and its arguments."""


@pytest.fixture(scope="module")
async def acme(scratch: Scratch, system: System) -> AsyncIterator[dict[str, Any]]:
    """A provider; the topology exists, because EventHub runs."""
    async with provider(scratch) as added:
        yield added


@pytest.fixture(scope="module")
def everything(system: System) -> Topology:
    """All that EventHub declares."""
    return topology(system.settings.shards, system.settings.queue_length)


def on_exchanges(everything: Topology, name: str) -> Iterator[Attempt]:
    """Declare, delete, bind and unbind each; publish to each but the one that is for rates."""
    for exchange in everything.exchanges:
        yield "exchange_declare", {"exchange": exchange.name, "exchange_type": exchange.kind}
        yield "exchange_delete", {"exchange": exchange.name}
        for method in ("exchange_bind", "exchange_unbind"):
            yield method, {"destination": RATES_EXCHANGE, "source": exchange.name}
            yield method, {"destination": exchange.name, "source": RATES_EXCHANGE}
    ours = {exchange.name for exchange in everything.exchanges} - {RATES_EXCHANGE}
    for exchange_name in ("", *BROKER_S_OWN, *ours):
        for key in (f"rates.{name}.BTC", *(queue.name for queue in everything.queues)):
            yield "basic_publish", {"exchange": exchange_name, "routing_key": key, "body": b"{}"}
    yield "exchange_declare", {"exchange": "mine"}


def on_queues(everything: Topology) -> Iterator[Attempt]:
    """Declare, delete, empty, read, consume, bind and unbind each, a gateway's own as well."""
    for queue in (*everything.queues, Queue("news.gateway-1", {}), PULSE):
        whole = {"queue": queue.name, "durable": True, "arguments": queue.arguments}
        yield "queue_declare", whole
        for method in ("queue_delete", "queue_purge", "basic_get"):
            yield method, {"queue": queue.name}
        yield "basic_consume", {"queue": queue.name, "consumer_callback": _nothing}
        for exchange in (RATES_EXCHANGE, "amq.topic"):
            for method in ("queue_bind", "queue_unbind"):
                yield method, {"queue": queue.name, "exchange": exchange, "routing_key": "#"}
    yield "queue_declare", {"queue": "mine"}
    yield "queue_declare", {"queue": "mine", "arguments": {"x-dead-letter-exchange": ""}}


async def _nothing(_: object) -> None:
    """Never called: nobody may consume."""


async def test_every_exchange_and_queue_refuses_a_provider(
    acme: dict[str, Any], everything: Topology, scratch: Scratch, database: Database
) -> None:
    """403 for each method on each of them; nothing is made, bound or gone; its own rates are taken."""
    before = await _shape(scratch)
    allowed = []
    connection = await aio_pika.connect(acme["amqpUrl"], timeout=5)
    async with connection:
        for method, how in (*on_exchanges(everything, acme["name"]), *on_queues(everything)):
            channel = await (await connection.channel()).get_underlay_channel()
            try:
                await getattr(channel, method)(**how)
            except ChannelAccessRefused:
                continue
            allowed.append((method, how))
    assert allowed == []
    assert await _shape(scratch) == before
    await _its_own_rates_are_taken(acme, database)


async def test_other_keys_names_and_places_are_refused(
    acme: dict[str, Any], scratch: Scratch
) -> None:
    """Other keys, a stranger's user_id, another virtual host."""
    url, name = acme["amqpUrl"], acme["name"]
    body = message(fields("BTC", "64000"), name)
    for key in ("rates.other.BTC", "rates", RATES_QUEUE, f"rates.{name}", f"rates.{name}x.BTC"):
        await _refused_publish(url, key, body)
    forged = message(fields("BTC", "64000"), "somebody")
    await _refused_publish(url, f"rates.{name}.BTC", forged)
    elsewhere = urlunsplit(urlsplit(url)._replace(path="/%2F"))
    with pytest.raises((aiormq.exceptions.AMQPError, ConnectionError)):
        await aio_pika.connect(elsewhere, timeout=5)


async def test_the_management_api_refuses_a_provider(
    acme: dict[str, Any], scratch: Scratch
) -> None:
    """Nothing to read and nothing to change there, its own rights least of all."""
    vhost = quote(urlsplit(scratch.amqp_url).path[1:], safe="")
    name, everybody = acme["name"], {"configure": ".*", "write": ".*", "read": ".*"}
    asked = [
        ("GET", "overview", None),
        ("GET", "definitions", None),
        ("GET", f"queues/{vhost}", None),
        ("PUT", f"permissions/{vhost}/{name}", everybody),
        ("PUT", f"users/{name}", {"password": "mine", "tags": "administrator"}),
        ("DELETE", f"queues/{vhost}/{RATES_QUEUE}/contents", None),
        ("POST", f"exchanges/{vhost}/amq.default/publish", {}),
    ]
    headers = {"Authorization": aiohttp.encode_basic_auth(name, acme["brokerPassword"])}
    api = urlsplit(scratch.amqp_management_url)
    async with aiohttp.ClientSession(f"http://{api.hostname}:{api.port}", headers=headers) as own:
        for method, path, sent in asked:
            async with own.request(method, f"/api/{path}", json=sent) as answer:
                assert answer.status == 401, (method, path)


async def _shape(scratch: Scratch) -> set[tuple[str, ...]]:
    """The exchanges, queues and bindings of EventHub's virtual host; gateways' queues come and go."""
    vhost = quote(urlsplit(scratch.amqp_url).path[1:], safe="")
    found: set[tuple[str, ...]] = set()
    async with aiohttp.ClientSession() as session:
        for kind in ("exchanges", "queues", "bindings"):
            url = f"{scratch.amqp_management_url}/api/{kind}/{vhost}"
            async with session.get(url) as answer:
                for one in await answer.json():
                    shown = ("name", "source", "destination", "routing_key")
                    found.add((kind, *(str(one.get(key)) for key in shown)))
    return {one for one in found if not any(part.startswith("news.") for part in one)}


async def _its_own_rates_are_taken(acme: dict[str, Any], database: Database) -> None:
    name = await priced(database, asset())
    async with connected(acme["amqpUrl"]) as channel:
        key = f"rates.{acme['name']}.{name}"
        await publish(channel, key, message(fields(name, "100"), acme["name"]))

    async def stored() -> bool:
        return bool(
            await database.read("SELECT 1 FROM rates WHERE asset = %s AND source <> %s", name, SEED)
        )

    await eventually(stored)


async def _refused_publish(url: str, key: str, sent: aio_pika.Message) -> None:
    async with connected(url) as channel:
        with pytest.raises(REFUSED):
            await publish(channel, key, sent)
