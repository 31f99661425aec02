"""Rates over HTTP: shown, reported, put aside, accepted."""

import itertools
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from redis.asyncio import Redis

from contracts.runtime.times import to_wire
from db.mysql.database import Database
from db.redis.quote_registry import CHANGING_KEY, KEY
from tests.harness.accounts import Person, person
from tests.harness.rates import priced
from tests.harness.scratch import Scratch
from tests.harness.system import Api, System
from tests.harness.waiting import eventually
from workers.quote.fake_price import BASE_USD, PER_USD

_serial = itertools.count(1)


def asset() -> str:
    """An asset that nobody has reported, the feed included."""
    return f"T{next(_serial):04d}"


def report(name: str, rate: str, *, age: float = 0, currency: str = "USD") -> dict[str, str]:
    """The body of a report observed `age` seconds ago."""
    observed = to_wire(datetime.now(UTC) - timedelta(seconds=age))
    return {"asset": name, "currency": currency, "rate": rate, "observedAt": observed}


async def shown(api: Api, name: str, currency: str = "USD") -> dict[str, Any]:
    """The rate that clients see."""
    answer = await api.get(f"/api/market/rates/{name}?currency={currency}")
    assert answer.status == 200, answer.body
    found: dict[str, Any] = answer.body
    return found


async def test_a_fresh_start_has_the_fake_feed_s_prices(system: System) -> None:
    """Every pair, fresh, without anybody signed in; one asset in one currency, USD unless told."""
    api = system.api()

    async def all_pairs() -> list[dict[str, Any]]:
        answer = await api.get("/api/market/rates")
        rates: list[dict[str, Any]] = answer.body["data"]
        return rates if len(rates) >= len(BASE_USD) * len(PER_USD) else []

    rates = {(one["asset"], one["currency"]): one for one in await eventually(all_pairs)}
    bitcoin = await shown(api, "BTC")
    assert set(bitcoin) == {"asset", "currency", "rate", "source", "observedAt", "stale"}
    assert (bitcoin["source"], bitcoin["stale"], bitcoin["currency"]) == ("fake", False, "USD")
    assert 60_000 < Decimal(bitcoin["rate"]) < 68_000
    assert ("ETH", "TWD") in rates
    assert (await shown(api, "ETH", "EUR"))["currency"] == "EUR"


@pytest.mark.parametrize(
    "path", ["NOPE", "btc", "BTC?currency=XXX", "B%00C", "..%2f..%2fetc", "%E2%82%BF", "BTC%0A"]
)
async def test_what_has_no_rate_is_not_found(system: System, path: str) -> None:
    """404 as problem+json for an asset or currency that nobody has reported."""
    answer = await system.api().get(f"/api/market/rates/{path}")
    assert (answer.status, answer.code) == (404, "NOT_FOUND")


async def test_a_list_goes_on_where_the_page_ended(system: System) -> None:
    """Pages of 7 by asset and currency, none twice, none left out."""
    api = system.api()
    seen: list[tuple[str, str]] = []
    path = "/api/market/rates?limit=7"
    while True:
        answer = await api.get(path)
        seen += [(one["asset"], one["currency"]) for one in answer.body["data"]]
        if not answer.body["hasMore"]:
            break
        path = f"/api/market/rates?limit=7&cursor={answer.body['nextCursor']}"
    assert seen == sorted(set(seen))
    assert ("BTC", "USD") in seen
    assert ("XRP", "USD") in seen


async def test_a_report_is_shown_at_once_and_beats_the_feed(
    system: System, provider: Person
) -> None:
    """200 with the rate; the very next read shows it, whatever copy there was before."""
    api = system.api(provider)
    for _ in range(5):
        before = Decimal((await shown(api, "LTC"))["rate"])
        rate = format(before * Decimal("1.01"), ".8f")
        answer = await api.post("/api/provider/rates", report("LTC", rate))
        assert answer.status == 200, answer.body
        assert answer.body == await shown(api, "LTC")
        assert answer.body["source"] == f"provider:account-{provider.id}"
        assert (answer.body["rate"], answer.body["stale"]) == (rate, False)


async def test_the_band_holds_and_what_leaves_it_is_shown_to_admins(
    system: System, provider: Person, admin: Person, database: Database
) -> None:
    """Near the last price: in use. 21 % more: put aside, shown to admins, not used."""
    api, name = system.api(provider), await priced(database, asset())
    assert (await api.post("/api/provider/rates", report(name, "100"))).status == 200
    refused = await api.post("/api/provider/rates", report(name, "121"))
    assert (refused.status, refused.code) == (409, "RATE_QUARANTINED")
    assert refused.body["reason"] == "OUT_OF_BAND"
    assert (await shown(api, name))["rate"] == "100.00000000"
    listed = await system.api(admin).get("/api/admin/rates/quarantine?status=QUARANTINED")
    row = listed.body["data"][0]
    assert (row["id"], row["asset"], row["rate"]) == (refused.body["quarantineId"], name, "121")
    assert (row["reason"], row["status"], row["acceptedBy"]) == ("OUT_OF_BAND", "QUARANTINED", None)


@pytest.mark.parametrize(
    ("rate", "age", "reason"),
    [
        ("100", 700, "STALE"),
        ("100", -120, "FROM_THE_FUTURE"),
        ("0", 0, "NOT_POSITIVE"),
        ("-100", 0, "NOT_POSITIVE"),
        ("99999999999", 0, "ABSURD"),
        ("0.0000000001", 0, "ABSURD"),
    ],
)
async def test_what_is_no_usable_price_is_put_aside(
    system: System, provider: Person, rate: str, age: float, reason: str
) -> None:
    """409 with its reason, and no rate of that asset afterwards."""
    api, name = system.api(provider), asset()
    refused = await api.post("/api/provider/rates", report(name, rate, age=age))
    assert (refused.status, refused.body["reason"]) == (409, reason)
    assert (await api.get(f"/api/market/rates/{name}")).status == 404


async def test_repeated_and_earlier_reports_are_put_aside(
    system: System, provider: Person, database: Database
) -> None:
    """The same observation again, then an earlier one: the first stays in use."""
    api, name = system.api(provider), await priced(database, asset())
    first = report(name, "100", age=10)
    assert (await api.post("/api/provider/rates", first)).status == 200
    again = await api.post("/api/provider/rates", first)
    earlier = await api.post("/api/provider/rates", report(name, "101", age=20))
    assert again.body["reason"] == "REPEATED"
    assert earlier.body["reason"] == "OUT_OF_ORDER"
    assert (await shown(api, name))["rate"] == "100.00000000"


@pytest.mark.parametrize(
    "changes",
    [
        {"rate": 100},
        {"rate": "NaN"},
        {"rate": "1e3"},
        {"rate": ""},
        {"asset": "btc"},
        {"currency": "usd"},
        {"observedAt": "now"},
        {"observedAt": 1711356300},
        {"source": "fake"},
    ],
)
async def test_what_is_no_report_is_invalid(
    system: System, provider: Person, changes: dict[str, object]
) -> None:
    """400 with a pointer, and nothing for the quarantine."""
    body = report("BTC", "64000") | changes
    answer = await system.api(provider).post("/api/provider/rates", body)
    assert (answer.status, answer.code) == (400, "INVALID")
    assert answer.body["errors"][0]["pointer"] == "/" + next(iter(changes))


async def test_only_providers_report_and_only_admins_look_and_accept(
    system: System, provider: Person, admin: Person, database: Database
) -> None:
    """403 for every other role."""
    buyer = await person(database)
    for who in (buyer, admin):
        answer = await system.api(who).post("/api/provider/rates", report("BTC", "64000"))
        assert (answer.status, answer.code) == (403, "FORBIDDEN")
    for who in (buyer, provider):
        listed = await system.api(who).get("/api/admin/rates/quarantine")
        accepted = await system.api(who).post("/api/admin/rates/quarantine/1/accept")
        assert (listed.status, accepted.status) == (403, 403)


async def test_an_admin_accepts_what_was_out_of_band(
    system: System, provider: Person, admin: Person, database: Database
) -> None:
    """200 with the rate without a Prefer header; in use at once; row and audit log say who; again changes nothing."""
    api, name = system.api(provider), await priced(database, asset())
    await api.post("/api/provider/rates", report(name, "100", age=5))
    refused = await api.post("/api/provider/rates", report(name, "200"))
    path = f"/api/admin/rates/quarantine/{refused.body['quarantineId']}/accept"
    client = system.api(admin)
    accepted = await client.post(path, wait=None)
    assert accepted.status == 200, accepted.body
    assert accepted.body["rate"] == "200.00000000"
    assert (await shown(api, name))["rate"] == "200.00000000"
    assert (await client.post(path, wait=None)).status == 200
    rows = (await client.get("/api/admin/rates/quarantine?status=ACCEPTED")).body["data"]
    assert (rows[0]["asset"], rows[0]["acceptedBy"]) == (name, admin.id)
    asked = f"/api/admin/audit-log?subject=quarantine:{rows[0]['id']}"
    (line,) = (await client.get(asked)).body["data"]
    assert (line["action"], line["actorId"]) == ("rate.accepted", admin.id)
    assert (line["before"]["rate"], line["after"]["rate"]) == ("100.00000000", "200.00000000")
    assert line["requestId"] == accepted.headers["X-Request-Id"]


async def test_what_is_no_rate_or_overtaken_cannot_be_accepted(
    system: System, provider: Person, admin: Person, database: Database
) -> None:
    """409 for a negative one, and for one whose source has said something later; 404 for none."""
    api, client = system.api(provider), system.api(admin)
    name = await priced(database, asset())
    await api.post("/api/provider/rates", report(name, "100", age=30))
    negative = await api.post("/api/provider/rates", report(name, "-1", age=20))
    far = await api.post("/api/provider/rates", report(name, "200", age=10))
    await api.post("/api/provider/rates", report(name, "101"))
    for refused in (negative, far):
        path = f"/api/admin/rates/quarantine/{refused.body['quarantineId']}/accept"
        answer = await client.post(path)
        assert (answer.status, answer.code) == (409, "RATE_QUARANTINED")
    assert (await shown(api, name))["rate"] == "101.00000000"
    assert (await client.post("/api/admin/rates/quarantine/999999999/accept")).status == 404


async def test_the_registry_survives_a_flush(system: System, scratch: Scratch) -> None:
    """Redis emptied: the next read comes from MySQL and fills the copy, for 60 s at most."""
    api = system.api()
    before = await shown(api, "DOT")
    redis = Redis.from_url(scratch.redis_url)
    await redis.delete(KEY, CHANGING_KEY)
    after = await shown(api, "DOT")
    assert after["observedAt"] >= before["observedAt"]
    assert 0 < await redis.ttl(KEY) <= 60
    await redis.aclose()


async def test_an_old_rate_is_shown_as_stale(
    system: System, provider: Person, database: Database
) -> None:
    """Observed two minutes ago: in use, and stale."""
    api, name = system.api(provider), await priced(database, asset())
    answer = await api.post("/api/provider/rates", report(name, "100", age=120))
    assert (answer.status, answer.body["stale"]) == (200, True)
    assert (await shown(api, name))["stale"] is True
