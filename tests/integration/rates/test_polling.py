"""ExternalQuoteJob against a CoinGecko that fails in every way: the last good rates stay, and nothing else stops."""

import contextlib
import json
from collections.abc import AsyncIterator
from decimal import Decimal
from typing import cast

import pytest

from contracts.command_ids import CommandIds
from contracts.messaging.envelope import Codec
from contracts.rates import Rate
from contracts.runtime.circuit_breaker import CircuitOpen
from contracts.runtime.settings import Settings
from db import rates
from db.messages import leases
from db.messages.outbox import Outbox
from db.mysql.database import Database, Transaction
from db.redis.clients import quick_client
from tests.harness.scratch import SECRET, Scratch
from tests.harness.staff import staff
from tests.harness.waiting import eventually
from tests.stubs.coingecko import (
    PER_USD,
    PRICES,
    CoinGeckoStub,
    Wish,
    bitcoin,
    body,
    coingecko,
    dripping,
    elsewhere,
    silence,
    status,
)
from workers.quote.coingecko import CoinGecko
from workers.quote.feeds import FeedBusy, FeedDown
from workers.quote.polling import ATTEMPTS, FAILURES_TO_OPEN, ExternalQuoteJob, poll_feed
from workers.runtime.process import Worker
from workers.runtime.services import Services


@pytest.fixture
async def stub() -> AsyncIterator[CoinGeckoStub]:
    """A feed of this test's own."""
    async with coingecko() as started:
        yield started


@pytest.fixture
async def services(world: Scratch, database: Database) -> AsyncIterator[Services]:
    """What the job needs of a process; no coingecko rate is known yet."""
    redis = quick_client(world.redis_url)
    codec = Codec(SECRET)

    async def forget(transaction: Transaction) -> None:
        await rates.forget_source(transaction, "coingecko")

    await database.run(forget)
    yield Services(
        settings=world.settings(process="quote-1"),
        incarnation="test",
        database=database,
        redis=redis,
        publisher=cast("object", None),  # type: ignore[arg-type]  # the job publishes nothing
        intake=cast("object", None),  # type: ignore[arg-type]  # nor does it consume
        codec=codec,
        command_ids=CommandIds(SECRET),
        outbox=Outbox(codec, "quote", 4),
    )
    await redis.aclose()


@contextlib.asynccontextmanager
async def job(
    services: Services, stub: CoinGeckoStub, key: str | None = None, **how: float
) -> AsyncIterator[ExternalQuoteJob]:
    """The job with the real client; half a second of patience."""
    feed = CoinGecko(stub.url, key, seconds=0.5)
    try:
        yield ExternalQuoteJob(services, feed, **how)
    finally:
        await feed.close()


async def known(database: Database) -> dict[tuple[str, str], Rate]:
    """What the feed is remembered to have said."""
    found = await rates.everything(database)
    return {one.pair: one for one in found if one.source == "coingecko"}


async def test_one_call_brings_all_prices(services: Services, stub: CoinGeckoStub) -> None:
    """Every asset in every currency by one request of the real shape, stored with eight decimals."""
    async with job(services, stub) as polling:
        taken = await polling.poll()
    (call,) = stub.calls
    assert call.query["include_last_updated_at"] == "true"
    assert set(call.query["ids"].split(",")) == set(PRICES)
    assert set(call.query["vs_currencies"].split(",")) == {"usd", "eur", "gbp", "jpy", "twd"}
    found = await known(services.database)
    assert len(found) == len(taken.good) == 60
    assert found["BTC", "USD"].rate == Decimal("64123.45678910")
    assert found["DOGE", "USD"].rate == Decimal("0.12123457")


async def test_what_has_not_moved_is_not_news(services: Services, stub: CoinGeckoStub) -> None:
    """The same `last_updated_at` again: nothing stored, nothing put aside; later ones are taken."""
    stub.age = 30
    said = body(json.dumps(stub.answer(",".join(PRICES), ",".join(PER_USD))))
    stub.wishes = [said, said]
    async with job(services, stub) as polling:
        assert len((await polling.poll()).results) == 60
        assert (await polling.poll()).results == []
        stub.age = 5
        assert len((await polling.poll()).good) == 60


@pytest.mark.parametrize(
    "wish",
    [
        status(500),
        status(502),
        status(403),
        body("<html>blocked</html>", "text/html"),
        body("<html>blocked</html>"),
        body("[]"),
        body(b"\xff\xfe"),
        body(" " * 300_000),
        silence(),
        dripping(),
        elsewhere("/api/v3/simple/price"),
    ],
    ids=[
        "500",
        "502",
        "403",
        "html",
        "html-as-json",
        "list",
        "bytes",
        "large",
        "slow",
        "drip",
        "302",
    ],
)
async def test_a_failing_answer_is_tried_again_and_leaves_no_trace(
    services: Services, stub: CoinGeckoStub, wish: Wish
) -> None:
    """Once: the next attempt of the same poll succeeds. Always: FeedDown, what was known stays."""
    async with job(services, stub) as polling:
        stub.wishes = [wish]
        assert len((await polling.poll()).good) == 60
        before = await known(services.database)
        stub.wishes = [wish] * ATTEMPTS
        with pytest.raises(FeedDown):
            await polling.poll()
        assert stub.wishes == []
        assert await known(services.database) == before


async def test_a_feed_that_asks_for_patience_gets_it(
    services: Services, stub: CoinGeckoStub
) -> None:
    """429 with Retry-After: one call, no second attempt, no circuit opened; without it a minute."""
    async with job(services, stub) as polling:
        for wish, seconds in (
            (status(429, Retry_After="7"), 7),
            (status(429), 60),
            (status(429, Retry_After="999999"), 600),
            (status(429, Retry_After="soon"), 60),
        ):
            stub.wishes, stub.calls = [wish], []
            with pytest.raises(FeedBusy) as caught:
                await polling.poll()
            assert caught.value.seconds == seconds
            assert len(stub.calls) == 1
        assert len((await polling.poll()).good) == 60


async def test_a_dead_feed_is_left_alone_for_a_while(
    services: Services, stub: CoinGeckoStub
) -> None:
    """After three failed polls no call is made; after the pause one that works closes the circuit."""
    async with job(services, stub, open_seconds=0.3) as polling:
        stub.wishes = [status(500)] * (ATTEMPTS * FAILURES_TO_OPEN)
        for _ in range(FAILURES_TO_OPEN):
            with pytest.raises(FeedDown):
                await polling.poll()
        calls = len(stub.calls)
        with pytest.raises(CircuitOpen):
            await polling.poll()
        assert len(stub.calls) == calls

        async def works() -> int:
            try:
                return len((await polling.poll()).good)
            except CircuitOpen:
                return 0

        assert await eventually(works) == 60


@pytest.mark.parametrize(
    ("wish", "reason"),
    [
        (bitcoin("0"), "NOT_POSITIVE"),
        (bitcoin("-64000"), "NOT_POSITIVE"),
        (bitcoin("1e400"), "ABSURD"),
        (bitcoin("NaN"), "NOT_A_NUMBER"),
        (bitcoin('"soon"'), "MALFORMED"),
        (bitcoin("1"), "OUT_OF_BAND"),
        (bitcoin("64000", "1577836800"), None),
        (bitcoin("64000", "4070908800"), "FROM_THE_FUTURE"),
    ],
)
async def test_a_lying_feed_is_put_aside_once_and_never_used(
    services: Services, stub: CoinGeckoStub, wish: Wish, reason: str | None
) -> None:
    """The last good rate stays; the same lie in the next poll is no second report. Older than the last: ignored."""
    stub.age = 10
    async with job(services, stub) as polling:
        await polling.poll()
        before = (await known(services.database))["BTC", "USD"]
        stub.wishes = [wish, wish]
        reasons = [
            str(one.faulty.reason)
            for _ in range(2)
            for one in (await polling.poll()).results
            if not isinstance(one, Rate)
        ]
        assert reasons == ([reason] if reason else [])
        assert (await known(services.database))["BTC", "USD"] == before


async def test_what_is_missing_is_simply_not_there(services: Services, stub: CoinGeckoStub) -> None:
    """An asset the feed has dropped keeps its last rate; the others go on."""
    stub.age = 10
    async with job(services, stub) as polling:
        await polling.poll()
        before = await known(services.database)
        del stub.prices["bitcoin"]
        stub.age = 0
        taken = await polling.poll()
    assert len(taken.good) == 55
    after = await known(services.database)
    assert after["BTC", "USD"] == before["BTC", "USD"]
    assert after["ETH", "USD"].observed_at > before["ETH", "USD"].observed_at


async def test_a_key_is_sent_and_its_refusal_is_a_feed_that_is_down(
    services: Services, stub: CoinGeckoStub
) -> None:
    """With the key all prices, without it FeedDown."""
    stub.key = "CG-secret"
    async with job(services, stub, "CG-secret") as polling:
        assert len((await polling.poll()).good) == 60
    async with job(services, stub) as polling:
        with pytest.raises(FeedDown):
            await polling.poll()


async def test_one_of_several_workers_polls_and_another_takes_over(
    world: Scratch, database: Database, stub: CoinGeckoStub
) -> None:
    """Three workers, one lease: calls come from one at a time; when it stops, another goes on."""
    settings = world.settings(feed="coingecko", feed_url=stub.url, feed_interval=0.2)
    asking: set[str] = set()

    def make(services: Services) -> Worker:
        class Watched(CoinGecko):
            async def fetch(self, now: object) -> object:  # type: ignore[override]  # passed through
                asking.add(services.settings.process)
                return await super().fetch(now)  # type: ignore[arg-type]  # passed through

        def feed(chosen: Settings) -> CoinGecko:
            return Watched(chosen.feed_url)

        return Worker("quote", {}, jobs=[poll_feed(feed)])

    async def holder_is(name: str) -> bool:
        return (await leases.holders(database, "feed")).get("poll") == name

    async def asked_meanwhile(calls: int) -> set[str]:
        asking.clear()
        wanted = len(stub.calls) + calls
        await eventually(lambda: _calls(stub, wanted))
        return set(asking)

    async with _one(settings, "quote-2", make):
        async with _one(settings, "quote-1", make), _one(settings, "quote-3", make):
            # Names are shared fairly, the first by name first: one name, so quote-1 has it in the end.
            await eventually(lambda: holder_is("quote-1"))
            assert await asked_meanwhile(5) == {"quote-1"}
        await eventually(lambda: holder_is("quote-2"))
        assert await asked_meanwhile(3) == {"quote-2"}


def _one(
    settings: Settings, name: str, make: object
) -> contextlib.AbstractAsyncContextManager[None]:
    return staff(settings, name, make=make)  # type: ignore[arg-type]  # a Make


async def _calls(stub: CoinGeckoStub, count: int) -> bool:
    return len(stub.calls) >= count
