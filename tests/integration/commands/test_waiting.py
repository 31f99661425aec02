"""One call, three speeds: 202 and poll, long-poll or stream, Prefer: wait. Whatever is away, waits end in time."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import aiohttp
import orjson
import pytest

from db.mysql.database import Database
from gateway.resources import commands
from scripts.proving.proxy import Mode, Proxy
from tests.harness.accounts import Person, person
from tests.harness.sales import Sale, items, sale
from tests.harness.scratch import Scratch
from tests.harness.system import Answer, Api, System, running
from tests.harness.waiting import eventually
from tests.integration.commands.conftest import WORKERS, Accounts


@pytest.fixture(scope="module")
async def system(own_scratch: Scratch) -> AsyncIterator[System]:
    async with running(own_scratch, workers=WORKERS) as started:
        yield started


@pytest.fixture
async def show(system: System, organizer: Person) -> Sale:
    return await sale(system, organizer, 10)


async def test_without_prefer_a_command_is_accepted_and_can_be_polled(
    system: System, buyer: Person, show: Sale
) -> None:
    """202, Location, Retry-After: 1, the command resource; then the decision in it."""
    api = system.api(buyer)
    accepted = await api.post("/api/orders", items((show.ticket_type, 1)), wait=None)
    assert accepted.status == 202
    command_id = accepted.headers["X-Command-Id"]
    assert accepted.headers["Location"] == f"/api/commands/{command_id}"
    assert accepted.headers["Retry-After"] == "1"
    assert "Preference-Applied" not in accepted.headers
    assert accepted.body["id"] == command_id
    assert accepted.body["type"] == "eventhub.order.place.v1"
    assert accepted.body["status"] == "PENDING"
    assert accepted.body["decidedAt"] is accepted.body["statusCode"] is None
    decided = await api.get(accepted.headers["Location"] + "?wait=10")
    assert decided.status == 200
    assert decided.body["status"] == "SUCCEEDED"
    assert decided.body["statusCode"] == 201
    assert decided.body["acceptedAt"] == accepted.body["acceptedAt"]
    assert decided.body["problem"] is None
    order = await api.get(f"/api/orders/{decided.body['result']['id']}")
    assert order.body == decided.body["result"]


async def test_prefer_gets_the_decision_itself(system: System, buyer: Person, show: Sale) -> None:
    """Success and refusal with their own status and body, and what was granted."""
    api = system.api(buyer)
    respond = {"Prefer": "respond-async, wait=60"}
    body = items((show.ticket_type, 1))
    placed = await api.post("/api/orders", body, wait=None, headers=respond)
    assert placed.status == 201
    assert placed.headers["Preference-Applied"] == "wait=30"
    assert placed.headers["Location"] == f"/api/orders/{placed.body['id']}"
    refused = await api.post("/api/orders", items((show.ticket_type, 11)), wait=5)
    assert (refused.status, refused.code) == (409, "LIMIT_EXCEEDED")
    assert refused.headers["Content-Type"].startswith("application/problem+json")
    assert refused.headers["X-Command-Id"]
    assert refused.body["instance"] == refused.headers["X-Request-Id"]


@pytest.mark.parametrize("prefer", ["wait=0", "wait=soon", "return=minimal"])
async def test_a_preference_that_means_nothing_is_ignored(
    system: System, buyer: Person, show: Sale, prefer: str
) -> None:
    """0 and malformed: as if there was none."""
    answer = await system.api(buyer).post(
        "/api/orders", items((show.ticket_type, 1)), wait=None, headers={"Prefer": prefer}
    )
    assert answer.status == 202
    assert "Preference-Applied" not in answer.headers


async def test_a_decided_command_does_not_change_any_more(
    system: System, buyer: Person, show: Sale
) -> None:
    """Its ETag holds for good: 304."""
    api = system.api(buyer)
    placed = await api.post("/api/orders", items((show.ticket_type, 1)))
    where = f"/api/commands/{placed.headers['X-Command-Id']}"
    shown = await api.get(where)
    again = await api.get(where, headers={"If-None-Match": shown.headers["ETag"]})
    assert again.status == 304
    assert again.headers["ETag"] == shown.headers["ETag"]


async def test_a_command_is_its_callers_alone(
    system: System, own_database: Database, buyer: Person, show: Sale
) -> None:
    """404 for others, for an admin too, for forged and for malformed ids; on the stream as well."""
    placed = await system.api(buyer).post("/api/orders", items((show.ticket_type, 1)))
    command_id = placed.headers["X-Command-Id"]
    forged = command_id[:-1] + ("A" if command_id[-1] != "A" else "B")
    others = [
        await person(own_database),
        await person(own_database, "ADMIN", "ORGANIZER", "PROVIDER"),
    ]
    for suffix in ("", "/events"):
        for other in others:
            answer = await system.api(other).get(f"/api/commands/{command_id}{suffix}")
            assert (answer.status, answer.code) == (404, "NOT_FOUND")
        for text in (forged, "x", "A" * 54):
            answer = await system.api(buyer).get(f"/api/commands/{text}{suffix}")
            assert (answer.status, answer.code) == (404, "NOT_FOUND")
        assert (await system.api().get(f"/api/commands/{command_id}{suffix}")).status == 401


async def test_a_refused_command_shows_the_request_that_made_it(
    system: System, buyer: Person, show: Sale
) -> None:
    """Inside the resource `instance` is the first request's id, in the answer the present one's."""
    api = system.api(buyer)
    made = await api.post(
        "/api/orders", items((show.ticket_type, 11)), headers={"X-Request-Id": "the-first-request"}
    )
    shown = await api.get(f"/api/commands/{made.headers['X-Command-Id']}")
    assert shown.body["status"] == "REJECTED"
    assert shown.body["result"] is None
    assert shown.body["problem"]["instance"] == "the-first-request"
    assert shown.headers["X-Request-Id"] != "the-first-request"


async def test_an_undecided_command_is_waited_for_and_streamed(
    own_scratch: Scratch, system: System, own_database: Database, buyer: Person, organizer: Person
) -> None:
    """Nobody decides: 202 after the wait, PENDING after the long poll; then a worker comes and all hear of it."""
    show = await sale(system, organizer, 5)
    await system.stop("inventory")
    try:
        api = system.api(buyer)
        accepted = await api.post("/api/orders", items((show.ticket_type, 1)), wait=1)
        assert accepted.status == 202
        where = accepted.headers["Location"]
        pending = await api.get(where + "?wait=1")
        assert pending.body["status"] == "PENDING"
        assert pending.headers["Retry-After"] == "1"
        etag = {"If-None-Match": pending.headers["ETag"]}
        assert (await api.get(where, headers=etag)).status == 304
        waiting = [
            asyncio.create_task(api.get(where + "?wait=20", headers=etag)),
            asyncio.create_task(api.get(where + "/events")),
        ]
        await _clients_wait(system, 2)
    finally:
        system.start("inventory")
    polled, streamed = await asyncio.gather(*waiting)
    assert polled.status == 200
    assert polled.body["status"] == "SUCCEEDED"
    _assert_one_event(streamed, polled)


async def _clients_wait(system: System, count: int) -> None:
    """Until so many clients wait at this gateway."""

    async def look() -> bool:
        text = await system.metrics()
        return f"eventhub_waiting_clients {count}.0" in text.splitlines()

    await eventually(look)


def _assert_one_event(streamed: Answer, polled: Answer) -> None:
    """One outcome event with the resource as it is polled, comments before it, nothing behind."""
    assert streamed.headers["Content-Type"].startswith("text/event-stream")
    blocks = [block for block in streamed.body.split("\n\n") if block and block[0] != ":"]
    assert len(blocks) == 1
    id_, name, data = blocks[0].split("\n")
    assert id_ == f"id: decided-{polled.body['statusCode']}"
    assert name == "event: outcome"
    assert _lasting(orjson.loads(data.removeprefix("data: "))) == _lasting(polled.body)


def _lasting(resource: dict[str, object]) -> dict[str, object]:
    """What stays of a command's resource: its eventsUrl is made for the minute."""
    return {name: value for name, value in resource.items() if name != "eventsUrl"}


async def test_a_stream_opens_by_its_url_alone_and_says_when_to_stop(
    system: System, own_database: Database, buyer: Person, show: Sale
) -> None:
    """As a browser's EventSource does it: no Authorization; connected again with the message's id it gets a 204."""
    nobody, path = system.api(), "/api/orders"
    accepted = await system.api(buyer).post(path, items((show.ticket_type, 1)), wait=None)
    listen_at = accepted.body["eventsUrl"]
    heard = await nobody.get(listen_at)
    polled = await system.api(buyer).get(accepted.headers["Location"])
    _assert_one_event(heard, polled)
    again = {"Last-Event-ID": "decided-201"}
    assert (await nobody.get(listen_at, headers=again)).status == 204
    assert (await nobody.get(polled.body["eventsUrl"], headers=again)).status == 204
    where = f"{accepted.headers['Location']}/events"
    assert (await system.api(buyer).get(where, headers=again)).status == 204
    _assert_one_event(await nobody.get(listen_at, headers={"Last-Event-ID": "?"}), polled)
    other = await system.api(buyer).post(path, items((show.ticket_type, 1)), wait=None)
    token = listen_at.partition("?")[2]
    for url in (
        f"{other.headers['Location']}/events?{token}",
        f"{where}?{token[:-1]}!",
        f"{where}?token=",
        where,
    ):
        answer = await nobody.get(url)
        assert (answer.status, answer.code) == (401, "UNAUTHENTICATED"), url
    assert (await nobody.get(f"{accepted.headers['Location']}?{token}")).status == 401
    stranger = await person(own_database)
    assert (await system.api(stranger).get(listen_at)).status == 404


async def test_who_takes_no_202_gets_a_decision_or_an_error(
    system: System, buyer: Person, show: Sale
) -> None:
    """handling=strict: the decision when it comes in time, else 503 UNDECIDED and where the command lives on."""
    api, strict = system.api(buyer), {"Prefer": "handling=strict, wait=20"}
    body = items((show.ticket_type, 1))
    placed = await api.post("/api/orders", body, wait=None, headers=strict)
    assert placed.status == 201
    assert placed.headers["Preference-Applied"] == "wait=20, handling=strict"
    await system.stop("inventory")
    try:
        hasty = {"Prefer": "wait=1, handling=strict"}
        undecided = [
            await api.post("/api/orders", body, wait=None, headers=hasty, key="strict"),
            await api.post("/api/orders", body, wait=None, headers=hasty, key="strict"),
        ]
    finally:
        system.start("inventory")
    for answer in undecided:
        assert (answer.status, answer.code) == (503, "UNDECIDED")
        assert answer.headers["Retry-After"] == "1"
        assert answer.headers["Preference-Applied"] == "wait=1, handling=strict"
        assert answer.headers["Location"] == f"/api/commands/{answer.body['commandId']}"
    assert undecided[0].body["commandId"] == undecided[1].body["commandId"]
    polled = await api.get(undecided[0].headers["Location"] + "?wait=20")
    again = await api.post("/api/orders", body, wait=None, headers=strict, key="strict")
    assert (again.status, again.headers["Idempotent-Replayed"]) == (201, "true")
    assert again.body == polled.body["result"]
    lone = await api.post("/api/orders", body, wait=None, headers={"Prefer": "handling=strict"})
    assert lone.status == 202, "strictness alone would be an error each time"


async def test_a_stream_of_a_decided_command_gives_its_event_at_once(
    system: System, buyer: Person, show: Sale
) -> None:
    """Late listeners miss nothing."""
    api = system.api(buyer)
    placed = await api.post("/api/orders", items((show.ticket_type, 1)))
    where = f"/api/commands/{placed.headers['X-Command-Id']}"
    _assert_one_event(await api.get(where + "/events"), await api.get(where))


async def test_a_stream_shows_that_it_lives_until_its_event_comes(
    test_scratch: Scratch, accounts: Accounts, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A comment each time the interval passes, then the one event, then the end."""
    monkeypatch.setattr(commands, "PING_SECONDS", 0.02)
    async with running(test_scratch, workers=WORKERS) as system:
        show = await sale(system, accounts.organizer, 5)
        await system.stop("inventory")
        api = system.api(accounts.buyer)
        accepted = await api.post("/api/orders", items((show.ticket_type, 1)), wait=None)
        where = system.url + accepted.headers["Location"] + "/events"
        headers = {"Authorization": f"Bearer {accounts.buyer.token}"}
        lines: list[bytes] = []
        decides = False
        async with system.session.get(where, headers=headers) as stream:
            async for line in stream.content:
                lines.append(line)
                if not decides and lines.count(b": undecided\n") == 3:
                    decides = True
                    system.start("inventory")
    assert lines[-4:] == [b"id: decided-201\n", b"event: outcome\n", lines[-2], b"\n"]
    assert orjson.loads(lines[-2].removeprefix(b"data: "))["status"] == "SUCCEEDED"
    assert sum(line.startswith(b"event:") for line in lines) == 1


async def test_past_its_deadline_a_command_has_failed_and_stays_so(
    test_scratch: Scratch, accounts: Accounts
) -> None:
    """503, nothing was done, said by a tombstone that a worker who comes late respects."""
    async with (
        running(test_scratch, workers=WORKERS) as staffed,
        running(test_scratch, workers=(), command_deadline=1.0) as hasty,
    ):
        show = await sale(staffed, accounts.organizer, 5)
        await staffed.stop("inventory")
        api = hasty.api(accounts.buyer)
        answer = await api.post("/api/orders", items((show.ticket_type, 1)), wait=20)
        assert (answer.status, answer.code) == (503, "UNAVAILABLE")
        assert answer.headers["Retry-After"]
        where = f"/api/commands/{answer.headers['X-Command-Id']}"
        buried = await api.get(where)
        assert buried.body["status"] == "FAILED"
        assert buried.body["statusCode"] == 503
        staffed.start("inventory")
        patient = staffed.api(accounts.buyer)
        next_one = await patient.post("/api/orders", items((show.ticket_type, 5)), wait=20)
        assert next_one.status == 201, "the late worker has passed the dead command by"
        assert _lasting((await patient.get(where)).body) == _lasting(buried.body)
        assert (await patient.get("/api/orders")).body["data"] == [next_one.body]


async def test_with_redis_away_the_decision_still_comes_in_time(
    test_scratch: Scratch, accounts: Accounts
) -> None:
    """Cut, and as a black hole: MySQL is asked; with keys as well."""
    async with Proxy(test_scratch.redis_url) as proxy:
        there = replace(test_scratch, redis_url=proxy.address)
        async with running(there, workers=WORKERS) as system:
            show = await sale(system, accounts.organizer, 10)
            api, body = system.api(accounts.buyer), items((show.ticket_type, 1))
            modes: tuple[Mode, ...] = ("cut", "mute")
            for broken in modes:
                proxy.turn(broken)
                assert (await api.post("/api/orders", body, wait=20)).status == 201
                keyed = await api.post("/api/orders", body, wait=20, key=f"away {broken}")
                assert keyed.status == 201
                again = await api.post("/api/orders", body, wait=20, key=f"away {broken}")
                assert again.body == keyed.body
                assert again.headers["Idempotent-Replayed"] == "true"
                strict = {"Prefer": "wait=20, handling=strict"}
                placed = await api.post("/api/orders", body, wait=None, headers=strict)
                assert placed.status == 201
                shown = await api.get(f"/api/commands/{placed.headers['X-Command-Id']}")
                _assert_one_event(await system.api().get(shown.body["eventsUrl"]), shown)
                proxy.turn("pass")


async def test_a_lost_push_costs_little(
    own_scratch: Scratch, system: System, organizer: Person, buyer: Person
) -> None:
    """Two gateways: what one's command is decided as, the other hears from MySQL alone."""
    show = await sale(system, organizer, 5)
    async with running(own_scratch, workers=()) as second:
        await system.stop("inventory")
        accepted = await system.api(buyer).post(
            "/api/orders", items((show.ticket_type, 1)), wait=None
        )
        waits = asyncio.create_task(
            second.api(buyer).get(accepted.headers["Location"] + "?wait=20")
        )
        await _clients_wait(second, 1)
        system.start("inventory")
        assert (await waits).body["status"] == "SUCCEEDED"


async def test_at_its_end_a_gateway_answers_who_waits(
    test_scratch: Scratch, accounts: Accounts
) -> None:
    """202, PENDING and a polite end of the stream, long before the seconds asked for are over."""
    async with aiohttp.ClientSession() as session:
        async with running(test_scratch, workers=WORKERS) as system:
            show = await sale(system, accounts.organizer, 5)
            await system.stop("inventory")
            api = Api(session, system.url, accounts.buyer.token)
            accepted = await api.post("/api/orders", items((show.ticket_type, 1)), wait=None)
            where = accepted.headers["Location"]
            waits = [
                asyncio.create_task(api.post("/api/orders", items((show.ticket_type, 1)), wait=30)),
                asyncio.create_task(api.get(where + "?wait=30")),
                asyncio.create_task(api.get(where + "/events")),
            ]
            await _clients_wait(system, 3)
        placed, polled, streamed = await asyncio.gather(*waits)
    assert placed.status == 202
    assert polled.body["status"] == "PENDING"
    assert streamed.status == 200
    assert "event:" not in streamed.body
