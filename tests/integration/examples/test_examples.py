"""The programs of `examples/`, run as their readers run them, against a whole EventHub."""

import asyncio
import contextlib
import json
import os
import secrets
import socket
import sys
from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path

import pytest

from db.mysql.database import Database
from gateway.accounts.passwords import make_hasher
from tests.harness.accounts import Person, person
from tests.harness.scratch import Scratch, scratch_servers
from tests.harness.system import System, running
from tests.harness.waiting import eventually
from tests.integration.rates.broker import provider

EXAMPLES = Path(__file__).parents[3] / "examples"
ADMIN_PASSWORD = "an admin of the examples"
BUYERS = (
    pytest.param([sys.executable, "buy_a_ticket.py"], id="python"),
    pytest.param(["node", "buy_a_ticket.mjs"], id="node", marks=pytest.mark.full),
)
"""Node is not part of what scripts/test installs."""


@pytest.fixture(scope="module")
async def examples_scratch() -> AsyncIterator[Scratch]:
    """Servers of this module's own."""
    async with scratch_servers() as scratch:
        yield scratch


@pytest.fixture(scope="module")
async def examples_database(examples_scratch: Scratch) -> AsyncIterator[Database]:
    """A pool on their database."""
    opened = await Database.connect(examples_scratch.mysql_url)
    yield opened
    await opened.close()


@pytest.fixture(scope="module")
async def system(examples_scratch: Scratch, examples_database: Database) -> AsyncIterator[System]:
    """A whole EventHub that has heard what a BTC costs."""
    async with running(examples_scratch, webhook_allow_private=True) as started:

        async def polled() -> bool:
            found = "SELECT 1 FROM rates WHERE asset = 'BTC' AND currency = 'USD'"
            return await examples_database.read(found) != []

        await eventually(polled)
        yield started


@pytest.fixture(scope="module")
async def admin(examples_database: Database) -> Person:
    """An admin who can sign in with ADMIN_PASSWORD."""
    made = await person(examples_database, "ADMIN")
    await examples_database.run(
        lambda transaction: transaction.execute(
            "UPDATE users SET password_hash = %s WHERE id = %s",
            make_hasher("64,1,1").hash(ADMIN_PASSWORD),
            made.id,
        )
    )
    return made


async def ran(system: System, *command: str, **environment: str) -> str:
    """Standard output of an example that ended well."""
    process = await _started(system, *command, **environment)
    out, error = await process.communicate()
    assert process.returncode == 0, error.decode()
    return out.decode()


async def _started(system: System, *command: str, **environment: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *command,
        cwd=EXAMPLES,
        env={**os.environ, "EVENTHUB_URL": system.url, **environment},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )


@pytest.fixture(scope="module")
async def ticket_type(system: System, admin: Person) -> str:
    """What the example puts on sale."""
    account = {"EVENTHUB_ADMIN_EMAIL": admin.email, "EVENTHUB_ADMIN_PASSWORD": ADMIN_PASSWORD}
    return (await ran(system, sys.executable, "put_on_sale.py", "10", **account)).strip()


@pytest.mark.parametrize("buyer", BUYERS)
async def test_a_buyer_gets_a_confirmed_order(
    system: System, ticket_type: str, buyer: list[str]
) -> None:
    """A new account and then the same again: each run ends with two tickets more that are paid."""
    path = f"/api/ticket-types/{ticket_type}"
    before = (await system.api().get(path)).body["available"]
    account = {
        "EVENTHUB_EMAIL": f"{secrets.token_hex(4)}@example.com",
        "EVENTHUB_PASSWORD": "correct horse battery",
    }
    for _ in range(2):
        order = json.loads(await ran(system, *buyer, ticket_type, "2", **account))
        assert (order["status"], order["totalCost"]) == ("CONFIRMED", "99.80")

    async def sold() -> bool:
        shown = (await system.api().get(path)).body["available"]
        return bool(shown == before - 4)

    await eventually(sold)


@pytest.mark.parametrize("buyer", BUYERS)
async def test_a_buyer_is_told_why_not(system: System, ticket_type: str, buyer: list[str]) -> None:
    """More tickets than an order may hold: the program ends with 1 and says the problem's code."""
    process = await _started(system, *buyer, ticket_type, "1000")
    _, error = await process.communicate()
    assert process.returncode == 1
    assert error.startswith(b"LIMIT_EXCEEDED: ")


async def test_a_receiver_takes_what_is_signed_and_refuses_the_rest(
    system: System, examples_database: Database, ticket_type: str
) -> None:
    """A ping and a purchase arrive, each id once; a message with another signature is a 400."""
    owner = await person(examples_database, "ADMIN")
    api, port = system.api(owner), _free_port()
    url = f"http://127.0.0.1:{port}/hooks"
    made = (await api.post("/api/webhooks", {"url": url, "eventTypes": ["order.confirmed"]})).body
    async with _receiving(system, port, made["secret"]) as lines:
        await _answers(system, url)
        assert (await api.post(f"/api/webhooks/{made['id']}/ping")).status == 202
        assert " webhook.ping " in await lines.readuntil()

        async def active() -> bool:
            return bool((await api.get(f"/api/webhooks/{made['id']}")).body["status"] == "ACTIVE")

        await eventually(active)
        await ran(system, sys.executable, "buy_a_ticket.py", ticket_type)
        assert " order.confirmed " in await lines.readuntil("order.confirmed")
        forged = {
            "webhook-id": "1",
            "webhook-timestamp": "1893520800",
            "webhook-signature": "v1,AAAA",
        }
        async with system.session.post(url, json={"type": "order.confirmed"}, headers=forged) as no:
            assert no.status == 400


class _Lines:
    def __init__(self, stream: asyncio.StreamReader) -> None:
        self._stream = stream

    async def readuntil(self, word: str = "webhook.ping") -> str:
        """The next line with that word in it."""
        async with asyncio.timeout(20):
            while line := (await self._stream.readline()).decode():
                if word in line:
                    return line
        raise AssertionError(f"the receiver ended before {word}")


@contextlib.asynccontextmanager
async def _receiving(system: System, port: int, secret: str) -> AsyncIterator[_Lines]:
    process = await _started(
        system, sys.executable, "receive_webhooks.py", str(port), WEBHOOK_SECRET=secret
    )
    assert process.stdout is not None
    try:
        yield _Lines(process.stdout)
    finally:
        process.terminate()
        await process.communicate()


async def _answers(system: System, url: str) -> None:
    async def answers() -> bool:
        try:
            async with system.session.post(url, data=b"{}") as answer:
                return answer.status == 400
        except OSError:
            return False

    await eventually(answers)


def _free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


async def test_a_provider_reports_over_http_and_over_the_broker(
    system: System, examples_scratch: Scratch
) -> None:
    """Rates near the feed's: the first is in use when the program ends, the second soon after."""
    path = "/api/market/rates/BTC?currency=USD"
    feed = Decimal((await system.api().get(path)).body["rate"])
    first, second = f"{feed * Decimal('1.01'):.8f}", f"{feed * Decimal('1.02'):.8f}"
    async with provider(examples_scratch) as added:
        report = [sys.executable, "report_rate_over_http.py", "BTC", "USD"]
        account = {"EVENTHUB_EMAIL": added["email"], "EVENTHUB_PASSWORD": added["password"]}
        assert json.loads(await ran(system, *report, first, **account))["rate"] == first
        publish = [sys.executable, "report_rate_over_amqp.py", "BTC", "USD"]
        said = await ran(system, *publish, second, AMQP_URL=added["amqpUrl"])
        assert said == f"BTC/USD at {second} has arrived\n"

        async def in_use() -> bool:
            return bool((await system.api().get(path)).body["rate"] == second)

        await eventually(in_use)
