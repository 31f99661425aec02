"""A 202 means that the broker has it. Away, full or silent: the client hears which, and nothing is done twice."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from scripts.proving.proxy import Proxy
from tests.harness.sales import items, sale
from tests.harness.scratch import Scratch
from tests.harness.system import System, running
from tests.harness.waiting import eventually
from tests.integration.commands.conftest import WORKERS, Accounts


@pytest.fixture
async def way(test_scratch: Scratch) -> AsyncIterator[tuple[System, Proxy]]:
    """A gateway that reaches the broker through a proxy; workers that reach it directly."""
    async with (
        running(test_scratch, workers=WORKERS) as staffed,
        Proxy(test_scratch.amqp_url) as proxy,
        running(replace(test_scratch, amqp_url=proxy.address), workers=()) as system,
    ):
        assert staffed.url != system.url
        yield system, proxy


async def _orders(system: System, accounts: Accounts) -> int:
    return len((await system.api(accounts.buyer).get("/api/orders")).body["data"])


async def test_with_the_broker_away_nothing_is_accepted(
    way: tuple[System, Proxy], accounts: Accounts
) -> None:
    """503 with Retry-After at once, no command id; reads work; afterwards the same key is a fresh order."""
    system, proxy = way
    show = await sale(system, accounts.organizer, 5)
    api, body = system.api(accounts.buyer), items((show.ticket_type, 1))
    proxy.turn("cut")

    async def refused() -> bool:
        answer = await api.post("/api/orders", body, key="away")
        assert (answer.status, answer.code) == (503, "UNAVAILABLE")
        assert int(answer.headers["Retry-After"]) >= 1
        # The very first one may have been on its way when the line went: that one has an id.
        return "X-Command-Id" not in answer.headers

    await eventually(refused)
    assert (await api.get(f"/api/events/{show.event_id}")).status == 200
    ready = await api.get("/readyz")
    assert (ready.status, ready.body["missing"]) == (503, ["rabbitmq"])
    proxy.turn("pass")

    async def placed() -> bool:
        return (await api.post("/api/orders", body, key="away")).status == 201

    await eventually(placed)
    assert await _orders(system, accounts) == 1


async def test_a_publish_without_an_answer_is_given_out_to_poll(
    way: tuple[System, Proxy], accounts: Accounts
) -> None:
    """503 with the command's id and Location: it is decided after all, and its key gives the same order."""
    system, proxy = way
    show = await sale(system, accounts.organizer, 5)
    api, body = system.api(accounts.buyer), items((show.ticket_type, 1))
    proxy.turn("mute")
    unknown = await api.post("/api/orders", body, key="dark", wait=1)
    assert (unknown.status, unknown.code) == (503, "UNAVAILABLE")
    command_id = unknown.body["commandId"]
    assert unknown.headers["X-Command-Id"] == command_id
    assert unknown.headers["Location"] == f"/api/commands/{command_id}"
    assert int(unknown.headers["Retry-After"]) >= 1
    decided = await api.get(f"/api/commands/{command_id}?wait=20")
    assert decided.body["status"] == "SUCCEEDED"
    proxy.turn("pass")
    again = await api.post("/api/orders", body, key="dark", wait=20)
    assert again.status == 201
    assert again.body == decided.body["result"]
    assert again.headers["X-Command-Id"] == command_id
    assert again.headers["Idempotent-Replayed"] == "true"
    assert await _orders(system, accounts) == 1


async def test_after_a_publish_that_never_arrived_the_key_publishes_it_again(
    way: tuple[System, Proxy], accounts: Accounts
) -> None:
    """Cut in the middle: whatever the broker got, the same key ends in one order."""
    system, proxy = way
    show = await sale(system, accounts.organizer, 5)
    api, body = system.api(accounts.buyer), items((show.ticket_type, 1))
    cutting = asyncio.create_task(api.post("/api/orders", body, key="cut"))
    proxy.turn("cut")
    first = await cutting
    assert first.status in (201, 503)
    proxy.turn("pass")

    async def placed() -> bool:
        return (await api.post("/api/orders", body, key="cut")).status == 201

    await eventually(placed)
    assert await _orders(system, accounts) == 1


async def test_a_full_queue_is_busy_and_says_for_how_long(
    test_scratch: Scratch, accounts: Accounts
) -> None:
    """429 BUSY with Retry-After, no command id; what was accepted is decided, the refused key is free."""
    async with running(test_scratch, workers=WORKERS, queue_length=3) as system:
        show = await sale(system, accounts.organizer, 10)
        await system.stop("inventory")
        api, body = system.api(accounts.buyer), items((show.ticket_type, 1))
        answers = [
            await api.post("/api/orders", body, key=f"full {n}", wait=None) for n in range(8)
        ]
        accepted = [answer for answer in answers if answer.status == 202]
        busy = [answer for answer in answers if answer.status == 429]
        assert len(accepted) + len(busy) == 8
        # The broker lets one or two more in than the limit before it says no.
        assert 3 <= len(accepted) <= 6
        for answer in busy:
            assert answer.code == "BUSY"
            assert 1 <= int(answer.headers["Retry-After"]) <= 60
            assert answer.body["retryAfter"] == int(answer.headers["Retry-After"])
            assert "X-Command-Id" not in answer.headers
        system.start("inventory")

        async def retried() -> bool:
            answer = await api.post("/api/orders", body, key="full 7")
            assert "Idempotent-Replayed" not in answer.headers
            return answer.status == 201

        await eventually(retried)
        for answer in accepted:
            decided = await api.get(answer.headers["Location"] + "?wait=10")
            assert decided.body["status"] == "SUCCEEDED"
        assert await _orders(system, accounts) == len(accepted) + 1


async def test_orders_are_accepted_while_the_database_is_away(
    test_scratch: Scratch, accounts: Accounts
) -> None:
    """For a ticket type that is known here: 202, and decided when the database is back."""
    async with (
        running(test_scratch, workers=WORKERS) as staffed,
        Proxy(test_scratch.mysql_url) as proxy,
        running(replace(test_scratch, mysql_url=proxy.address), workers=()) as system,
    ):
        show = await sale(staffed, accounts.organizer, 5)
        await staffed.stop("inventory")
        api, body = system.api(accounts.buyer), items((show.ticket_type, 1))
        assert (await api.post("/api/orders", body, wait=None)).status == 202
        proxy.turn("cut")
        accepted = await api.post("/api/orders", body, wait=1, key="no database")
        assert accepted.status == 202
        polled = await api.get(accepted.headers["Location"])
        assert (polled.status, polled.code) == (503, "UNAVAILABLE")
        assert int(polled.headers["Retry-After"]) >= 1
        unknown = await api.post("/api/orders", items((10**9, 1)), wait=1)
        assert (unknown.status, unknown.code) == (503, "UNAVAILABLE")
        proxy.turn("pass")
        staffed.start("inventory")
        decided = await api.get(accepted.headers["Location"] + "?wait=20")
        assert decided.body["status"] == "SUCCEEDED"
