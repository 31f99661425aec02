"""When a webhook falls silent and when it speaks again: 410, ping, resend, rotation, deletion."""

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
    delivery_rows,
    hook,
    notifying,
    placed,
)
from tests.integration.notify.receiver import Call, Receiver, always


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


@pytest.mark.parametrize("got_through", [False, True])
async def test_three_days_of_nothing_disable_a_webhook(
    house: System, database: Database, receiver: Receiver, newsroom: Newsroom, got_through: bool
) -> None:
    """A message that used up its attempts disables its webhook, unless another one got through meanwhile."""
    buyer = await person(database)
    made = await hook(house, buyer, receiver, "/poor")
    doomed, fine = placed(buyer), placed(buyer)

    async def answer(call: Call) -> web.Response:
        return web.Response(status=204 if call.body["data"]["id"] == fine.order["id"] else 400)

    async def states() -> list[tuple[str, int]]:
        return [(row[1], row[2]) for row in await delivery_rows(database, made)]

    receiver.answers["/poor"] = answer
    async with notifying(house.settings, policy=replace(QUICK, delays=(3600.0,) * 3)):
        await newsroom.tell_order(doomed)

        async def tried_once() -> bool:
            return await states() == [("PENDING", 1)]

        async def got_one() -> bool:
            return ("DELIVERED", 1) in await states()

        await eventually(tried_once)
        if got_through:
            await newsroom.tell_order(fine)
            await eventually(got_one)
        await database.write(
            "UPDATE webhook_deliveries SET tries = 3, next_attempt_at = UTC_TIMESTAMP(6) "
            "WHERE endpoint_id = %s AND status = 'PENDING'",
            made.id,
        )
        await closed(database, made, 1 + got_through)
    assert await states() == [("FAILED", 2), ("DELIVERED", 1)][: 1 + got_through]
    shown = (await house.api(buyer).get(f"/api/webhooks/{made.id}")).body
    wanted = ("ACTIVE", None) if got_through else ("DISABLED", "FAILING")
    assert (shown["status"], shown["disabledReason"]) == wanted


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
