"""Providers on the real broker: how they come and go, and what becomes of what they send."""

import asyncio
import random
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import urlsplit

import aio_pika
import aiormq.exceptions
import pytest

from db import rates
from db.mysql.database import Database
from tests.harness.accounts import person
from tests.harness.rates import SEED, priced
from tests.harness.scratch import Scratch
from tests.harness.system import System
from tests.harness.waiting import eventually
from tests.integration.rates.broker import (
    connected,
    fields,
    message,
    new_name,
    provider,
    provider_command,
    publish,
)
from tests.integration.rates.test_rates_http import asset


@pytest.fixture(scope="module")
async def acme(scratch: Scratch, system: System) -> AsyncIterator[dict[str, Any]]:
    """A provider; the topology exists, because EventHub runs."""
    async with provider(scratch) as added:
        yield added


async def rate_of(database: Database, name: str) -> str | None:
    """What providers say of an asset in USD."""
    for rate in await rates.everything(database):
        if rate.pair == (name, "USD") and rate.from_provider:
            return format(rate.rate, "f").rstrip("0").rstrip(".")
    return None


async def reasons(database: Database, name: str) -> list[str]:
    """Why reports of an asset were put aside, in order."""
    rows = await database.read(
        "SELECT reason FROM rate_quarantine WHERE asset = %s ORDER BY id", name
    )
    return [row[0] for row in rows]


async def test_what_add_prints_signs_in_on_both_sides(acme: dict[str, Any], system: System) -> None:
    """The account signs in and has the role; the broker user connects; nothing else is printed."""
    login = {"email": acme["email"], "password": acme["password"]}
    answer = await system.api().post("/api/auth/login", login)
    assert answer.status == 200, answer.body
    async with connected(acme["amqpUrl"]) as channel:
        assert not channel.is_closed
    assert set(acme) == {
        "name",
        "email",
        "password",
        "brokerUser",
        "brokerPassword",
        "amqpUrl",
        "exchange",
        "routingKey",
    }


async def test_a_report_on_the_queue_is_a_rate_under_the_provider_s_name(
    acme: dict[str, Any], database: Database, system: System
) -> None:
    """Plain JSON and a CloudEvent alike; the same source as over HTTP."""
    name = await priced(database, asset())
    async with connected(acme["amqpUrl"]) as channel:
        key = f"rates.{acme['name']}.{name}"
        await publish(channel, key, message(fields(name, "100"), acme["name"]))
        await _stored(database, name, "100")
        event = {"specversion": "1.0", "id": "1", "source": "/acme", "type": "rate"}
        cloud = event | {"data": fields(name, "101")}
        kind = {"content_type": "application/cloudevents+json"}
        await publish(channel, key, message(cloud, acme["name"], **kind))
        await _stored(database, name, "101")
    login = {"email": acme["email"], "password": acme["password"]}
    token = (await system.api().post("/api/auth/login", login)).body["accessToken"]
    headers = {"Authorization": f"Bearer {token}"}
    answer = await system.api().post("/api/provider/rates", fields(name, "102"), headers=headers)
    assert (answer.status, answer.body["source"]) == (200, f"provider:{acme['name']}")


async def test_a_message_that_comes_twice_counts_once(
    acme: dict[str, Any], database: Database
) -> None:
    """The same message id: ignored, not put aside; another id for the same observation: REPEATED."""
    name = await priced(database, asset())
    body, key = fields(name, "100"), f"rates.{acme['name']}.{name}"
    async with connected(acme["amqpUrl"]) as channel:
        for message_id in ("one", "one", "one", "two"):
            sent = message(body, acme["name"], message_id=f"{name}-{message_id}")
            await publish(channel, key, sent)

    async def put_aside() -> bool:
        return await reasons(database, name) == ["REPEATED"]

    await eventually(put_aside)
    assert await rate_of(database, name) == "100"


@pytest.mark.parametrize(
    ("body", "changes", "reason"),
    [
        ({"rate": "NaN"}, {}, "NOT_A_NUMBER"),
        ({"rate": "-5"}, {}, "NOT_POSITIVE"),
        ({"rate": "0"}, {}, "NOT_POSITIVE"),
        ({"rate": "1e400"}, {}, "ABSURD"),
        ({"rate": 5}, {}, "MALFORMED"),
        ({"observedAt": "soon"}, {}, "MALFORMED"),
        ({"currency": "dollars"}, {}, "MALFORMED"),
        ({"observedAt": "2020-01-01T00:00:00Z"}, {}, "STALE"),
        ({"observedAt": "2099-01-01T00:00:00Z"}, {}, "FROM_THE_FUTURE"),
        ({}, {"user_id": None}, "FORGED"),
    ],
)
async def test_what_is_bad_is_put_aside_with_its_reason(
    acme: dict[str, Any],
    database: Database,
    body: dict[str, object],
    changes: dict[str, object],
    reason: str,
) -> None:
    """In the quarantine, with its reason, and never in use."""
    name = asset()
    async with connected(acme["amqpUrl"]) as channel:
        sent = message(fields(name, "100") | body, acme["name"], **changes)
        await publish(channel, f"rates.{acme['name']}.{name}", sent)

    async def put_aside() -> bool:
        return await reasons(database, name) == [reason]

    await eventually(put_aside)
    assert await rate_of(database, name) is None


@pytest.mark.parametrize(
    ("body", "kind"),
    [(b"rate up", "application/json"), (b"[]", "application/json"), (b"{}", "text/html")],
)
async def test_what_cannot_be_read_is_a_dead_letter(
    acme: dict[str, Any], database: Database, body: bytes, kind: str
) -> None:
    """With its reason and byte for byte; the next report is taken as ever."""
    name = await priced(database, asset())
    key = f"rates.{acme['name']}.{name}"
    message_id = f"unreadable-{name}"
    async with connected(acme["amqpUrl"]) as channel:
        sent = message(body, acme["name"], content_type=kind, message_id=message_id)
        await publish(channel, key, sent)
        await publish(channel, key, message(fields(name, "100"), acme["name"]))
    await _stored(database, name, "100")

    async def dead() -> Any:
        return await database.read(
            "SELECT body, reason FROM dead_letters WHERE queue = 'quote.rates' AND message_id = %s",
            message_id,
        )

    (row,) = await eventually(dead)
    assert row[0] == body
    assert "unreadable report" in row[1]


async def test_new_passwords_end_the_old_ones(scratch: Scratch, system: System) -> None:
    """After rotate: the open connection is cut, the old passwords open nothing, the new ones do."""
    async with provider(scratch) as first:
        gone = await _until_cut(first["amqpUrl"])
        ran = await provider_command(scratch, "rotate", first["name"])
        second = ran.shown
        async with asyncio.timeout(15):
            await gone.wait()
        with pytest.raises((aiormq.exceptions.AMQPError, ConnectionError)):
            await aio_pika.connect(first["amqpUrl"], timeout=5)
        async with connected(second["amqpUrl"]) as channel:
            assert not channel.is_closed
        for shown, status in ((first, 401), (second, 200)):
            login = {"email": shown["email"], "password": shown["password"]}
            assert (await system.api().post("/api/auth/login", login)).status == status


async def test_a_removed_provider_is_out_and_its_rates_with_it(
    scratch: Scratch, system: System, database: Database
) -> None:
    """Cut off, unable to sign in, its rate gone, none of its reports to be accepted; added again the same source."""
    name, coin = new_name(), await priced(database, asset())
    added = (await provider_command(scratch, "add", name)).shown
    async with connected(added["amqpUrl"]) as channel:
        await publish(channel, f"rates.{name}.{coin}", message(fields(coin, "100"), name))
        await publish(channel, f"rates.{name}.{coin}", message(fields(coin, "999"), name))
    await _stored(database, coin, "100")
    await eventually(lambda: reasons(database, coin))
    gone = await _until_cut(added["amqpUrl"])
    assert (await provider_command(scratch, "remove", name)).code == 0
    async with asyncio.timeout(15):
        await gone.wait()
    login = {"email": added["email"], "password": added["password"]}
    assert (await system.api().post("/api/auth/login", login)).status == 401
    left = await system.api().get(f"/api/market/rates/{coin}")
    assert left.body["source"] == SEED
    client = system.api(await person(database, "ADMIN"))
    (put_aside,) = (await client.get("/api/admin/rates/quarantine?limit=1")).body["data"]
    refused = await client.post(f"/api/admin/rates/quarantine/{put_aside['id']}/accept")
    assert (put_aside["asset"], refused.status, refused.code) == (coin, 409, "RATE_QUARANTINED")
    again = await provider_command(scratch, "add", name)
    assert again.code == 0, again.error
    assert again.shown["email"] == added["email"]
    assert (await provider_command(scratch, "rotate", name)).code == 0
    assert (await provider_command(scratch, "remove", name)).code == 0
    lines = (await client.get(f"/api/admin/audit-log?subject=provider:{name}")).body["data"]
    words = ["added", "removed", "added", "rotated", "removed"]
    assert [line["action"] for line in reversed(lines)] == [f"provider.{word}" for word in words]
    assert {line["actorId"] for line in lines} == {None}
    account = f"user:{lines[0]['after']['userId']}"
    changes = (await client.get(f"/api/admin/audit-log?subject={account}")).body["data"]
    assert [line["action"] for line in reversed(changes)] == ["user.roles", *["user.status"] * 3]


async def test_what_a_provider_may_report_is_in_the_audit_log(
    scratch: Scratch, system: System, database: Database
) -> None:
    """Each change with what it was before; the same again has no line."""
    name = new_name()
    assert (await provider_command(scratch, "add", name, "--assets", "ETH,BTC")).code == 0
    for given in (("BTC,ETH",), ("SOL",), ()):
        assert (await provider_command(scratch, "assets", name, *given)).code == 0
    asked = f"/api/admin/audit-log?subject=provider:{name}&action=provider.assets"
    lines = (await system.api(await person(database, "ADMIN")).get(asked)).body["data"]
    assert [(line["before"]["assets"], line["after"]["assets"]) for line in reversed(lines)] == [
        (None, ["BTC", "ETH"]),
        (["BTC", "ETH"], ["SOL"]),
        (["SOL"], None),
    ]
    assert (await provider_command(scratch, "remove", name)).code == 0


async def test_the_command_says_what_it_cannot_do(scratch: Scratch, acme: dict[str, Any]) -> None:
    """One line on standard error, exit code 1 (2 for a bad name): twice, another's user, nobody, a taken address."""
    broker_user = urlsplit(scratch.amqp_url).username or "guest"
    cases = {
        ("add", acme["name"]): (1, "rotate"),
        ("add", broker_user): (1, "no provider"),
        ("add", new_name(), "--email", acme["email"]): (1, "has an account"),
        ("rotate", new_name()): (1, "there is no provider"),
        ("remove", broker_user): (1, "there is no provider"),
        ("add", "Not A Name"): (2, "NAME is"),
    }
    for arguments, (code, text) in cases.items():
        ran = await provider_command(scratch, *arguments)
        assert (ran.code, ran.out) == (code, ""), arguments
        assert text in ran.error
        assert "Traceback" not in ran.error
    async with connected(scratch.amqp_url) as channel:
        assert not channel.is_closed


@pytest.mark.timeout(600)
@pytest.mark.parametrize("count", [1000, pytest.param(10_000, marks=pytest.mark.full)])
async def test_good_ones_are_applied_in_order_and_bad_ones_put_aside(
    acme: dict[str, Any], database: Database, count: int
) -> None:
    """A fifth is bad in every way there is: each bad one is in quarantine, each good one was a rate, none elsewhere."""
    seeded, name = random.Random(count), await priced(database, asset())
    taken_before, dead_before = await _taken(database), await _dead(database)
    stories = [seeded.choice(sorted(BAD)) if seeded.random() < 0.2 else "" for _ in range(count)]
    good = [n for n, story in enumerate(stories) if not story]
    async with connected(acme["amqpUrl"]) as channel:
        for start in range(0, count, 100):
            await asyncio.gather(
                *(
                    publish(channel, f"rates.{acme['name']}.{name}", _told(acme, name, n, story))
                    for n, story in enumerate(stories[start : start + 100], start)
                )
            )

    async def all_taken() -> bool:
        return await _taken(database) - taken_before >= count

    await eventually(all_taken, within=500, every=0.2)
    assert await rate_of(database, name) == _walk(good[-1])
    put_aside = await reasons(database, name)
    assert sorted(put_aside) == sorted(EXPECTED[story] for story in stories if story)
    assert await _dead(database) == dead_before


def _told(acme: dict[str, Any], name: str, n: int, story: str) -> aio_pika.Message:
    """The n-th message; observed in the order of the numbers."""
    body = fields(name, _walk(n))
    changed, properties = BAD[story](body) if story else (body, {})
    return message(changed, acme["name"], **properties)


def _walk(n: int) -> str:
    """A price that stays within its band from one to the next."""
    return str(100 + n % 17)


BAD: dict[str, Any] = {
    "nan": lambda body: (body | {"rate": "NaN"}, {}),
    "negative": lambda body: (body | {"rate": "-1"}, {}),
    "absurd": lambda body: (body | {"rate": "1e99"}, {}),
    "band": lambda body: (body | {"rate": "250"}, {}),
    "old": lambda body: (body | {"observedAt": "2020-01-01T00:00:00Z"}, {}),
    "future": lambda body: (body | {"observedAt": "2099-01-01T00:00:00Z"}, {}),
    "number": lambda body: (body | {"rate": 1}, {}),
    "forged": lambda body: (body, {"user_id": None}),
}
EXPECTED = {
    "nan": "NOT_A_NUMBER",
    "negative": "NOT_POSITIVE",
    "absurd": "ABSURD",
    "band": "OUT_OF_BAND",
    "old": "STALE",
    "future": "FROM_THE_FUTURE",
    "number": "MALFORMED",
    "forged": "FORGED",
}


async def _taken(database: Database) -> int:
    """Messages of providers that were dealt with."""
    return int((await database.read("SELECT COUNT(*) FROM provider_messages"))[0][0])


async def _dead(database: Database) -> int:
    """Dead letters of the providers' queue."""
    rows = await database.read("SELECT COUNT(*) FROM dead_letters WHERE queue = 'quote.rates'")
    return int(rows[0][0])


async def _stored(database: Database, name: str, rate: str) -> None:
    async def look() -> bool:
        return await rate_of(database, name) == rate

    await eventually(look)


async def _until_cut(url: str) -> asyncio.Event:
    """Connect; set once the broker has closed the connection."""
    gone = asyncio.Event()
    connection = await aio_pika.connect(url, timeout=5)
    connection.close_callbacks.add(lambda *_: gone.set())
    return gone
