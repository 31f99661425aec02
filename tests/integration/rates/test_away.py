"""Servers and feeds that go away: quotes use the last good rate until it is too old; reports wait in order."""

from collections.abc import AsyncIterator
from typing import Any

import orjson
import pytest

from db.mysql.database import Database
from scripts.proving.proxy import Proxy
from tests.harness.accounts import person
from tests.harness.rates import priced
from tests.harness.sales import Sale, order, sale
from tests.harness.scratch import Scratch
from tests.harness.system import Answer, Api, System, running
from tests.harness.waiting import eventually
from tests.harness.workers import running_workers
from tests.integration.rates.broker import connected, fields, message, provider, publish
from tests.integration.rates.test_providers import reasons
from tests.integration.rates.test_rates_http import asset
from tests.stubs.coingecko import CoinGeckoStub, coingecko, status


@pytest.fixture
async def stub() -> AsyncIterator[CoinGeckoStub]:
    async with coingecko() as started:
        yield started


@pytest.fixture
async def system(
    scratch: Scratch, database: Database, stub: CoinGeckoStub
) -> AsyncIterator[System]:
    """A sale whose rates come from the stub, every 0.2 s, and can be quoted for 3 s."""
    await database.write("DELETE FROM rates")
    workers = ("inventory", "payment", "quote", "relay")
    feed: dict[str, Any] = {"feed": "coingecko", "feed_url": stub.url, "feed_interval": 0.2}
    async with running(scratch, workers=workers, rate_fresh=1, rate_max_age=3, **feed) as started:
        yield started


async def asked(api: Api, show: Sale) -> Answer:
    """A quote in LTC for a new order."""
    order_id = await order(api, show.ticket_type)
    return await api.post("/api/public/payment/create-quote", {"orderId": order_id, "asset": "LTC"})


async def test_a_sale_goes_on_without_its_feed_until_the_rate_is_too_old(
    system: System, database: Database, stub: CoinGeckoStub
) -> None:
    """The feed dies: quotes at the last good rate, shown as stale, then RATE_UNAVAILABLE; it returns: quotes again."""
    api = system.api(await person(database))
    show = await sale(system, await person(database, "ORGANIZER"), 500)

    async def quoted() -> Answer | None:
        answer = await asked(api, show)
        return answer if answer.status == 201 else None

    first = await eventually(quoted)
    assert first is not None
    assert first.body["rateSource"] == "coingecko"
    stub.wishes = [status(500)] * 10_000
    assert (await asked(api, show)).status == 201

    async def stale() -> bool:
        return bool((await api.get("/api/market/rates/LTC")).body["stale"])

    async def refused() -> Answer | None:
        answer = await asked(api, show)
        return answer if answer.status == 409 else None

    assert await eventually(stale)
    late = await eventually(refused)
    assert late is not None
    assert late.code == "RATE_UNAVAILABLE"
    stub.wishes = []
    assert await eventually(quoted)


async def test_reports_wait_for_the_database_in_their_order(
    scratch: Scratch, database: Database
) -> None:
    """The worker's database goes away in the middle of a stream: each report is a rate once, in the order sent."""
    name = await priced(database, asset())
    prices = [str(100 + n % 7) for n in range(60)]
    async with Proxy(scratch.mysql_url) as proxy:
        settings = scratch.settings(MYSQL_URL=proxy.address)
        async with provider(scratch) as acme, running_workers(settings, "quote"):
            async with connected(acme["amqpUrl"]) as channel:
                for n, price in enumerate(prices):
                    if n == 20:
                        proxy.turn("cut")
                    sent = message(fields(name, price), acme["name"])
                    await publish(channel, f"rates.{acme['name']}.{name}", sent)
            proxy.turn("pass")

            async def told() -> list[str]:
                rates = await _told(database, name)
                return rates if len(rates) >= len(prices) else []

            assert await eventually(told, within=30) == prices
    assert await reasons(database, name) == []


async def _told(database: Database, name: str) -> list[str]:
    """The rates in the events of an asset that wait for a relay, in order."""
    rows = await database.read(
        "SELECT body FROM outbox WHERE aggregate = %s ORDER BY id", f"rate:{name}:USD"
    )
    return [orjson.loads(row[0])["data"]["rate"]["rate"].partition(".")[0] for row in rows]
