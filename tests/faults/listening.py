"""Listeners of the tests' own: events as they come from the broker, and the deliveries that notify writes of them.

In: a topic, an account. Out: envelopes, repeats included; how often each order was written down for a webhook.
"""

import secrets
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from decimal import Decimal
from typing import Any

import orjson

from contracts.messaging.topology import EVENTS_EXCHANGE
from contracts.webhooks.secrets import SecretSealer, new_secret
from db.mysql.database import Database
from db.webhooks import endpoints
from tests.harness.desk import Desk
from tests.harness.people import Person
from tests.harness.scratch import SECRET

Heard = Callable[[], Awaitable[list[dict[str, Any]]]]


async def listen(counter: Desk, topic: str) -> Heard:
    """The envelopes on a topic that have come so far, by a queue of its own."""
    channel = counter.publisher._link.channel
    arguments: Any = {"x-queue-type": "quorum"}
    name = f"listener-{secrets.token_hex(4)}"
    queue = await channel.declare_queue(name, durable=True, arguments=arguments)
    await queue.bind(EVENTS_EXCHANGE, topic)
    heard: list[dict[str, Any]] = []

    async def drain() -> list[dict[str, Any]]:
        while message := await queue.get(fail=False):
            await message.ack()
            parsed = orjson.loads(message.body)
            heard.extend(parsed if isinstance(parsed, list) else [parsed])
        return heard

    return drain


def told(heard: Sequence[dict[str, Any]], asset: str) -> list[str]:
    """The rates that were told of an asset, to two decimals, in their order; an event that came again counts once."""
    rates = {one["id"]: one["data"]["rate"] for one in heard}
    return [f"{Decimal(rate['rate']):.2f}" for rate in rates.values() if rate["asset"] == asset]


async def hook(books: Database, owner: Person, *types: str) -> int:
    """A webhook's id, at an address that nothing is sent to (it is private): what is due for it stays to be seen."""
    sealed = SecretSealer(SECRET).seal(new_secret(), owner.id)
    url = "http://127.0.0.1:9/"
    return await endpoints.create(books, owner.id, url, types, sealed, limit=10)


async def written_for(books: Database, endpoint: int) -> Counter[str]:
    """How many deliveries there are for a webhook, by the aggregate that each is of (`order:7`)."""
    rows = await books.read(
        "SELECT aggregate FROM webhook_deliveries WHERE endpoint_id = %s", endpoint
    )
    return Counter(row[0] for row in rows)
