"""What becomes of a delivery: tried again, in order, around dead and hostile receivers, by one worker at a time."""

import asyncio
from dataclasses import replace

import pytest
from aiohttp import web

from contracts.webhooks import PING
from db.mysql import Database
from tests.harness.people import person
from tests.harness.system import System
from tests.harness.waiting import eventually
from tests.integration.notify.conftest import (
    QUICK,
    Hook,
    Newsroom,
    confirmed,
    delivery_rows,
    hook,
    notifying,
    placed,
)
from tests.integration.notify.receiver import Call, Receiver, always, in_turn


async def closed(
    database: Database, made: Hook, count: int = 1
) -> list[tuple[str, str, int, str | None]]:
    """The rows of a webhook's deliveries, once so many exist and none is pending."""

    async def look() -> list[tuple[str, str, int, str | None]] | None:
        rows = await delivery_rows(database, made)
        done = len(rows) >= count and all(row[1] != "PENDING" for row in rows)
        return rows if done else None

    found = await eventually(look)
    assert found is not None
    return found


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
async def test_gone_is_gone_until_a_ping_is_answered(
    house: System, database: Database, receiver: Receiver, newsroom: Newsroom
) -> None:
    """410 disables the webhook: nothing more is sent. Its owner pings it; a 2xx makes it active again."""
    buyer = await person(database)
    made = await hook(house, buyer, receiver, "/gone")
    receiver.answers["/gone"] = always(410)
    await newsroom.tell_order(placed(buyer))
    api = house.api(buyer)

    async def status() -> str:
        shown = await api.get(f"/api/webhooks/{made.id}")
        return f"{shown.body['status']} {shown.body['disabledReason']}"

    async def disabled() -> bool:
        return await status() == "DISABLED GONE"

    async def active() -> bool:
        return await status() == "ACTIVE None"

    assert await eventually(disabled)
    await newsroom.tell_order(placed(buyer))
    receiver.answers["/gone"] = always(204)
    ping = await api.post(f"/api/webhooks/{made.id}/ping")
    assert ping.status == 202
    assert ping.body["eventType"] == PING
    calls = await receiver.heard("/gone", 2)
    assert [call.body["type"] for call in calls] == ["order.placed", PING]
    assert await eventually(active)


@pytest.mark.usefixtures("notify")
async def test_what_was_under_way_does_not_undo_gone(
    house: System, database: Database, receiver: Receiver, newsroom: Newsroom
) -> None:
    """410 counts although another message, begun before, gets through after it."""
    buyer = await person(database)
    made = await hook(house, buyer, receiver, "/leaving")
    slow, last = placed(buyer), placed(buyer)
    begun, gone = asyncio.Event(), asyncio.Event()

    async def leave(call: Call) -> web.Response:
        if call.body["data"]["id"] == last.order["id"]:
            return web.Response(status=410)
        begun.set()
        await gone.wait()
        return web.Response(status=204)

    receiver.answers["/leaving"] = leave
    await newsroom.tell_order(slow)
    await begun.wait()
    await newsroom.tell_order(last)

    async def disabled() -> bool:
        shown = await house.api(buyer).get(f"/api/webhooks/{made.id}")
        return bool(shown.body["disabledReason"] == "GONE")

    await eventually(disabled)
    gone.set()
    rows = await closed(database, made, 2)
    assert {row[1] for row in rows} == {"DELIVERED", "FAILED"}
    assert await disabled()


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


@pytest.mark.parametrize("got_through", [False, True])
async def test_three_days_of_nothing_disable_a_webhook(
    house: System, database: Database, receiver: Receiver, newsroom: Newsroom, got_through: bool
) -> None:
    """A message that used up its attempts disables its webhook, unless another one got through meanwhile."""
    buyer = await person(database)
    made = await hook(house, buyer, receiver, "/poor")
    doomed, fine = placed(buyer), placed(buyer)
    heard_fine = asyncio.Event()

    async def answer(call: Call) -> web.Response:
        if call.body["data"]["id"] == fine.order["id"]:
            heard_fine.set()
            return web.Response(status=204)
        if got_through and len(receiver.calls["/poor"]) > 1:
            await heard_fine.wait()
        return web.Response(status=400)

    receiver.answers["/poor"] = answer
    async with notifying(house.settings, policy=replace(QUICK, delays=(0.05,) * 3)):
        await newsroom.tell_order(doomed)
        await receiver.heard("/poor")
        if got_through:
            await newsroom.tell_order(fine)
        rows = await closed(database, made, 1 + got_through)
    assert [row[1:3] for row in rows] == [("FAILED", 4), ("DELIVERED", 1)][: 1 + got_through]
    shown = (await house.api(buyer).get(f"/api/webhooks/{made.id}")).body
    wanted = ("ACTIVE", None) if got_through else ("DISABLED", "FAILING")
    assert (shown["status"], shown["disabledReason"]) == wanted


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


@pytest.mark.usefixtures("notify")
async def test_resend_sends_the_same_message_again(
    house: System, database: Database, receiver: Receiver, newsroom: Newsroom
) -> None:
    """A delivered message goes out again, same id and body; it stays one delivery."""
    buyer = await person(database)
    made = await hook(house, buyer, receiver, "/again")
    envelope = await newsroom.tell_order(placed(buyer))
    await closed(database, made)
    api = house.api(buyer)
    (listed,) = (await api.get(f"/api/webhooks/{made.id}/deliveries")).body["data"]
    answer = await api.post(f"/api/webhooks/{made.id}/deliveries/{listed['id']}/resend")
    assert (answer.status, answer.body["status"]) == (202, "PENDING")
    first, second = await receiver.heard("/again", 2)
    assert first.id == second.id == envelope.id
    assert first.raw == second.raw
    assert await closed(database, made) == [(envelope.id, "DELIVERED", 2, None)]


async def test_a_resend_during_an_attempt_is_not_lost(
    house: System, database: Database, receiver: Receiver, newsroom: Newsroom
) -> None:
    """Asked for while the attempt before it is still on its way: when that one fails, the new round begins at once."""
    buyer = await person(database)
    made = await hook(house, buyer, receiver, "/overlap")
    asked = asyncio.Event()

    async def fail_once_asked(_: Call) -> web.Response:
        if asked.is_set():
            return web.Response(status=204)
        await asked.wait()
        return web.Response(status=500)

    receiver.answers["/overlap"] = fail_once_asked
    patient = replace(QUICK, delays=(3600.0,) * 10)
    async with notifying(house.settings, policy=patient):
        await newsroom.tell_order(placed(buyer))
        await receiver.heard("/overlap")
        api = house.api(buyer)
        (listed,) = (await api.get(f"/api/webhooks/{made.id}/deliveries")).body["data"]
        await api.post(f"/api/webhooks/{made.id}/deliveries/{listed['id']}/resend")
        asked.set()
        ((_, status, attempts, _),) = await closed(database, made)
    assert (status, attempts) == ("DELIVERED", 2)


@pytest.mark.usefixtures("notify")
async def test_resend_frees_what_waited_behind(
    house: System, database: Database, receiver: Receiver, newsroom: Newsroom
) -> None:
    """Asked for again, a delivery holds nothing back any more."""
    buyer = await person(database)
    made = await hook(house, buyer, receiver, "/freed")
    receiver.answers["/freed"] = always(503, Retry_After="3600")
    first = placed(buyer)
    await newsroom.tell_order(first)
    await receiver.heard("/freed")
    second = await newsroom.tell_order(confirmed(first, buyer))

    async def both() -> bool:
        return len(await delivery_rows(database, made)) == 2

    await eventually(both)
    receiver.answers["/freed"] = always(204)
    api = house.api(buyer)
    listed = (await api.get(f"/api/webhooks/{made.id}/deliveries")).body["data"]
    await api.post(f"/api/webhooks/{made.id}/deliveries/{listed[-1]['id']}/resend")
    calls = await receiver.heard("/freed", 3)
    assert second.id in {call.id for call in calls}


@pytest.mark.usefixtures("notify")
async def test_after_a_rotation_both_secrets_sign_for_a_day(
    house: System, database: Database, receiver: Receiver, newsroom: Newsroom
) -> None:
    """Old and new secret verify each message; when the day is over only the new one does."""
    buyer = await person(database)
    made = await hook(house, buyer, receiver, "/rotated")
    rotated = await house.api(buyer).post(f"/api/webhooks/{made.id}/rotate-secret")
    fresh = rotated.body["secret"]
    assert (rotated.status, fresh == made.secret) == (200, False)
    await newsroom.tell_order(placed(buyer))
    (call,) = await receiver.heard("/rotated")
    call.verified_by(fresh)
    call.verified_by(made.secret)
    assert len(call.headers["webhook-signature"].split(" ")) == 2
    await database.write(
        "UPDATE webhook_endpoints SET previous_until = UTC_TIMESTAMP(6) - INTERVAL 1 SECOND "
        "WHERE id = %s",
        made.id,
    )
    await newsroom.tell_order(placed(buyer))
    after = (await receiver.heard("/rotated", 2))[1]
    after.verified_by(fresh)
    assert len(after.headers["webhook-signature"].split(" ")) == 1


@pytest.mark.usefixtures("notify")
async def test_a_deleted_webhook_hears_nothing_more(
    house: System, database: Database, receiver: Receiver, newsroom: Newsroom
) -> None:
    """What was still being retried is given up; the secret is gone from the database."""
    buyer = await person(database)
    made = await hook(house, buyer, receiver, "/deleted")
    receiver.answers["/deleted"] = always(503, Retry_After="3600")
    await newsroom.tell_order(placed(buyer))
    await receiver.heard("/deleted")

    async def written() -> bool:
        return [row[2] for row in await delivery_rows(database, made)] == [1]

    await eventually(written)
    assert (await house.api(buyer).delete(f"/api/webhooks/{made.id}")).status == 204
    await database.write(
        "UPDATE webhook_deliveries SET next_attempt_at = UTC_TIMESTAMP(6) WHERE endpoint_id = %s",
        made.id,
    )
    ((_, status, _, error),) = await closed(database, made)
    assert (status, error) == ("FAILED", "the endpoint is deleted")
    assert len(receiver.calls["/deleted"]) == 1
    rows = await database.read("SELECT secret FROM webhook_endpoints WHERE id = %s", made.id)
    assert rows[0][0] == b""


@pytest.mark.usefixtures("notify")
async def test_a_disabled_account_hears_nothing_more(
    house: System, database: Database, receiver: Receiver, newsroom: Newsroom
) -> None:
    """What was still being retried for it is given up."""
    buyer = await person(database)
    made = await hook(house, buyer, receiver, "/locked-out")
    await database.write(
        "UPDATE webhook_endpoints SET paused_until = UTC_TIMESTAMP(6) + INTERVAL 1 HOUR, failures = 9 "
        "WHERE id = %s",
        made.id,
    )
    await newsroom.tell_order(placed(buyer))

    async def waiting() -> bool:
        return [row[1] for row in await delivery_rows(database, made)] == ["PENDING"]

    await eventually(waiting)
    await database.write("UPDATE users SET status = 'DISABLED' WHERE id = %s", buyer.id)
    ((_, status, attempts, error),) = await closed(database, made)
    assert (status, attempts, error) == ("FAILED", 0, "the endpoint is disabled")
    assert receiver.calls["/locked-out"] == []


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
