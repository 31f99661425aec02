"""What providers send and what stays of it: real clients' mistakes, repeats, floods; never more than so much."""

import base64
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

import db.accounts.provider_reports
import db.messages.dead_letters
import db.rates
from contracts.rates import Rate
from db import rates
from db.mysql.database import Database
from db.redis.clients import quick_client
from db.redis.quote_registry import KEY, QuoteRegistry
from tests.harness.accounts import person
from tests.harness.rates import SEED, priced
from tests.harness.scratch import Scratch
from tests.harness.system import System
from tests.harness.waiting import eventually
from tests.integration.rates.broker import connected, fields, message, provider, publish
from tests.integration.rates.test_hostile_providers import was_put_aside
from tests.integration.rates.test_providers import reasons
from tests.integration.rates.test_rates_http import asset, report


@pytest.fixture(scope="module")
async def acme(scratch: Scratch, system: System) -> AsyncIterator[dict[str, Any]]:
    """A provider; the topology exists, because EventHub runs."""
    async with provider(scratch) as added:
        yield added


@pytest.mark.parametrize(
    ("body", "changes"),
    [
        ("plain", {"content_type": None}),
        ("event", {"content_type": "application/cloudevents+json"}),
        ("event", {"content_type": None}),
        ("encoded", {"content_type": "application/cloudevents+json"}),
    ],
)
async def test_what_clients_really_send_is_taken(
    acme: dict[str, Any], database: Database, body: str, changes: dict[str, object]
) -> None:
    """No content type, envelopes under any name, data in base64: each is a rate, and sent again it is the same one."""
    name = await priced(database, asset())
    said = fields(name, "104")
    sent = message({"plain": said, "event": _event(said), "encoded": _encoded(said)}[body], None)
    sent = message(sent.body, acme["name"], **changes)
    async with connected(acme["amqpUrl"]) as channel:
        for _ in range(2):
            await publish(channel, f"rates.{acme['name']}.{name}", sent)
        last = message(fields(name, "105"), acme["name"])
        await publish(channel, f"rates.{acme['name']}.{name}", last)

    async def stored() -> bool:
        rows = await database.read(
            "SELECT 1 FROM rates WHERE asset = %s AND rate = 105 AND source <> %s", name, SEED
        )
        return bool(rows)

    await eventually(stored)
    assert await reasons(database, name) == []
    rows = await database.read(
        "SELECT status, rate FROM provider_reports WHERE asset = %s ORDER BY id", name
    )
    assert list(rows) == [("ACCEPTED", "104"), ("ACCEPTED", "105")]


def _event(said: dict[str, str]) -> dict[str, object]:
    return {
        "specversion": "1.0",
        "id": f"e-{said['asset']}",
        "source": "/a",
        "type": "r",
        "data": said,
    }


def _encoded(said: dict[str, str]) -> dict[str, object]:
    event = _event(said)
    del event["data"]
    return event | {"data_base64": base64.b64encode(json.dumps(said).encode()).decode()}


async def test_another_report_under_a_used_id_is_told_so(
    acme: dict[str, Any], database: Database
) -> None:
    """A client that numbers all its messages alike: the first counts, each other one is put aside, none is lost."""
    name = await priced(database, asset())
    async with connected(acme["amqpUrl"]) as channel:
        for price in ("100", "101", "102"):
            sent = message(fields(name, price), acme["name"], message_id=f"always-{name}")
            await publish(channel, f"rates.{acme['name']}.{name}", sent)
    await eventually(lambda: was_put_aside(database, name, ["REPEATED", "REPEATED"]))


async def test_what_a_provider_leaves_behind_is_bounded(
    acme: dict[str, Any], database: Database, system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bad reports, unreadable messages, dead letters, huge ones: the newest few of each stay, others' all."""
    monkeypatch.setattr(db.rates, "QUARANTINE_KEPT_EACH", 5)
    monkeypatch.setattr(db.accounts.provider_reports, "KEPT_EACH", 7)
    monkeypatch.setattr(db.messages.dead_letters, "SENDER_KEPT", 3)
    [[before]] = await database.read("SELECT COALESCE(MAX(id), 0) FROM dead_letters")
    source, other = f"provider:{acme['name']}", await person(database, "PROVIDER")
    await system.api(other).post("/api/provider/rates", report(asset(), "1"))
    async with connected(acme["amqpUrl"]) as channel:
        for n in range(12):
            name = f"B{n:02d}"
            bad = message(fields(name, "-1"), acme["name"])
            await publish(channel, f"rates.{acme['name']}.{name}", bad)
            unreadable = message(b"x" * 70_000 + str(n).encode(), acme["name"])
            await publish(channel, f"rates.{acme['name']}.{name}", unreadable)
            lies = {
                "x-eventhub-queue": "inventory.0",
                "x-eventhub-routing-key": f"rates.other{n}.X",
            }
            expired = message(b"%d" % n, acme["name"], expiration=0, headers=lies)
            await publish(channel, f"rates.{acme['name']}.{name}", expired)

    async def counted() -> bool:
        quarantine = await database.read(
            "SELECT asset FROM rate_quarantine WHERE source = %s ORDER BY id DESC", source
        )
        listed = await database.read(
            "SELECT COUNT(*) FROM provider_reports WHERE source = %s", source
        )
        letters = await database.read(
            "SELECT LENGTH(body), routing_key FROM dead_letters WHERE queue = 'quote.rates' AND id > %s",
            before,
        )
        newest = [row[0] for row in quarantine] == [f"B{n:02d}" for n in (11, 10, 9, 8, 7)]
        return bool(
            newest and listed[0][0] == 7 and 0 < len(letters) <= 3 and max(letters)[0] <= 65_536
        )

    await eventually(counted, within=20)
    elsewhere = await database.read(
        "SELECT COUNT(*) FROM dead_letters WHERE queue = 'inventory.0' AND id > %s", before
    )
    assert elsewhere[0][0] == 0
    rows = await database.read(
        "SELECT COUNT(*) FROM provider_reports WHERE source = %s", f"provider:account-{other.id}"
    )
    assert rows[0][0] == 1


async def test_one_pair_is_read_by_its_key(
    scratch: Scratch, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With twenty thousand other pairs, from the copy, without a copy, while a change commits, without Redis."""
    name = await priced(database, asset())
    await database.write("DELETE FROM rates WHERE source = 'provider:flood'")
    for start in range(0, 20_000, 2_000):
        async with database.transaction() as transaction:
            await transaction.insert(
                "rates",
                ("asset", "currency", "source", "rate", "observed_at", "received_at"),
                [
                    (f"F{n:05d}", "USD", "provider:flood", 1, *["2026-01-01 00:00:00"] * 2)
                    for n in range(start, start + 2_000)
                ],
            )
    redis = quick_client(scratch.redis_url)
    try:
        registry = QuoteRegistry(redis, database)
        await redis.delete(KEY, "rates:changing")
        assert [one.source for one in await registry.of_pair((name, "USD"))] == [SEED]
        assert await redis.exists(KEY) == 1

        async def never(_: object) -> list[Rate]:
            raise AssertionError("all rates were read for one pair")

        monkeypatch.setattr(rates, "everything", never)
        monkeypatch.setattr(redis, "hgetall", never)
        for _ in range(2):
            assert [one.source for one in await registry.of_pair((name, "USD"))] == [SEED]
            assert await registry.of_pair(("NOPE", "USD")) == []
            await registry.changing()
        away = QuoteRegistry(quick_client("redis://127.0.0.1:1/0"), database)
        assert [one.source for one in await away.of_pair((name, "USD"))] == [SEED]
    finally:
        await database.write("DELETE FROM rates WHERE source = 'provider:flood'")
        await redis.delete(KEY, "rates:changing")
        await redis.aclose()
