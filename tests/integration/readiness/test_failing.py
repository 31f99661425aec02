"""A process that fails whatever it is asked says so, and is ready again with the first success."""

import importlib

from contracts.runtime.streak import LEAST
from db.mysql.database import Database
from tests.harness.accounts import person
from tests.harness.command_client import command_client, place
from tests.harness.sales import sale
from tests.harness.scratch import scratch_servers
from tests.harness.system import running
from tests.harness.waiting import eventually
from tests.harness.workers import running_workers
from workers.quote.scene import a_rate_can_be_had
from workers.runtime.process import Worker
from workers.runtime.services import Services


async def test_a_worker_whose_commands_all_end_in_500() -> None:
    """The schema breaks under a running worker: dead letters, not ready; it is mended: ready with the next order."""
    async with scratch_servers() as places:
        database = await Database.connect(places.mysql_url)
        seen: list[Services] = []

        def make(services: Services) -> Worker:
            seen.append(services)
            made: Worker = importlib.import_module("workers.inventory.__main__").make(services)
            return made

        async with (
            command_client(places, database, shards=1) as client,
            running_workers(client.settings, "relay"),
            running_workers(client.settings, "inventory", make=make),
        ):
            organizer, buyer = await person(database, "ORGANIZER"), await person(database)
            event_id, [seat] = await client.sale(organizer, 10)
            [services] = seen
            assert await services.readiness.missing(database=True) == {}
            await database.write("ALTER TABLE order_details RENAME COLUMN updated_at TO gone")
            for number in range(LEAST):
                assert await services.readiness.missing(database=True) == {}, number
                outcome = await client.ask(place(buyer, event_id, (seat, 1)))
                assert outcome.status_code == 500
            assert "messages" in await services.readiness.missing(database=True)
            await database.write("ALTER TABLE order_details RENAME COLUMN gone TO updated_at")
            assert (await client.ask(place(buyer, event_id, (seat, 1)))).status_code == 201
            assert await services.readiness.missing(database=True) == {}
        await database.close()


async def test_a_gateway_whose_requests_all_end_in_500() -> None:
    """Its probe says so; a refused request proves nothing, an answered one does."""
    async with scratch_servers() as places, running(places, workers=("inventory",)) as system:
        database = await Database.connect(places.mysql_url)
        organizer = await person(database, "ORGANIZER")
        made = await sale(system, organizer)
        path = f"/api/events/{made.event_id}"
        await database.write("ALTER TABLE events RENAME COLUMN venue TO gone")
        for _ in range(LEAST):
            assert (await system.api().get("/readyz")).status == 200
            assert (await system.api().get(path)).status == 500
        probe = await system.api().get("/readyz")
        assert (probe.status, probe.body["missing"]) == (503, ["requests"])
        assert (await system.api().get("/nowhere")).status == 404
        assert (await system.api().get("/readyz")).status == 503
        await database.write("ALTER TABLE events RENAME COLUMN gone TO venue")
        assert (await system.api().get(path)).status == 200
        assert (await system.api().get("/readyz")).status == 200
        await database.close()


async def test_without_a_rate_quote_is_not_ready() -> None:
    """None at all, one that is too old, then what its feed says."""
    async with scratch_servers() as places:
        database = await Database.connect(places.mysql_url)
        seen: list[Services] = []

        def make(services: Services) -> Worker:
            seen.append(services)
            made: Worker = importlib.import_module("workers.quote.__main__").make(services)
            return made

        async with running_workers(places.settings(shards=1), "quote", make=make):

            async def quotable() -> bool:
                return bool(seen) and await a_rate_can_be_had(seen[0]) is None

            await eventually(quotable)
            assert set(seen[0].readiness.checks) == {"rates"}
        [services] = seen
        assert services.settings.rate_max_age == 600
        old = "UPDATE rates SET observed_at = UTC_TIMESTAMP(6) - INTERVAL %s SECOND"
        # The worker's own sessions are closed with it.
        services.database = database
        for age, fine in ((590, True), (610, False)):
            await database.write(old, age)
            assert (await a_rate_can_be_had(services) is None) is fine
        await database.write("DELETE FROM rates")
        assert "nothing can be quoted" in str(await a_rate_can_be_had(services))
        await database.close()
