"""The master secret is rotated while people buy: keys keep their order, ids open, messages in flight are read.

The steps are those of docs/operations.md: every process is told `old,new`, then `new,old`, then `new` alone.
"""

from datetime import UTC, datetime

import pytest
from redis.asyncio import Redis

from contracts.tickets.codes import NoSigningKey
from contracts.webhooks.secrets import SecretSealer, UnreadableSecret
from db.mysql.database import Database
from db.tickets import keys
from tests.harness.accounts import person
from tests.harness.sales import items, sale
from tests.harness.scratch import SECRET, Scratch
from tests.harness.system import Answer, running
from tests.harness.waiting import eventually
from tests.integration.commands.conftest import WORKERS, Accounts

COMMAND, REPLAYED = "X-Command-Id", "Idempotent-Replayed"
NEW = "the next master secret which nobody has seen"
ANNOUNCED, ROTATED = f"{SECRET},{NEW}", f"{NEW}, {SECRET}"


async def flush(place: Scratch) -> None:
    """Nothing is remembered but in MySQL and in processes."""
    async with Redis.from_url(place.redis_url) as redis:
        await redis.flushdb()


@pytest.mark.parametrize("flushed", [False, True], ids=["kept", "flushed"])
async def test_a_live_order_survives_each_step(
    test_scratch: Scratch, accounts: Accounts, flushed: bool
) -> None:
    """Decided under the old secret: the same key is the same order in every step; its command id opens as long as the
    old secret is named, and is said anew under the new one."""
    buyer = accounts.buyer
    async with running(test_scratch, workers=WORKERS) as system:
        show = await sale(system, accounts.organizer, 5)
        body = items((show.ticket_type, 1))
        first = await system.api(buyer).post("/api/orders", body, key="live")
        assert first.status == 201
    for secret in (ANNOUNCED, ROTATED, NEW):
        if flushed:
            await flush(test_scratch)
        async with running(test_scratch, workers=WORKERS, secret=secret) as system:
            api = system.api(buyer)
            again = await api.post("/api/orders", body, key="live")
            assert (again.status, again.body) == (201, first.body)
            assert again.headers[REPLAYED] == "true"
            mismatch = await api.post("/api/orders", items((show.ticket_type, 2)), key="live")
            assert mismatch.code == "IDEMPOTENCY_MISMATCH"
            old_id = await api.get(f"/api/commands/{first.headers[COMMAND]}")
            assert old_id.status == (404 if secret == NEW else 200)
            said = await api.get(f"/api/commands/{again.headers[COMMAND]}")
            assert (said.status, said.body["result"]) == (200, first.body)
            assert len((await api.get("/api/orders")).body["data"]) == 1


async def test_an_undecided_order_survives_with_processes_of_every_step(
    test_scratch: Scratch, accounts: Accounts
) -> None:
    """The command lies signed by the old secret on the queue; the same key comes to gateways that sign with either, and
    Redis is flushed in between: one command, one order."""
    buyer = accounts.buyer
    async with (
        running(test_scratch, workers=WORKERS, secret=ANNOUNCED) as announced,
        running(test_scratch, workers=(), secret=ROTATED) as rotated,
    ):
        show = await sale(announced, accounts.organizer, 5)
        await announced.stop("inventory")
        body = items((show.ticket_type, 1))
        first = await announced.api(buyer).post("/api/orders", body, key="open", wait=None)
        assert first.status == 202
        for system in (rotated, announced, rotated):
            await flush(test_scratch)
            again = await system.api(buyer).post("/api/orders", body, key="open", wait=None)
            assert again.status == 202
            polled = await system.api(buyer).get(f"/api/commands/{first.headers[COMMAND]}")
            assert (polled.status, polled.body["status"]) == (200, "PENDING")
        rotated.start("inventory")
        decided = await announced.api(buyer).post("/api/orders", body, key="open")
        assert (decided.status, decided.headers[REPLAYED]) == (201, "true")
        assert len((await rotated.api(buyer).get("/api/orders")).body["data"]) == 1


async def test_a_gateway_without_any_memory_derives_the_same_command(
    test_scratch: Scratch, accounts: Accounts
) -> None:
    """Redis is away, the command undecided, the gateway a new one with the new secret in front: it publishes the same
    command again, and what decides it knows it."""
    buyer, nowhere = accounts.buyer, "redis://127.0.0.1:1/0"
    async with running(
        test_scratch, workers=WORKERS, secret=ANNOUNCED, REDIS_URL=nowhere
    ) as announced:
        show = await sale(announced, accounts.organizer, 5)
        await announced.stop("inventory")
        body = items((show.ticket_type, 1))
        first = await announced.api(buyer).post("/api/orders", body, key="lost", wait=None)
        assert first.status == 202
        async with running(test_scratch, workers=(), secret=ROTATED, REDIS_URL=nowhere) as rotated:
            again = await rotated.api(buyer).post("/api/orders", body, key="lost", wait=None)
            assert again.status == 202
            rotated.start("inventory")
            decided = await rotated.api(buyer).post("/api/orders", body, key="lost")
            assert decided.status == 201
            for sent in (first, again):

                async def known(sent: Answer = sent) -> bool:
                    path = f"/api/commands/{sent.headers[COMMAND]}"
                    answer = await rotated.api(buyer).get(path)
                    return bool(answer.body["result"] == decided.body)

                await eventually(known)
            assert len((await rotated.api(buyer).get("/api/orders")).body["data"]) == 1


async def test_secrets_of_webhooks_are_sealed_anew(test_scratch: Scratch) -> None:
    """A gateway that is told `new,old` renews all, also the one before the last; then the old one is not needed."""
    books = await Database.connect(test_scratch.mysql_url, size=2)
    try:
        owner = await person(books)
        hook = {"url": "https://hooks.example.com/in", "eventTypes": ["*"]}
        async with running(test_scratch, workers=()) as system:
            made = await system.api(owner).post("/api/webhooks", hook)
            where = f"/api/webhooks/{made.body['id']}/rotate-secret"
            rotated = await system.api(owner).post(where)
            await system.api(owner).post("/api/webhooks", hook)

        async def readable() -> bool:
            sealer = SecretSealer(NEW)
            rows = await books.read(
                "SELECT secret FROM webhook_endpoints UNION ALL "
                "SELECT secret FROM webhook_old_secrets"
            )
            try:
                opened = [sealer.open(secret, owner.id) for (secret,) in rows]
            except UnreadableSecret:
                return False
            assert {rotated.body["secret"], made.body["secret"]} < set(opened)
            return len(opened) == 3

        async with running(test_scratch, workers=(), secret=ANNOUNCED):
            assert not await readable()
        async with running(test_scratch, workers=(), secret=ROTATED):
            await eventually(readable)
    finally:
        await books.close()


async def test_a_key_whose_answer_cannot_be_opened_any_more_is_no_failure(
    test_scratch: Scratch,
) -> None:
    """The secret of before is gone in a hurry: who repeats a call whose answer held a webhook's secret hears so, and
    nothing is done twice."""
    books = await Database.connect(test_scratch.mysql_url, size=2)
    try:
        owner = await person(books)
        hook = {"url": "https://hooks.example.com/in", "eventTypes": ["*"]}
        async with running(test_scratch, workers=()) as system:
            made = await system.api(owner).post("/api/webhooks", hook, key="hook")
        async with running(test_scratch, workers=(), secret=ROTATED) as system:
            again = await system.api(owner).post("/api/webhooks", hook, key="hook")
            assert (again.status, again.body) == (201, made.body)
        async with running(test_scratch, workers=(), secret=NEW) as system:
            lost = await system.api(owner).post("/api/webhooks", hook, key="hook")
            assert lost.code == "IDEMPOTENCY_MISMATCH"
            assert made.headers["Location"] in lost.body["detail"]
            assert len((await system.api(owner).get("/api/webhooks")).body["data"]) == 1
    finally:
        await books.close()


async def test_keys_of_tickets_are_sealed_anew(test_scratch: Scratch) -> None:
    """The key that signs is the same in every step, and opens under the new secret alone in the end."""
    database = await Database.connect(test_scratch.mysql_url, size=2)
    try:
        async with running(test_scratch, workers=()):
            [before] = (await keys.read(database, keys.key_sealer(SECRET))).to_jwks()["keys"]

        async def opens() -> bool:
            found = await keys.read(database, keys.key_sealer(NEW))
            assert found.to_jwks()["keys"] == [before]
            try:
                return found.signer(datetime.now(UTC)).kid == before["kid"]
            except NoSigningKey:
                return False

        async with running(test_scratch, workers=(), secret=ANNOUNCED):
            assert not await opens()
        async with running(test_scratch, workers=(), secret=ROTATED):
            await eventually(opens)
    finally:
        await database.close()
