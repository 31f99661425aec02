"""How a gateway starts and ends: refused settings, a graceful stop, exit codes."""

import asyncio
from collections.abc import AsyncIterator

import aiohttp
import pytest

from db.mysql.database import Database
from tests.harness.accounts import Person, person
from tests.harness.scratch import Scratch, scratch_servers
from tests.harness.waiting import eventually
from tests.integration.gateway.processes import Process, free_port, gateway_process, start
from tests.integration.gateway.raw import post, read

STOP_SECONDS = 10
EVENT = {"name": "X", "startTime": "2030-01-01T18:00:00Z", "endTime": "2030-01-01T23:00:00Z"}


@pytest.fixture
async def quiet() -> AsyncIterator[Scratch]:
    """Places without a worker: what is asked there stays undecided."""
    async with scratch_servers() as scratch:
        yield scratch


@pytest.fixture
async def organizer(quiet: Scratch) -> AsyncIterator[Person]:
    """Somebody who may ask for an event."""
    own_database = await Database.connect(quiet.mysql_url)
    yield await person(own_database, "ORGANIZER")
    await own_database.close()


async def ended(one: Process) -> int:
    """Its exit code, within the time it has."""
    async with asyncio.timeout(STOP_SECONDS):
        return await one.process.wait()


async def test_sigterm_finishes_what_is_in_flight_and_exits_0(
    quiet: Scratch, organizer: Person
) -> None:
    """A half-sent request is answered, a long poll ends with what is known, a stream ends politely, nobody new
    is let in, who keeps a connection is sent away with the answer; the process is gone within 10 s, exit code 0."""
    async with gateway_process(quiet) as one, aiohttp.ClientSession() as session:
        session.headers["Authorization"] = f"Bearer {organizer.token}"
        async with session.post(one.url + "/api/events", json=EVENT) as answer:
            assert answer.status == 202
            where = one.url + answer.headers["Location"]
        stream = await session.get(where + "/events")
        assert stream.status == 200
        poll = asyncio.create_task(session.get(where + "?wait=30"))
        port = int(one.url.rpartition(":")[2])
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        body = b'{"email": "a@example.com", "password": "x"}'
        whole = post("/api/auth/login", body)
        writer.write(whole[:-10])
        await writer.drain()

        async def both_wait() -> bool:
            async with session.get(one.health_url + "/metrics") as numbers:
                return "eventhub_waiting_clients 2.0" in await numbers.text()

        assert await eventually(both_wait)
        one.terminate()
        pending = await poll
        assert (pending.status, (await pending.json())["status"]) == (200, "PENDING")

        async def nobody_listens() -> bool:
            try:
                _, opened = await asyncio.open_connection("127.0.0.1", port)
            except ConnectionError:
                return True
            opened.close()
            return False

        assert await eventually(nobody_listens)
        writer.write(whole[-10:])
        answered = await read(reader)
        assert (answered.status, answered.headers.get("connection")) == (401, "close")
        writer.close()
        rest = await stream.content.read()
        assert b"event: outcome" not in rest

        assert await ended(one) == 0
        assert b"Traceback" not in one.output
        assert b'"event":"gateway.stopped"' in one.output


async def test_gateways_share_a_port_and_have_probes_of_their_own(quiet: Scratch) -> None:
    """Two on one port (SO_REUSEPORT), each on its health port; one goes, the other serves on. Idle connections
    do not hold the one that goes."""
    async with gateway_process(quiet) as one:
        port = one.url.rpartition(":")[2]
        health = free_port()
        variables = quiet.environment(
            EVENTHUB_PORT=port, EVENTHUB_HEALTH_PORT=str(health), EVENTHUB_PROCESS="gateway-2"
        )
        probes = f"http://127.0.0.1:{health}"
        two = Process(probes, probes, await start(**variables))
        output = asyncio.create_task(two.drain())
        async with aiohttp.ClientSession() as session:

            async def ready() -> bool:
                try:
                    async with session.get(two.url + "/readyz") as answer:
                        return answer.status == 200
                except aiohttp.ClientError:
                    return False

            await eventually(ready)
            async with session.get(two.url + "/api/events") as elsewhere:
                assert elsewhere.status == 404
            one.terminate()
            assert await ended(one) == 0
            async with session.get(f"http://127.0.0.1:{port}/livez") as answer:
                assert answer.status == 200
            two.terminate()
            assert await ended(two) == 0
        await output


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("EVENTHUB_JWT_KEYS", "k1:c2hvcnQ"),
        ("EVENTHUB_SECRET", "short-secret"),
        ("EVENTHUB_SECRET", "a-secret-that-is-long-enough-for-all,short-secret"),
        ("EVENTHUB_LIMITS_OFF_FOR", "everywhere"),
    ],
)
async def test_wrong_settings_stop_the_start_and_are_named(
    own_scratch: Scratch, name: str, value: str
) -> None:
    """Exit code 2, the variable's name on standard error, never a secret, never a trace."""
    process = await start(**own_scratch.environment(EVENTHUB_PORT="0") | {name: value})
    output, _ = await process.communicate()
    assert process.returncode == 2, output.decode()
    assert b"Traceback" not in output
    assert name.encode() in output or name.removeprefix("EVENTHUB_").lower().encode() in output
    for secret in ("short-secret", "c2hvcnQ"):
        assert secret.encode() not in output
