"""The load client: bounded, exact in its counting, and only ever aimed at this machine."""

import asyncio
from typing import Any

import click
import pytest

from scripts.benching.loads.wrk import Answers, WrkLoad, put_load
from tests.bench.stub_gateway import StubGateway, stub_gateway

TOKENS = [(number, f"token-{number}") for number in range(1, 51)]


async def load(gateway: StubGateway, **options: Any) -> Answers:
    """Put load on the stub, whose loop is ours, from a thread."""
    chosen: dict[str, Any] = {
        "clients": 20,
        "seconds": 10.0,
        "tokens": TOKENS,
        "ticket_types": [1],
    } | options
    return await asyncio.to_thread(put_load, WrkLoad(gateway.url, **chosen))


async def test_every_request_is_counted_by_status_and_code() -> None:
    """Of 300 orders for 100 tickets 100 are accepted and 200 refused as sold out, and the stub saw no other."""
    async with stub_gateway(100) as gateway:
        answers = await load(gateway, limit=300)
    assert answers.counts == {"201": 100, "409 SOLD_OUT": 200}
    assert (answers.issued, answers.answered, gateway.asked) == (300, 300, 300)
    assert answers.accepted == 100
    assert answers.refused == {"409 SOLD_OUT": 200}
    assert answers.failed == 0


async def test_a_load_for_a_time_waits_for_its_last_answers() -> None:
    """When the time is over nothing new is sent, and what was sent is answered."""
    async with stub_gateway(10**9) as gateway:
        answers = await load(gateway, seconds=0.5)
    assert answers.answered == answers.issued == gateway.asked > 0
    assert answers.failed == 0


async def test_all_clients_ask_at_the_same_time() -> None:
    """Sixty connections are sixty requests under way: one that answers nobody before all are there answers all."""
    async with stub_gateway(10**9, together=60) as gateway:
        answers = await load(gateway, clients=60, limit=600)
    assert answers.accepted == 600


async def test_orders_go_round_the_users() -> None:
    """Every user's token is used."""
    async with stub_gateway(10**9) as gateway:
        await load(gateway, limit=200)
    assert gateway.tokens == {f"Bearer {token}" for _, token in TOKENS}


async def test_a_busy_seat_is_tried_again_until_the_order_is_decided() -> None:
    """With `retry`, a 429 is asked again: 100 orders end as 100 accepted ones, whatever it took."""
    async with stub_gateway(10**9, busy_every=3) as gateway:
        answers = await load(gateway, limit=100, retry=2)
    assert answers.accepted == 100
    assert answers.issued == 100 + answers.refused["429 SEAT_LOCKED"]


async def test_a_rate_is_kept() -> None:
    """At 200 a second, half a second brings about 100 requests and not the thousands that it could."""
    async with stub_gateway(10**9) as gateway:
        answers = await load(gateway, seconds=0.5, rate=200)
    assert 0 < answers.issued <= 150


async def test_keys_differ_for_each_order() -> None:
    """With `keys`, no two orders share an Idempotency-Key; without, there is none."""
    async with stub_gateway(10**9) as gateway:
        await load(gateway, limit=50, keys=True)
        assert len(set(gateway.keys)) == 50
        assert None not in gateway.keys
        await load(gateway, limit=5)
    assert gateway.keys[-5:] == [None] * 5


async def test_unanswered_requests_are_failures() -> None:
    """Nobody listens there: that is an error for everybody, not a fast run."""
    async with stub_gateway(1) as gateway:
        pass
    with pytest.raises(click.ClickException):
        await load(gateway, limit=10, seconds=0.2)


@pytest.mark.parametrize(
    "url", ["http://10.0.0.1:80", "http://example.com", "http://[2001:db8::1]:80", "nonsense"]
)
def test_only_this_machine_is_loaded(url: str) -> None:
    """Anything but the loopback address is refused before a byte is sent."""
    with pytest.raises(click.ClickException, match="loopback"):
        put_load(WrkLoad(url, 1, 0.1))


@pytest.mark.parametrize("seconds", [0, -1, 601])
def test_a_load_is_bounded_in_time(seconds: float) -> None:
    """There is no endless load."""
    with pytest.raises(click.ClickException, match="at most"):
        put_load(WrkLoad("http://127.0.0.1:1", 1, seconds))
