"""What was sold before there were tickets: issued in steps, resumed, done once, told; the audit says while it runs."""

from collections.abc import AsyncIterator

import pytest

from db.audit import audit
from db.mysql.database import Database
from db.tickets import backfill
from tests.harness.accounts import person
from tests.harness.command_client import CommandClient, command_client, place, result
from tests.harness.processes import Processes, running_processes
from tests.harness.scratch import Scratch, scratch_servers
from tests.harness.waiting import eventually
from tests.harness.workers import running_workers
from tests.integration.payments.payment_client import confirm, fresh_hash, quote, set_rate, unpaid

ORDERS = 4


@pytest.fixture
async def before() -> AsyncIterator[tuple[Scratch, CommandClient, list[int]]]:
    """Servers where five orders of two tickets, one of them free, were confirmed by a release that issued none."""
    async with scratch_servers() as scratch:
        database = await Database.connect(scratch.mysql_url)
        async with command_client(scratch, database) as client:
            async with running_workers(
                client.settings, "inventory", "order", "payment", "relay", "notify"
            ):
                await set_rate(database, "BTC", "50000")
                sold = [await unpaid(client) for _ in range(ORDERS)]
                for one in sold:
                    payment = result(await client.ask(quote(one.buyer, one.order_id)))["id"]
                    result(await client.ask(confirm(one.buyer, int(str(payment)), fresh_hash())))
                free = await _free(client)
            await database.write("DELETE FROM tickets")
            await database.write(
                "INSERT INTO ticket_backfill (id, pass_began_at, created_at) "
                "VALUES (1, UTC_TIMESTAMP(6), UTC_TIMESTAMP(6) - INTERVAL 1 HOUR)"
            )
            yield scratch, client, [*(one.order_id for one in sold), free]
        await database.close()


async def _free(client: CommandClient) -> int:
    """An order of two tickets that cost nothing."""
    organizer, buyer = await person(client.database, "ORGANIZER"), await person(client.database)
    event_id, (ticket_type,) = await client.sale(organizer, 10, price="0.00")
    order = result(await client.ask(place(buyer, event_id, (ticket_type, 2))))
    assert order["status"] == "CONFIRMED"
    return int(order["id"])


async def issued(database: Database) -> list[tuple[int, int]]:
    """(order, tickets) of each order that has some."""
    rows = await database.read(
        "SELECT order_id, COUNT(*) FROM tickets GROUP BY order_id ORDER BY order_id"
    )
    return [(row[0], row[1]) for row in rows]


async def done(database: Database) -> bool:
    """Whether the back-fill has nothing more to do."""
    return await backfill.unfinished(database) is None


async def test_it_issues_what_is_missing_and_says_so(
    before: tuple[Scratch, CommandClient, list[int]],
) -> None:
    """Every place gets its ticket, once; the next pass finds nothing; the audit is strict again."""
    _, client, orders = before
    database = client.database
    report = await audit(database)
    assert report.ok
    assert "the back-fill of tickets runs" in report.to_text()
    async with running_workers(client.settings, "payment", "payment-2", "relay", "notify"):
        await eventually(lambda: _all(database, orders))
    assert await issued(database) == [(order, 2) for order in orders]
    # The pass that issued was not the last one: the next, which finds nothing, is.
    await _a_minute_later(database)
    async with running_workers(client.settings, "payment"):
        await eventually(lambda: done(database))
    report = await audit(database)
    assert report.ok
    assert "back-fill" not in report.to_text()
    await database.write("DELETE FROM tickets WHERE order_id = %s", orders[0])
    assert (await audit(database)).broken == [7]


async def _a_minute_later(database: Database) -> None:
    await database.write(
        "UPDATE ticket_backfill SET pass_began_at = pass_began_at - INTERVAL 2 MINUTE"
    )


async def _all(database: Database, orders: list[int]) -> bool:
    return await issued(database) == [(order, 2) for order in orders]


async def test_it_goes_on_where_it_was_killed(
    before: tuple[Scratch, CommandClient, list[int]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """kill -9 with its tickets written and not committed: nothing is there, the next life issues all."""
    scratch, client, orders = before
    folder = tmp_path_factory.mktemp("backfill")
    async with running_processes(scratch, folder) as processes:
        await _dies(processes)
        assert await issued(client.database) == []
        await processes.start("payment-1")
        await eventually(lambda: _all(client.database, orders), within=30)


async def _dies(processes: Processes) -> None:
    victim = await processes.start("payment-1", failpoints="backfill.written=kill", ready=False)
    await victim.died_at("backfill.written")


async def test_a_pass_is_the_last_one_only_after_the_roll_out(
    before: tuple[Scratch, CommandClient, list[int]],
) -> None:
    """A process of the release before may confirm orders for a while: passes begin anew until then."""
    database = before[1].database
    await database.write("UPDATE ticket_backfill SET created_at = UTC_TIMESTAMP(6)")
    state = await backfill.unfinished(database)
    assert state is not None
    assert not backfill.finishes(state)
    await backfill.end_pass(database, state)
    assert await backfill.unfinished(database) == state, "the next one waits a minute"
    await _a_minute_later(database)
    state = await backfill.unfinished(database)
    assert state is not None
    await backfill.end_pass(database, state)
    again = await backfill.unfinished(database)
    assert again is not None
    assert again.pass_began_at > state.pass_began_at
