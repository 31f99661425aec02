"""An Idempotency-Key stands for one command: concurrently, over gateways, restarts and flushes."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
from redis.asyncio import Redis

from db.mysql.database import Database
from scripts.proving.proxy import Proxy
from tests.harness.accounts import Person, person
from tests.harness.sales import Sale, items, sale
from tests.harness.scratch import Scratch
from tests.harness.system import Answer, System, running
from tests.harness.waiting import eventually
from tests.integration.commands.conftest import WORKERS, Accounts

COMMAND, REPLAYED = "X-Command-Id", "Idempotent-Replayed"


@pytest.fixture(scope="module")
async def system(own_scratch: Scratch) -> AsyncIterator[System]:
    async with running(own_scratch, workers=WORKERS) as started:
        yield started


@pytest.fixture(scope="module")
async def second(own_scratch: Scratch, system: System) -> AsyncIterator[System]:
    """Another gateway on the same servers."""
    async with running(own_scratch, workers=()) as started:
        yield started


@pytest.fixture
async def show(system: System, organizer: Person) -> Sale:
    return await sale(system, organizer, 10)


async def _flush(own_scratch: Scratch) -> None:
    async with Redis.from_url(own_scratch.redis_url) as redis:
        await redis.flushdb()


async def _orders(system: System, buyer: Person) -> int:
    return len((await system.api(buyer).get("/api/orders")).body["data"])


def _same(first: Answer, again: Answer) -> None:
    """The same command, the same answer, and said so."""
    assert again.status == first.status
    assert again.body == first.body
    assert again.headers[COMMAND] == first.headers[COMMAND]
    assert again.headers[REPLAYED] == "true"


async def test_the_same_key_gives_the_same_answer(
    system: System, second: System, buyer: Person, show: Sale
) -> None:
    """One order, however often and wherever it is asked for; the first answer is not called a replay."""
    body = items((show.ticket_type, 1))
    first = await system.api(buyer).post("/api/orders", body, key="once")
    assert first.status == 201
    assert REPLAYED not in first.headers
    for gateway in (system, second, system):
        again = await gateway.api(buyer).post("/api/orders", body, key="once")
        _same(first, again)
        assert again.headers["Location"] == first.headers["Location"]
    assert await _orders(system, buyer) == 1


async def test_a_key_belongs_to_its_caller(
    system: System, own_database: Database, buyer: Person, show: Sale
) -> None:
    """Two users with one key have an order each."""
    other, body = await person(own_database), items((show.ticket_type, 1))
    mine = await system.api(buyer).post("/api/orders", body, key="shared")
    theirs = await system.api(other).post("/api/orders", body, key="shared")
    assert (mine.status, theirs.status) == (201, 201)
    assert mine.body["id"] != theirs.body["id"]
    assert REPLAYED not in theirs.headers


async def test_another_request_under_the_key_is_refused(
    own_scratch: Scratch, system: System, second: System, buyer: Person, show: Sale
) -> None:
    """422 for another body, path, query or method, at any gateway, after a flush too; nothing is done."""
    await system.api(buyer).post("/api/orders", items((show.ticket_type, 1)), key="fixed")
    for flushed in (False, True):
        for gateway in (system, second):
            if flushed:
                await _flush(own_scratch)
            api = gateway.api(buyer)
            other_body = await api.post("/api/orders", items((show.ticket_type, 2)), key="fixed")
            order_id = (await api.get("/api/orders")).body["data"][0]["id"]
            other_path = await api.post(f"/api/orders/{order_id}/cancel", key="fixed")
            same_body = items((show.ticket_type, 1))
            other_query = await api.post("/api/orders?refund=all", same_body, key="fixed")
            for answer in (other_body, other_path, other_query):
                assert (answer.status, answer.code) == (422, "IDEMPOTENCY_MISMATCH")
    assert await _orders(system, buyer) == 1


async def test_the_order_of_members_does_not_make_another_request(
    system: System, buyer: Person, show: Sale
) -> None:
    """The fingerprint is over what is meant, not over how it is spelled."""
    api = system.api(buyer)
    first = await api.post(
        "/api/orders", {"items": [{"ticketTypeId": show.ticket_type, "quantity": 1}]}, key="spelled"
    )
    again = await api.post(
        "/api/orders",
        {"orderId": None, "items": [{"quantity": 1, "ticketTypeId": show.ticket_type}]},
        key="spelled",
    )
    _same(first, again)


async def test_a_lasting_refusal_binds(system: System, buyer: Person, show: Sale) -> None:
    """ORDER_NOT_PENDING stays, with this request's own id as its instance."""
    api, wanted = system.api(buyer), items((show.ticket_type, 1))
    ended = (await api.post("/api/orders", wanted)).body["id"]
    assert (await api.post(f"/api/orders/{ended}/cancel")).status == 200
    body = wanted | {"orderId": ended}
    first = await api.post("/api/orders", body, key="too late")
    again = await api.post("/api/orders", body, key="too late")
    assert (again.status, again.code) == (409, "ORDER_NOT_PENDING")
    assert again.headers[COMMAND] == first.headers[COMMAND]
    assert again.headers[REPLAYED] == "true"
    assert again.body["instance"] == again.headers["X-Request-Id"] != first.body["instance"]


async def test_a_refusal_that_does_not_bind_is_decided_afresh(
    own_scratch: Scratch, system: System, second: System, buyer: Person, organizer: Person
) -> None:
    """SOLD_OUT by a worker and by the cache, then stock comes: the same key gets its order, after a flush too."""
    show = await sale(system, organizer, 1)
    api, body = system.api(buyer), items((show.ticket_type, 2))
    answers = [await api.post("/api/orders", body, key="patient") for _ in range(4)]
    assert {answer.code for answer in answers} == {"SOLD_OUT"}
    more = await system.api(organizer).patch(f"/api/ticket-types/{show.ticket_type}", {"quota": 5})
    assert more.status == 200
    await _flush(own_scratch)

    async def placed() -> Answer | None:
        answer = await second.api(buyer).post("/api/orders", body, key="patient")
        return answer if answer.status == 201 else None

    order = await eventually(placed)
    assert order is not None
    assert order.headers[COMMAND] != answers[0].headers[COMMAND]
    _same(order, await api.post("/api/orders", body, key="patient"))
    assert await _orders(system, buyer) == 1


async def test_a_key_that_stands_for_nothing_may_be_used_for_another_request(
    system: System, buyer: Person, organizer: Person
) -> None:
    """A worker's SOLD_OUT frees the key as the cache's does: fewer tickets under it are an order."""
    show = await sale(system, organizer, 1)
    api = system.api(buyer)
    refused = await api.post("/api/orders", items((show.ticket_type, 2)), key="free again")
    assert refused.code == "SOLD_OUT"
    assert COMMAND in refused.headers
    order = await api.post("/api/orders", items((show.ticket_type, 1)), key="free again")
    assert order.status == 201
    other = await api.post("/api/orders", items((show.ticket_type, 2)), key="free again")
    assert other.code == "IDEMPOTENCY_MISMATCH"


async def test_without_prefer_the_replay_shows_the_same_command(
    system: System, buyer: Person, show: Sale
) -> None:
    """202 again, with the same id; the resource says how far it is."""
    api, body = system.api(buyer), items((show.ticket_type, 1))
    first = await api.post("/api/orders", body, key="polled", wait=None)
    await api.get(first.headers["Location"] + "?wait=10")
    again = await api.post("/api/orders", body, key="polled", wait=None)
    assert (first.status, again.status) == (202, 202)
    assert again.headers["Location"] == first.headers["Location"]
    assert again.headers[REPLAYED] == "true"
    assert again.body["status"] == "SUCCEEDED"


async def test_fifty_at_once_at_two_gateways_are_one_order(
    system: System, second: System, buyer: Person, show: Sale
) -> None:
    """One command id, one order, and exactly one of them was the first."""
    body = items((show.ticket_type, 1))
    answers = await asyncio.gather(
        *(
            gateway.api(buyer).post("/api/orders", body, key="stampede")
            for gateway in [system, second] * 25
        )
    )
    assert {answer.status for answer in answers} == {201}
    assert len({answer.headers[COMMAND] for answer in answers}) == 1
    assert len({answer.body["id"] for answer in answers}) == 1
    assert Counter(REPLAYED in answer.headers for answer in answers) == {True: 49, False: 1}
    assert await _orders(system, buyer) == 1


async def test_while_undecided_the_key_gives_the_same_command(
    test_scratch: Scratch, accounts: Accounts
) -> None:
    """Also at another gateway, and after a flush where it was asked before; one order in the end."""
    async with (
        running(test_scratch, workers=WORKERS) as system,
        running(test_scratch, workers=()) as second,
    ):
        show = await sale(system, accounts.organizer, 5)
        await system.stop("inventory")
        body, buyer = items((show.ticket_type, 1)), accounts.buyer
        first = await system.api(buyer).post("/api/orders", body, key="slow", wait=1)
        elsewhere = await second.api(buyer).post("/api/orders", body, key="slow", wait=None)
        await _flush(test_scratch)
        flushed = [
            await gateway.api(buyer).post("/api/orders", body, key="slow", wait=None)
            for gateway in (system, second)
        ]
        for again in (elsewhere, *flushed):
            assert again.status == 202
            assert again.headers[COMMAND] == first.headers[COMMAND]
            assert again.headers[REPLAYED] == "true"
            assert again.body["status"] == "PENDING"
        for gateway in (system, second):
            other = await gateway.api(buyer).post(
                "/api/orders", items((show.ticket_type, 2)), key="slow", wait=None
            )
            assert other.code == "IDEMPOTENCY_MISMATCH"
        system.start("inventory")
        decided = await system.api(buyer).post("/api/orders", body, key="slow")
        assert decided.status == 201
        assert decided.headers[COMMAND] == first.headers[COMMAND]
        assert await _orders(system, buyer) == 1


async def test_a_fresh_attempt_at_one_gateway_is_joined_at_the_other(
    test_scratch: Scratch, accounts: Accounts
) -> None:
    """A gateway whose cache says sold out asks whether another went on with the key, before it refuses."""
    async with (
        running(test_scratch, workers=WORKERS) as system,
        running(test_scratch, workers=()) as second,
    ):
        show = await sale(system, accounts.organizer, 1)
        api, body = system.api(accounts.buyer), items((show.ticket_type, 2))
        refused = await api.post("/api/orders", body, key="joined")
        await system.stop("inventory")

        async def shut() -> bool:
            return (await api.post("/api/orders", body, wait=None)).code == "SOLD_OUT"

        await eventually(shut)
        fresh = await second.api(accounts.buyer).post("/api/orders", body, key="joined", wait=None)
        joined = await api.post("/api/orders", body, key="joined", wait=None)
        assert (fresh.status, joined.status) == (202, 202)
        assert joined.headers[COMMAND] == fresh.headers[COMMAND] != refused.headers[COMMAND]
        assert joined.headers[REPLAYED] == "true"


@pytest.mark.parametrize("how", ["flush", "restart"])
async def test_a_gateway_gives_redis_back_what_it_forgot(
    test_scratch: Scratch, accounts: Accounts, how: str
) -> None:
    """An undecided key is known again, a moment later, at a gateway where it was never asked."""
    async with (
        Proxy(test_scratch.redis_url) as proxy,
        running(replace(test_scratch, redis_url=proxy.address), workers=WORKERS) as system,
        running(test_scratch, workers=()) as second,
    ):
        show = await sale(system, accounts.organizer, 5)
        await system.stop("inventory")
        body, buyer = items((show.ticket_type, 1)), accounts.buyer
        first = await system.api(buyer).post("/api/orders", body, key="bridge", wait=None)
        if how == "restart":
            proxy.turn("cut")
        await _flush(test_scratch)
        proxy.turn("pass")

        async def noted() -> bool:
            async with Redis.from_url(test_scratch.redis_url) as redis:
                return bool(await redis.keys("eventhub:idempotency:*"))

        await eventually(noted)
        again = await second.api(buyer).post("/api/orders", body, key="bridge", wait=None)
        assert again.headers[COMMAND] == first.headers[COMMAND]
        assert again.headers[REPLAYED] == "true"
        system.start("inventory")
        assert (await second.api(buyer).post("/api/orders", body, key="bridge")).status == 201
        assert await _orders(system, buyer) == 1


@pytest.mark.parametrize("flush", [False, True], ids=["kept", "flushed"])
async def test_after_a_restart_of_everything_the_key_still_stands(
    test_scratch: Scratch, accounts: Accounts, flush: bool
) -> None:
    """Other processes, other memories, Redis flushed in between: the same id, the same answer."""
    body = {}
    async with running(test_scratch, workers=WORKERS) as before:
        show = await sale(before, accounts.organizer, 5)
        body = items((show.ticket_type, 1))
        first = await before.api(accounts.buyer).post("/api/orders", body, key="kept")
        assert first.status == 201
    if flush:
        await _flush(test_scratch)
    async with running(test_scratch, workers=WORKERS) as after:
        _same(first, await after.api(accounts.buyer).post("/api/orders", body, key="kept"))
        other = await after.api(accounts.buyer).post(
            "/api/orders", items((show.ticket_type, 2)), key="kept"
        )
        assert other.code == "IDEMPOTENCY_MISMATCH"
        assert await _orders(after, accounts.buyer) == 1


async def test_past_its_deadline_the_key_is_decided_afresh(
    test_scratch: Scratch, accounts: Accounts
) -> None:
    """FAILED 503 does not bind: the same key, another command, one order."""
    async with (
        running(test_scratch, workers=WORKERS) as staffed,
        running(test_scratch, workers=(), command_deadline=1.0) as hasty,
    ):
        show = await sale(staffed, accounts.organizer, 5)
        await staffed.stop("inventory")
        api, body = hasty.api(accounts.buyer), items((show.ticket_type, 1))
        dead = await api.post("/api/orders", body, key="again", wait=20)
        assert dead.status == 503
        staffed.start("inventory")

        async def placed() -> Answer | None:
            answer = await api.post("/api/orders", body, key="again", wait=20)
            # A busy machine may need longer than a second once more: that does not bind either.
            assert answer.status in (201, 503)
            return answer if answer.status == 201 else None

        order = await eventually(placed)
        assert order is not None
        assert order.headers[COMMAND] != dead.headers[COMMAND]
        assert await _orders(staffed, accounts.buyer) == 1


@pytest.mark.parametrize("key", ["x" * 256, "a\tb"])
async def test_a_key_that_cannot_be_used_is_refused(
    system: System, buyer: Person, show: Sale, key: str
) -> None:
    """400: the client would believe itself protected."""
    answer = await system.api(buyer).post("/api/orders", items((show.ticket_type, 1)), key=key)
    assert (answer.status, answer.code) == (400, "INVALID")
    assert await _orders(system, buyer) == 0


async def test_the_key_is_looked_up_before_anything_is_refused(
    system: System, buyer: Person, organizer: Person
) -> None:
    """An order that took the last ticket is replayed, not told that all is gone, nor that its type is."""
    show = await sale(system, organizer, 1)
    api, body = system.api(buyer), items((show.ticket_type, 1))
    first = await api.post("/api/orders", body, key="last")
    assert first.status == 201

    async def door_shut() -> bool:
        answer = await api.post("/api/orders", body)
        return answer.code == "SOLD_OUT" and COMMAND not in answer.headers

    await eventually(door_shut)
    _same(first, await api.post("/api/orders", body, key="last"))
