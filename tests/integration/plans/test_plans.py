"""The plans of the hot paths: no statement of a sale reads a table from end to end.

Every statement that an order, its addition, its payment, its end and the sweeps run is recorded on a database with
thousands of orders, and explained there.
"""

import re
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest

from contracts.commands import AddItems, CancelOrder, OrderItem
from db import orders, returns
from db import stock as stocks
from db.messages import outbox, outcomes
from db.mysql.database import Database, Statement, Transaction
from tests.harness.accounts import Person, person
from tests.harness.command_client import FINGERPRINT, CommandClient, command_client, place, result
from tests.harness.scratch import scratch_servers
from tests.harness.waiting import eventually
from tests.harness.workers import running_workers

ORDERS = 3000
LARGE = ("orders", "order_details", "order_history", "command_outcomes", "stock_ledger")


@pytest.fixture(scope="module")
async def grown() -> AsyncIterator[tuple[CommandClient, Person, int, list[int]]]:
    """A command client with workers behind it, on a database in which 3,000 orders were placed."""
    async with scratch_servers() as scratch:
        database = await Database.connect(scratch.mysql_url)
        async with (
            command_client(scratch, database, shards=1) as client,
            running_workers(client.settings, "inventory", "order", "relay"),
        ):
            organizer, buyer = await person(database, "ORGANIZER"), await person(database)
            event_id, types = await client.sale(organizer, 100_000, 100_000)
            sent = [
                await client.send(place(buyer, event_id, (types[n % 2], 1))) for n in range(ORDERS)
            ]
            await client.outcome(sent[-1], within=60)
            for table in LARGE:
                await database.read(f"ANALYZE TABLE {table}")
            yield client, buyer, event_id, types
        await database.close()


@pytest.fixture
def recorded(monkeypatch: pytest.MonkeyPatch) -> list[Statement]:
    """Every statement that runs through a transaction or a read from now on."""
    seen: list[Statement] = []
    results = Transaction._results

    def recording(self: Transaction, flight: Sequence[Any]) -> AsyncIterator[Any]:
        seen.extend(one.statement for one in flight if isinstance(one.statement, Statement))
        return results(self, flight)

    monkeypatch.setattr(Transaction, "_results", recording)
    return seen


async def full_scans(database: Database, statements: list[Statement]) -> list[str]:
    """The statements whose plan reads a large table whole (type ALL or index)."""
    bad = []
    for sql, parameters in ((one.sql, one.parameters) for one in statements):
        if not re.match(r"\s*(SELECT|UPDATE|DELETE)\b", sql) or "information_schema" in sql:
            continue
        plan = await database.read(f"EXPLAIN FORMAT=TRADITIONAL {sql}", *parameters)
        for row in plan:
            text = [str(column) for column in row]
            if any(table in text for table in ("ALL", "index")) and _is_large(sql, text):
                bad.append(f"{sql} -> {text}")
    return bad


def _is_large(sql: str, plan: list[str]) -> bool:
    names = {alias: table for table, alias in re.findall(r"\b(\w+) (?:AS )?([a-z])\b(?!\.)", sql)}
    return any(names.get(column, column) in LARGE for column in plan)


async def test_an_orders_life_reads_nothing_whole(
    grown: tuple[CommandClient, Person, int, list[int]], recorded: list[Statement]
) -> None:
    """Placed, redelivered, added to, refused, cancelled, expired, given back: keys all the way."""
    client, buyer, event_id, (one, two) = grown
    database = client.database
    uuid = await client.send(place(buyer, event_id, (one, 1), (two, 2)))
    order = result(await client.outcome(uuid))
    wanted = (OrderItem(ticket_type_id=one, quantity=1),)
    add = AddItems(
        principal=buyer.principal,
        fingerprint=FINGERPRINT,
        event_id=event_id,
        order_id=order["id"],
        items=wanted,
    )
    result(await client.ask(add))
    cancel = CancelOrder(principal=buyer.principal, fingerprint=FINGERPRINT, order_id=order["id"])
    result(await client.ask(cancel))
    other = result(await client.ask(place(buyer, event_id, (one, 1))))
    await database.write(
        "UPDATE orders SET created_at = created_at - INTERVAL 1 HOUR, "
        "expires_at = UTC_TIMESTAMP(6) - INTERVAL 1 SECOND WHERE id = %s",
        other["id"],
    )

    async def given_back() -> bool:
        rows = await database.read(
            "SELECT COUNT(*) FROM order_details WHERE order_id IN (%s, %s) "
            "AND returned_version IS NULL",
            order["id"],
            other["id"],
        )
        return bool(rows[0][0] == 0)

    await eventually(given_back)
    assert len(recorded) > 20
    assert await full_scans(database, recorded) == []


async def test_sweeps_and_reads_beside_the_sale_read_nothing_whole(
    grown: tuple[CommandClient, Person, int, list[int]], recorded: list[Statement]
) -> None:
    """The expiry sweep's candidates, an event's unpaid orders, shortages, retention, outcomes by id."""
    client, _, event_id, types = grown
    database = client.database
    await orders.past_deadline(database, 200)
    await orders.unpaid_of_event(database, event_id, 200)
    await stocks.shortages(database, types)
    await returns.overdue(database, 30, 200)
    await outcomes.find(database, [b"0" * 16, b"1" * 16])
    await outbox.pending(database, [0, 1, 2], 500)
    assert await full_scans(database, recorded) == []


async def test_control_a_scan_is_seen(
    grown: tuple[CommandClient, Person, int, list[int]],
) -> None:
    """The control: a statement without a key is named."""
    database = grown[0].database
    scan = Statement("SELECT id FROM orders o WHERE o.total_cost > %s", (1,))
    assert len(await full_scans(database, [scan])) == 1
