"""Providers who mean harm: they walk prices, fill the memory, go on after they were sent away."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any

import pytest

from contracts.rates import PAIRS_MAX, Rate
from db import rates
from db.accounts import accounts, providers
from db.accounts.audit_log import OPERATOR
from db.mysql.database import Database, Transaction
from tests.harness.accounts import Person, person
from tests.harness.rates import SEED, priced
from tests.harness.scratch import Scratch
from tests.harness.system import Api, System
from tests.harness.waiting import eventually
from tests.integration.rates.broker import (
    connected,
    fields,
    message,
    provider,
    provider_command,
    publish,
)
from tests.integration.rates.test_providers import reasons
from tests.integration.rates.test_rates_http import asset, report, shown


@pytest.fixture(scope="module")
async def acme(scratch: Scratch, system: System) -> AsyncIterator[dict[str, Any]]:
    """A provider; the topology exists, because EventHub runs."""
    async with provider(scratch) as added:
        yield added


async def account_of(database: Database, acme: dict[str, Any]) -> int:
    """The id of a provider's account."""
    found = await providers.find(database, acme["name"])
    assert found is not None
    return found.user_id


async def test_no_walk_takes_a_price_from_the_feed_s(
    system: System, provider: Person, database: Database
) -> None:
    """Thirty steps of 19 % up, then down: the price stays within a fifth of the feed's; an honest one is heard."""
    api, name = system.api(provider), "SOL"
    feed = await _fed(system, name)
    for step in (Decimal("1.19"), Decimal("0.81")):
        price = feed
        for _ in range(30):
            price *= step
            said = f"{min(price, Decimal(10**9)):.8f}"
            await api.post("/api/provider/rates", report(name, said))
            quoted = Decimal((await shown(api, name))["rate"])
            assert feed * Decimal("0.78") <= quoted <= feed * Decimal("1.22")
    honest = system.api(await person(database, "PROVIDER"))
    assert (await honest.post("/api/provider/rates", report(name, f"{feed:.8f}"))).status == 200


async def _fed(system: System, name: str) -> Decimal:
    async def look() -> Decimal | None:
        answer = await system.api().get(f"/api/market/rates/{name}")
        return Decimal(answer.body["rate"]) if answer.status == 200 else None

    found = await eventually(look)
    assert found is not None
    return found


async def test_alone_no_walk_leaves_the_band_of_ten_minutes(
    system: System, provider: Person, database: Database
) -> None:
    """No feed knows the asset: the first step is good, each further one in that direction is put aside."""
    api, name = system.api(provider), await priced(database, asset())
    statuses = []
    for price in ("119", "141", "168", "100", "119"):
        statuses.append((await api.post("/api/provider/rates", report(name, price))).status)
    assert statuses == [200, 409, 409, 200, 200]
    assert (await shown(api, name))["rate"] == "119.00000000"


async def test_a_new_pair_waits_for_an_admin(
    system: System, provider: Person, admin: Person
) -> None:
    """Put aside, not shown; accepted it is in use, and the next report of it passes without anybody."""
    api, name = system.api(provider), asset()
    refused = await api.post("/api/provider/rates", report(name, "7"))
    assert (refused.status, refused.body["reason"]) == (409, "NEW_PAIR")
    assert (await api.get(f"/api/market/rates/{name}")).status == 404
    path = f"/api/admin/rates/quarantine/{refused.body['quarantineId']}/accept"
    assert (await system.api(admin).post(path)).status == 200
    assert (await shown(api, name))["rate"] == "7.00000000"
    assert (await api.post("/api/provider/rates", report(name, "7.1"))).status == 200
    listed = (await api.get("/api/provider/reports")).body["data"]
    assert [one["status"] for one in listed] == ["ACCEPTED", "ACCEPTED"]


async def test_what_an_admin_accepts_is_the_new_ground(
    system: System, provider: Person, admin: Person, database: Database
) -> None:
    """A price doubles: put aside, accepted, and the reports that follow it are good at once."""
    api, name = system.api(provider), await priced(database, asset())
    await api.post("/api/provider/rates", report(name, "100", age=5))
    refused = await api.post("/api/provider/rates", report(name, "200"))
    path = f"/api/admin/rates/quarantine/{refused.body['quarantineId']}/accept"
    assert (await system.api(admin).post(path)).status == 200
    for price in ("201", "205", "238"):
        answer = await api.post("/api/provider/rates", report(name, price))
        assert answer.status == 200, answer.body
    assert (await api.post("/api/provider/rates", report(name, "260"))).status == 409


async def test_assets_that_were_not_given_wait(
    scratch: Scratch, system: System, database: Database
) -> None:
    """With --assets only those pass; other ones can be given later; a wrong list is a sentence."""
    given, other = await priced(database, asset()), await priced(database, asset())
    async with provider(scratch, "--assets", given) as added:
        name = added["name"]
        api = await _signed_in(system, added)
        assert (await api.post("/api/provider/rates", report(given, "100"))).status == 200
        refused = await api.post("/api/provider/rates", report(other, "100"))
        assert (refused.status, refused.body["reason"]) == (409, "NOT_GIVEN")
        ran = await provider_command(scratch, "assets", name, f"{given},{other}")
        assert (ran.code, ran.shown["assets"]) == (0, sorted([given, other]))
        assert (await api.post("/api/provider/rates", report(other, "100"))).status == 200
        ran = await provider_command(scratch, "assets", name, "btc")
        assert (ran.code, "Traceback" in ran.error) == (2, False)
        assert (await provider_command(scratch, "assets", name)).shown["assets"] is None
        assert (await provider_command(scratch, "assets", "nobody-there")).code == 1


async def _signed_in(system: System, added: dict[str, Any]) -> Api:
    login = {"email": added["email"], "password": added["password"]}
    answer = await system.api().post("/api/auth/login", login)
    assert answer.status == 200, answer.body
    return Api(system.session, system.url, answer.body["accessToken"])


async def test_one_pair_too_many_is_put_aside(
    system: System, provider: Person, admin: Person, database: Database
) -> None:
    """Fifty pairs and no more, not by an admin's word either; those fifty go on."""
    api, source = system.api(provider), f"provider:account-{provider.id}"
    names = [f"C{provider.id}X{n}" for n in range(PAIRS_MAX)]

    async def work(transaction: Transaction) -> None:
        at = await transaction.now()
        rows = [Rate(name, "USD", source, Decimal(100), at, at) for name in names]
        await rates.store(transaction, [(row, None) for row in rows])

    await database.run(work)
    more = await priced(database, asset())
    refused = await api.post("/api/provider/rates", report(more, "100"))
    assert (refused.status, refused.body["reason"]) == (409, "TOO_MANY_PAIRS")
    new = await api.post("/api/provider/rates", report(asset(), "100"))
    path = f"/api/admin/rates/quarantine/{new.body['quarantineId']}/accept"
    assert (await system.api(admin).post(path)).status == 409
    assert (await api.post("/api/provider/rates", report(names[0], "101"))).status == 200


@pytest.mark.parametrize("how", ["role", "account"])
async def test_who_is_no_provider_any_more_is_heard_no_more(
    scratch: Scratch, system: System, database: Database, admin: Person, how: str
) -> None:
    """At once: its rates are gone, its messages put aside, its calls refused; a provider again, it is heard again."""
    name = await priced(database, asset())
    async with provider(scratch) as added, connected(added["amqpUrl"]) as channel:
        source, key = f"provider:{added['name']}", f"rates.{added['name']}.{name}"
        await publish(channel, key, message(fields(name, "101"), added["name"]))
        await eventually(lambda: _source(system, name, source))
        user = f"/api/admin/users/{await account_of(database, added)}"
        client = system.api(admin)
        api = await _signed_in(system, added)
        if how == "role":
            taken = await client.call("PUT", f"{user}/roles", {"roles": ["USER"]})
        else:
            taken = await client.patch(user, {"status": "DISABLED"})
        assert taken.status == 200, taken.body
        assert (await shown(system.api(), name))["source"] == SEED
        await publish(channel, key, message(fields(name, "102"), added["name"]))
        await eventually(lambda: was_put_aside(database, name, ["FORGED"]))
        refused = await api.post("/api/provider/rates", report(name, "102"))
        assert refused.status in (401, 403)
        assert (await shown(system.api(), name))["source"] == SEED
        if how == "role":
            await client.call("PUT", f"{user}/roles", {"roles": ["PROVIDER"]})
        else:
            await client.patch(user, {"status": "ACTIVE"})
        await publish(channel, key, message(fields(name, "103"), added["name"]))
        await eventually(lambda: _source(system, name, source))


async def _source(system: System, name: str, source: str) -> bool:
    return bool((await shown(system.api(), name))["source"] == source)


async def was_put_aside(database: Database, name: str, expected: list[str]) -> bool:
    return await reasons(database, name) == expected


async def test_a_rate_that_is_being_stored_goes_with_its_provider(
    database: Database, provider: Person
) -> None:
    """Judged while the provider still was one: who sends it away waits, and deletes that rate as well."""
    name, judged = asset(), asyncio.Event()

    async def store(transaction: Transaction) -> None:
        (able,) = await providers.reporters(transaction, user_ids=[provider.id])
        judged.set()
        # As long as the other one needs to come to its lock, if there were none.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(0.5):
                await asyncio.shield(sent_away)
        at = await transaction.now()
        await rates.store(transaction, [(Rate(name, "USD", able.source, Decimal(5), at, at), None)])

    async def send_away() -> None:
        await judged.wait()
        await accounts.set_status(database, provider.id, "DISABLED", OPERATOR)

    sent_away = asyncio.create_task(send_away())
    await database.run(store)
    await sent_away
    assert await database.read("SELECT source FROM rates WHERE asset = %s", name) == []


async def test_a_provider_s_reports_are_listed_with_what_became_of_them(
    acme: dict[str, Any], system: System, database: Database, provider: Person
) -> None:
    """Over HTTP and broker, the newest first, by status, page by page; nobody else's."""
    name = await priced(database, asset())
    key = f"rates.{acme['name']}.{name}"
    api = await _signed_in(system, acme)
    async with connected(acme["amqpUrl"]) as channel:
        first = message(fields(name, "100"), acme["name"])
        await publish(channel, key, first)
        await publish(channel, key, message(fields(name, "NaN"), acme["name"]))
        broken = message(b"no rate at all", acme["name"])
        await publish(channel, key, broken)

    async def all_there() -> list[dict[str, Any]]:
        data: list[dict[str, Any]] = (await api.get("/api/provider/reports?limit=3")).body["data"]
        return data if data and data[0]["messageId"] == broken.message_id else []

    unreadable, put_aside, accepted = await eventually(all_there)
    assert (accepted["status"], accepted["reason"]) == ("ACCEPTED", None)
    assert (accepted["messageId"], accepted["via"]) == (first.message_id, "BROKER")
    assert (put_aside["status"], put_aside["reason"]) == ("QUARANTINED", "NOT_A_NUMBER")
    assert put_aside["quarantineId"] > 0
    assert (unreadable["status"], unreadable["reason"]) == ("UNREADABLE", "UNREADABLE")
    assert "not JSON" in unreadable["detail"]
    assert (await api.post("/api/provider/rates", report(name, "999"))).status == 409
    page = (await api.get("/api/provider/reports?status=QUARANTINED&limit=1")).body
    assert [(one["rate"], one["via"]) for one in page["data"]] == [("999", "HTTP")]
    path = f"/api/provider/reports?status=QUARANTINED&limit=1&cursor={page['nextCursor']}"
    assert (await api.get(path)).body["data"][0]["id"] == put_aside["id"]
    assert (await system.api(provider).get("/api/provider/reports")).body["data"] == []
    assert (await api.get("/api/provider/reports?status=GOOD")).status == 400
