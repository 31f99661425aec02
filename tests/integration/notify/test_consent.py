"""A webhook hears nothing before its receiver has agreed, and a receiver that has not is asked ten times an hour."""

import asyncio
from typing import Any

import pytest

from db.mysql.database import Database
from tests.harness.accounts import Person, person
from tests.harness.system import Api, System
from tests.harness.waiting import eventually
from tests.integration.notify.conftest import EventPublisher, closed, delivery_rows, hook, placed
from tests.integration.notify.receiver import Receiver, always


async def make(api: Api, url: str, **options: Any) -> Any:
    """A webhook as clients make it: its body."""
    answer = await api.post("/api/webhooks", {"url": url, "eventTypes": ["*"]}, **options)
    assert answer.status == 201, answer.body
    return answer.body


async def turned(api: Api, webhook_id: int, status: str) -> dict[str, Any]:
    """The webhook, once it has this status."""

    async def look() -> dict[str, Any] | None:
        shown = (await api.get(f"/api/webhooks/{webhook_id}")).body
        return shown if shown["status"] == status else None

    found = await eventually(look)
    assert found is not None
    return found


async def all_told(
    event_publisher: EventPublisher, system: System, receiver: Receiver, database: Database
) -> None:
    """Wait until what was published before has been dealt with: a webhook that is there hears of something later."""
    witness = await person(database)
    await hook(system, witness, receiver, "/witness")
    await event_publisher.tell_order(placed(witness))
    await receiver.heard("/witness")


@pytest.mark.usefixtures("notify")
async def test_a_new_webhook_is_pinged_and_hears_once_it_has_answered(
    system: System, database: Database, receiver: Receiver, event_publisher: EventPublisher
) -> None:
    """One signed ping by itself; 2xx makes it ACTIVE; then it hears."""
    buyer = await person(database)
    api = system.api(buyer)
    made = await make(api, receiver.url("/agreed"))
    (ping,) = await receiver.heard("/agreed")
    assert ping.verified_by(made["secret"])["type"] == "webhook.ping"
    await turned(api, made["id"], "ACTIVE")
    told = await event_publisher.tell_order(placed(buyer))
    await receiver.heard_of("/agreed", told.id)


@pytest.mark.usefixtures("notify")
async def test_who_has_not_agreed_hears_nothing_but_pings(
    system: System, database: Database, receiver: Receiver, event_publisher: EventPublisher
) -> None:
    """A stranger who answers 404: one ping, no event; and nothing can be sent again to it but that ping."""
    buyer = await person(database)
    api = system.api(buyer)
    receiver.answers["/stranger"] = always(404)
    made = await make(api, receiver.url("/stranger"))
    await receiver.heard("/stranger")
    await event_publisher.tell_order(placed(buyer))
    await all_told(event_publisher, system, receiver, database)
    assert [call.body["type"] for call in receiver.calls["/stranger"]] == ["webhook.ping"]
    assert (await api.get(f"/api/webhooks/{made['id']}")).body["status"] == "PENDING"
    receiver.answers["/stranger"] = always(204)
    assert (await api.post(f"/api/webhooks/{made['id']}/ping")).status == 202
    await turned(api, made["id"], "ACTIVE")


@pytest.mark.usefixtures("notify")
async def test_who_says_gone_to_a_ping_is_asked_no_more(
    system: System, database: Database, receiver: Receiver
) -> None:
    """410: DISABLED and GONE; switched on by its owner it is PENDING and has to answer a ping."""
    api = system.api(await person(database))
    receiver.answers["/gone"] = always(410)
    made = await make(api, receiver.url("/gone"))
    assert (await turned(api, made["id"], "DISABLED"))["disabledReason"] == "GONE"
    receiver.answers["/gone"] = always(204)
    again = await api.patch(f"/api/webhooks/{made['id']}", {"status": "ACTIVE"})
    assert (again.body["status"], again.body["disabledReason"]) == ("PENDING", None)
    await receiver.heard("/gone", 2)
    await turned(api, made["id"], "ACTIVE")


async def test_ten_pings_an_hour_whatever_causes_them(
    system: System, database: Database, receiver: Receiver
) -> None:
    """Its making, another URL, asking, asking again: ten in all, then 429 with Retry-After; an hour later again."""
    api = system.api(await person(database))
    made = await make(api, receiver.url("/one"))
    path = f"/api/webhooks/{made['id']}"
    assert (await api.patch(path, {"url": receiver.url("/two")})).status == 200
    pings = [await api.post(f"{path}/ping") for _ in range(7)]
    assert {one.status for one in pings} == {202}
    again = f"{path}/deliveries/{pings[0].body['id']}/resend"
    assert (await api.post(again)).status == 202
    for method, where, body in (
        ("POST", f"{path}/ping", None),
        ("POST", again, None),
        ("PATCH", path, {"url": receiver.url("/three")}),
    ):
        refused = await api.call(method, where, body)
        assert (refused.status, refused.code) == (429, "RATE_LIMITED"), where
        assert 3500 < int(refused.headers["Retry-After"]) <= 3601
    assert (await api.get(path)).body["url"] == receiver.url("/two")
    await database.write(
        "UPDATE webhook_pings SET created_at = created_at - INTERVAL 1 HOUR WHERE endpoint_id = %s",
        made["id"],
    )
    assert (await api.post(f"{path}/ping")).status == 202


async def test_pings_at_once_are_counted_one_by_one(
    system: System, database: Database, receiver: Receiver
) -> None:
    """Thirty at the same moment: nine more go (the first was its making's), the others are told to wait."""
    api = system.api(await person(database))
    made = await make(api, receiver.url("/crowd"))
    path = f"/api/webhooks/{made['id']}/ping"
    answers = await asyncio.gather(*(api.post(path) for _ in range(30)))
    assert sorted(one.status for one in answers) == [202] * 9 + [429] * 21


async def test_making_and_deleting_webhooks_is_no_cannon(
    system: System, database: Database, receiver: Receiver
) -> None:
    """An account's pings are counted over its webhooks, deleted ones too: sixty an hour."""
    owner = await person(database)
    api = system.api(owner)
    await database.write(
        "INSERT INTO webhook_pings (user_id, endpoint_id, created_at) "
        "SELECT %s, seq.n, UTC_TIMESTAMP(6) FROM (WITH RECURSIVE seq (n) AS (SELECT 1 UNION ALL "
        "SELECT n + 1 FROM seq WHERE n < 59) SELECT n FROM seq) AS seq",
        owner.id,
    )
    made = await make(api, receiver.url("/last"))
    await api.delete(f"/api/webhooks/{made['id']}")
    body = {"url": receiver.url("/over"), "eventTypes": ["*"]}
    refused = await api.post("/api/webhooks", body)
    assert (refused.status, refused.code) == (429, "RATE_LIMITED")
    assert (await api.get("/api/webhooks")).body["data"] == []


@pytest.mark.usefixtures("notify")
async def test_another_url_has_to_agree_for_itself(
    system: System, database: Database, receiver: Receiver, event_publisher: EventPublisher
) -> None:
    """What is on its way waits for the new URL's answer and is sent then, to the new URL."""
    buyer = await person(database)
    api = system.api(buyer)
    made = await hook(system, buyer, receiver, "/old")
    receiver.answers["/old"] = always(503, Retry_After="3600")
    receiver.answers["/new"] = always(500)
    told = await event_publisher.tell_order(placed(buyer))
    await receiver.heard("/old")

    async def tried() -> bool:
        return [row[2] for row in await delivery_rows(database, made)] == [1]

    await eventually(tried)
    patched = await api.patch(f"/api/webhooks/{made.id}", {"url": receiver.url("/new")})
    assert (patched.status, patched.body["status"]) == (200, "PENDING")
    await receiver.heard("/new")
    due = "UPDATE webhook_deliveries SET next_attempt_at = UTC_TIMESTAMP(6) WHERE event_id = %s"
    await database.write(due, told.id)
    await all_told(event_publisher, system, receiver, database)
    assert {call.body["type"] for call in receiver.calls["/new"]} == {"webhook.ping"}
    receiver.answers["/new"] = always(204)
    await api.post(f"/api/webhooks/{made.id}/ping")
    await turned(api, made.id, "ACTIVE")
    await database.write(due, told.id)
    await receiver.heard_of("/new", told.id)
    assert len(receiver.calls["/old"]) == 1


@pytest.mark.usefixtures("notify")
async def test_an_old_urls_answer_agrees_to_nothing(
    system: System, database: Database, receiver: Receiver
) -> None:
    """The ping of the first URL is answered after the webhook has moved: it is PENDING still."""
    api = system.api(await person(database))
    moved = asyncio.Event()

    async def answer_late(_: object) -> Any:
        await moved.wait()
        return await always(204)(None)  # type: ignore[arg-type]  # it looks at nothing

    receiver.answers["/first"] = answer_late
    receiver.answers["/second"] = always(500)
    made = await make(api, receiver.url("/first"))
    await receiver.heard("/first")
    path = f"/api/webhooks/{made['id']}"
    assert (await api.patch(path, {"url": receiver.url("/second")})).status == 200
    moved.set()
    await receiver.heard("/second")

    async def all_closed() -> bool:
        listed = (await api.get(f"{path}/deliveries")).body["data"]
        return all(one["status"] != "PENDING" for one in listed)

    await eventually(all_closed)
    assert (await api.get(path)).body["status"] == "PENDING"


@pytest.mark.usefixtures("notify")
async def test_its_owner_switches_a_webhook_off_and_on(
    system: System, database: Database, receiver: Receiver, event_publisher: EventPublisher
) -> None:
    """Off: DISABLED (OWNER), no event, and a ping that is answered does not switch it on; on: ACTIVE at once."""
    buyer = await person(database)
    api = system.api(buyer)
    made = await hook(system, buyer, receiver, "/switch")
    path = f"/api/webhooks/{made.id}"
    off = await api.patch(path, {"status": "DISABLED", "eventTypes": ["order.placed"]})
    assert (off.body["status"], off.body["disabledReason"]) == ("DISABLED", "OWNER")
    assert off.body["eventTypes"] == ["order.placed"]
    await event_publisher.tell_order(placed(buyer))
    await api.post(f"{path}/ping")
    await closed(database, made)
    await all_told(event_publisher, system, receiver, database)
    assert [call.body["type"] for call in receiver.calls["/switch"]] == ["webhook.ping"]
    assert (await api.get(path)).body["status"] == "DISABLED"
    assert (await api.patch(path, {"status": "ACTIVE"})).body["status"] == "ACTIVE"
    told = await event_publisher.tell_order(placed(buyer))
    await receiver.heard_of("/switch", told.id)


async def test_a_patch_says_only_what_may_be_changed(
    system: System, database: Database, receiver: Receiver
) -> None:
    """Nothing is nothing; other members, states and URLs are refused; a stranger's webhook is 404."""
    owner = await person(database)
    api, made = system.api(owner), await hook(system, owner, receiver, "/patched")
    path = f"/api/webhooks/{made.id}"
    before = (await api.get(path)).body
    same = await api.patch(path, {})
    assert (same.status, same.body["status"], same.body["url"]) == (200, "ACTIVE", before["url"])
    bodies: tuple[dict[str, Any], ...] = (
        {"status": "PENDING"},
        {"status": None},
        {"secret": "whsec_mine"},
        {"url": ""},
        {"url": "ftp://example.com/"},
        {"eventTypes": []},
        {"eventTypes": None},
    )
    for body in bodies:
        assert (await api.patch(path, body)).code == "INVALID", body
    stranger = system.api(await person(database))
    assert (await stranger.patch(path, {})).code == "NOT_FOUND"


async def rows_of(database: Database, owner: Person) -> int:
    """How many webhooks an account has ever made."""
    rows = await database.read(
        "SELECT COUNT(*) FROM webhook_endpoints WHERE user_id = %s", owner.id
    )
    return int(rows[0][0])


async def test_a_key_makes_one_webhook(
    system: System, database: Database, receiver: Receiver
) -> None:
    """Again and at once: one webhook, the same answer with its secret; for anything else the key is 422."""
    owner = await person(database)
    api = system.api(owner)
    body = {"url": receiver.url("/keyed"), "eventTypes": ["*"]}
    answers = await asyncio.gather(*(api.post("/api/webhooks", body, key="one") for _ in range(5)))
    answers.append(await api.post("/api/webhooks", body, key="one"))
    assert [one.status for one in answers] == [201] * 6
    assert len({one.body["secret"] for one in answers}) == 1
    assert answers[-1].headers["Idempotent-Replayed"] == "true"
    assert answers[-1].headers["Location"] == f"/api/webhooks/{answers[0].body['id']}"
    assert await rows_of(database, owner) == 1
    other = body | {"eventTypes": ["order.placed"]}
    assert (await api.post("/api/webhooks", other, key="one")).code == "IDEMPOTENCY_MISMATCH"
    rotate = f"/api/webhooks/{answers[0].body['id']}/rotate-secret"
    assert (await api.post(rotate, key="one")).code == "IDEMPOTENCY_MISMATCH"
    stored = await database.read(
        "SELECT body FROM command_outcomes WHERE user_id = %s AND type = 'CreateWebhook'", owner.id
    )
    assert len(stored) == 1
    assert answers[0].body["secret"] not in stored[0][0]


async def test_a_key_has_one_meaning_over_commands_too(
    system: System, database: Database, receiver: Receiver
) -> None:
    """Used for a webhook, it is no command's any more."""
    api = system.api(await person(database, "ORGANIZER"))
    body = {"url": receiver.url("/keyed"), "eventTypes": ["*"]}
    assert (await api.post("/api/webhooks", body, key="k")).status == 201
    event = {
        "name": "x",
        "startTime": "2030-01-01T18:00:00Z",
        "endTime": "2030-01-01T23:00:00Z",
    }
    refused = await api.post("/api/events", event, key="k", wait=None)
    assert refused.code == "IDEMPOTENCY_MISMATCH"


@pytest.mark.usefixtures("notify")
async def test_every_secret_signs_for_a_day_however_often_it_is_replaced(
    system: System, database: Database, receiver: Receiver, event_publisher: EventPublisher
) -> None:
    """Three quick rotations: all four verify. A key that is repeated rotates once. Twenty old ones are enough."""
    buyer = await person(database)
    made = await hook(system, buyer, receiver, "/rotated-often")
    api, path = system.api(buyer), f"/api/webhooks/{made.id}/rotate-secret"
    secrets = [made.secret]
    for number in range(3):
        first, again = [await api.post(path, key=f"turn-{number}") for _ in range(2)]
        assert (first.status, again.headers["Idempotent-Replayed"]) == (200, "true")
        assert first.body == again.body
        secrets.append(first.body["secret"])
    await event_publisher.tell_order(placed(buyer))
    (call,) = await receiver.heard("/rotated-often")
    for secret in secrets:
        call.verified_by(secret)
    assert len(call.headers["webhook-signature"].split(" ")) == 4
    for _ in range(17):
        assert (await api.post(path)).status == 200
    refused = await api.post(path)
    assert (refused.status, refused.code) == (429, "RATE_LIMITED")
    assert int(refused.headers["Retry-After"]) > 80_000
    await api.delete(f"/api/webhooks/{made.id}")
    left = await database.read(
        "SELECT COUNT(*) FROM webhook_old_secrets WHERE endpoint_id = %s", made.id
    )
    assert left == [(0,)]
