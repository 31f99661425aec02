"""What becomes of a delivery: tried again, in order, around dead and hostile receivers, by one worker at a time."""

import asyncio
from dataclasses import replace

import pytest
from aiohttp import web

from contracts.webhooks.messages import PING
from db.mysql.database import Database
from tests.harness.people import person
from tests.harness.system import System
from tests.harness.waiting import eventually
from tests.integration.notify.conftest import (
    QUICK,
    Newsroom,
    closed,
    confirmed,
    hook,
    notifying,
    placed,
)
from tests.integration.notify.receiver import Call, Receiver, always, in_turn


@pytest.mark.usefixtures("notify")
async def test_a_failing_receiver_is_tried_again_under_the_same_id(
    house: System, database: Database, receiver: Receiver, newsroom: Newsroom
) -> None:
    """500, 503, then 200: one delivery, three attempts in the log, one `webhook-id`, each freshly signed."""
    buyer = await person(database)
    made = await hook(house, buyer, receiver, "/moody")
    receiver.answers["/moody"] = in_turn(500, 503, 200)
    envelope = await newsroom.tell_order(placed(buyer))
    calls = await receiver.heard("/moody", 3)
    assert {call.id for call in calls} == {envelope.id}
    for call in calls:
        call.verified_by(made.secret)
    assert await closed(database, made) == [(envelope.id, "DELIVERED", 3, None)]
    api = house.api(buyer)
    listed = (await api.get(f"/api/webhooks/{made.id}/deliveries")).body["data"]
    shown = (await api.get(f"/api/webhooks/{made.id}/deliveries/{listed[0]['id']}")).body
    assert [one["statusCode"] for one in shown["attemptLog"]] == [500, 503, 200]


@pytest.mark.usefixtures("notify")
async def test_a_later_event_of_an_order_waits_for_the_earlier_one(
    house: System, database: Database, receiver: Receiver, newsroom: Newsroom
) -> None:
    """While an order's first event is being retried its second waits; another order's goes by."""
    buyer = await person(database)
    await hook(house, buyer, receiver, "/order")
    first, other = placed(buyer), placed(buyer)
    stuck, passed, paid = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def refuse_the_first(call: Call) -> web.Response:
        about_other = call.body["data"]["id"] == other.order["id"]
        if about_other:
            passed.set()
        stuck.set()
        return web.Response(status=204 if about_other or paid.is_set() else 500)

    receiver.answers["/order"] = refuse_the_first
    await newsroom.tell_order(first)
    await stuck.wait()
    await newsroom.tell_order(confirmed(first, buyer))
    await newsroom.tell_order(other)
    await passed.wait()
    told = [
        c.body["sequence"]
        for c in receiver.calls["/order"]
        if c.body["data"]["id"] == first.order["id"]
    ]
    assert set(told) == {1}
    paid.set()

    async def look() -> bool:
        return receiver.calls["/order"][-1].body["sequence"] == 2

    assert await eventually(look)
    of_first = [
        c.body["sequence"]
        for c in receiver.calls["/order"]
        if c.body["data"]["id"] == first.order["id"]
    ]
    assert of_first == sorted(of_first)


async def test_an_order_is_not_held_up_for_ever(
    house: System, database: Database, receiver: Receiver, newsroom: Newsroom
) -> None:
    """Once an event has been retried for longer than the hold, later ones of its order go past it."""
    buyer = await person(database)
    await hook(house, buyer, receiver, "/past")
    first = placed(buyer)

    async def refuse_the_placed(call: Call) -> web.Response:
        return web.Response(status=500 if call.body["type"] == "order.placed" else 204)

    receiver.answers["/past"] = refuse_the_placed
    impatient = replace(QUICK, delays=(0.05, *[3600.0] * 9), hold=0.0, window=86400.0)
    async with notifying(house.settings, policy=impatient):
        await newsroom.tell_order(first)
        await receiver.heard("/past", 2)
        await newsroom.tell_order(confirmed(first, buyer))
        calls = await receiver.heard("/past", 3)
    assert [call.body["sequence"] for call in calls] == [1, 1, 2]


async def test_a_dead_receiver_slows_no_other(
    house: System, database: Database, receiver: Receiver, newsroom: Newsroom
) -> None:
    """While one receiver never answers at all, another hears every event."""
    deaf, lively = await person(database), await person(database, "ORGANIZER")
    await hook(house, deaf, receiver, "/deaf")
    await hook(house, lively, receiver, "/lively")
    never = asyncio.Event()

    async def hang(_: Call) -> web.Response:
        await never.wait()
        return web.Response(status=204)

    receiver.answers["/deaf"] = hang
    async with notifying(house.settings):
        told = [await newsroom.tell_order(placed(deaf, lively)) for _ in range(60)]
        calls = await receiver.heard("/lively", len(told))
        assert {call.id for call in calls} == {one.id for one in told}
        assert 1 <= len(receiver.calls["/deaf"]) <= QUICK.concurrency
        never.set()


@pytest.mark.usefixtures("notify")
async def test_retry_after_leaves_the_whole_receiver_alone(
    house: System, database: Database, receiver: Receiver, newsroom: Newsroom
) -> None:
    """429 with Retry-After: this delivery and all others wait that long; a ping ends the wait at once."""
    buyer, witness = await person(database), await person(database, "ORGANIZER")
    made = await hook(house, buyer, receiver, "/busy")
    await hook(house, witness, receiver, "/witness")
    receiver.answers["/busy"] = always(429, Retry_After="3600")
    await newsroom.tell_order(placed(buyer, witness))

    async def waits() -> bool:
        rows = await database.read(
            "SELECT next_attempt_at > UTC_TIMESTAMP(6) + INTERVAL 3000 SECOND FROM webhook_deliveries "
            "WHERE endpoint_id = %s AND attempts = 1",
            made.id,
        )
        return bool(rows) and bool(rows[0][0])

    assert await eventually(waits)
    later = [await newsroom.tell_order(placed(buyer, witness)) for _ in range(3)]
    await receiver.heard("/witness", 4)
    assert len(receiver.calls["/busy"]) == 1
    receiver.answers["/busy"] = always(204)
    await house.api(buyer).post(f"/api/webhooks/{made.id}/ping")
    calls = await receiver.heard("/busy", 5)
    assert calls[1].body["type"] == PING
    assert {call.id for call in calls[2:]} == {one.id for one in later}


@pytest.mark.usefixtures("notify")
async def test_a_redirect_is_not_followed(
    house: System, database: Database, receiver: Receiver, newsroom: Newsroom
) -> None:
    """A 302 is a failure like any other; where it points to hears nothing."""
    buyer = await person(database)
    made = await hook(house, buyer, receiver, "/moved")
    receiver.answers["/moved"] = always(302, Location=receiver.url("/trap"))
    await newsroom.tell_order(placed(buyer))
    ((_, status, attempts, error),) = await closed(database, made)
    assert (status, attempts) == ("FAILED", 11)
    assert error == "answered 302: redirects are not followed"
    assert receiver.calls["/trap"] == []


@pytest.mark.usefixtures("notify")
async def test_an_endless_answer_is_cut_off(
    house: System, database: Database, receiver: Receiver, newsroom: Newsroom
) -> None:
    """A receiver that never stops talking has answered all the same; we read a little and leave."""
    buyer = await person(database)
    made = await hook(house, buyer, receiver, "/endless")
    left = asyncio.Event()

    async def endless(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(status=200)
        await response.prepare(request)
        try:
            while True:
                await response.write(b"x" * 65536)
        finally:
            left.set()

    receiver.streams["/endless"] = endless
    await newsroom.tell_order(placed(buyer))
    ((_, status, attempts, _),) = await closed(database, made)
    assert (status, attempts) == ("DELIVERED", 1)
    await left.wait()


async def test_several_workers_share_the_receivers(
    house: System, database: Database, receiver: Receiver, newsroom: Newsroom
) -> None:
    """Two workers, eight receivers, one worker leaves in the middle: everybody hears everything, in order."""
    buyer = await person(database)
    for number in range(8):
        await hook(house, buyer, receiver, f"/shared{number}")
    async with notifying(house.settings, "notify-2"):
        async with notifying(house.settings, "notify-1"):
            first = [placed(buyer) for _ in range(20)]
            for event in first:
                await newsroom.tell_order(event)
            for number in range(8):
                await receiver.heard(f"/shared{number}", 20)
        for event in first:
            await newsroom.tell_order(confirmed(event, buyer))
        for number in range(8):
            calls = await receiver.heard(f"/shared{number}", 40)
            sequences: dict[int, list[int]] = {}
            for call in calls:
                sequences.setdefault(call.body["data"]["id"], []).append(call.body["sequence"])
            assert list(sequences.values()) == [[1, 2]] * 20


async def test_what_a_stopped_worker_had_begun_is_sent_by_the_next(
    house: System, database: Database, receiver: Receiver, newsroom: Newsroom
) -> None:
    """An attempt that nobody saw the end of is repeated, under the same id."""
    buyer = await person(database)
    made = await hook(house, buyer, receiver, "/hung")
    never = asyncio.Event()

    async def hang(_: Call) -> web.Response:
        await never.wait()
        return web.Response(status=204)

    receiver.answers["/hung"] = hang
    async with notifying(house.settings):
        envelope = await newsroom.tell_order(placed(buyer))
        await receiver.heard("/hung")
    receiver.answers["/hung"] = always(204)
    async with notifying(house.settings):
        calls = await receiver.heard("/hung", 2)
        assert {call.id for call in calls} == {envelope.id}
        assert await closed(database, made) == [(envelope.id, "DELIVERED", 1, None)]
    never.set()
