"""One wrong row, one broken rule: each rule sees what it is for, and no other rule cries with it."""

import asyncio
import os
import sys
from datetime import timedelta
from pathlib import Path

import orjson
import pytest

from db.audit import DEFAULT_RETENTION, AuditReport, audit, judge
from db.audit.rule import AuditOptions
from db.mysql.database import Database, Transaction
from tests.harness.accounts import person
from tests.harness.command_client import command_client
from tests.harness.scratch import Scratch
from tests.harness.waiting import eventually
from tests.harness.workers import running_workers
from tests.integration.audit.small_sale import SmallSale
from tests.integration.audit.wrong_rows import WRONG
from tests.integration.catalogue.management import buy
from tests.integration.payments.payment_client import cancel

ROOT = Path(__file__).resolve().parents[3]


async def broken_by(
    small_sale: SmallSale,
    sql: str,
    *,
    quiet: bool,
    retention: int = DEFAULT_RETENTION,
    earlier: timedelta = timedelta(),
) -> list[int]:
    """The rules that do not hold in a transaction that wrote this and takes it back."""
    async with small_sale.database.session() as cursor:
        await cursor.execute("BEGIN")
        await cursor.execute("SET foreign_key_checks = 0")
        changed = await cursor.execute(sql.format(**small_sale.ids))
        at = await Transaction(cursor).now() - earlier
        verdicts = await judge(cursor, quiet, AuditOptions(retention, (0,), at))
        await cursor.execute("ROLLBACK")
        await cursor.execute("SET foreign_key_checks = 1")
    assert changed == 1, f"{changed} rows were written"
    return [one.id for one in verdicts if one.findings]


async def test_a_deadline_that_passes_during_the_audit_is_not_missed(small_sale: SmallSale) -> None:
    """An order is held against the time of the snapshot that shows it, however long the checks before took."""
    sql = "UPDATE orders SET expires_at = UTC_TIMESTAMP(6) WHERE id = {held}"
    assert await broken_by(small_sale, sql, quiet=True) == [6]
    assert await broken_by(small_sale, sql, quiet=True, earlier=timedelta(minutes=1)) == []


async def test_right_books_are_found_right(small_sale: SmallSale) -> None:
    """Every rule holds, also the one of silence."""
    (await audit(small_sale.database, quiet=True)).require_ok()


@pytest.mark.parametrize(
    ("rule", "name", "sql"), WRONG, ids=[f"{rule}: {name}" for rule, name, _ in WRONG]
)
async def test_one_wrong_row_breaks_its_rule_alone(
    small_sale: SmallSale, rule: int, name: str, sql: str
) -> None:
    """`name` says what the row would mean."""
    assert await broken_by(small_sale, sql, quiet=rule == 6) == [rule], name


@pytest.mark.parametrize("rule", [1, 2, 3, 4, 5, 6, 7])
def test_every_rule_has_its_wrong_row(rule: int) -> None:
    """Nobody adds a rule without showing that it can break."""
    assert rule in [one for one, _, _ in WRONG]


async def test_a_back_fill_that_runs_is_said(small_sale: SmallSale) -> None:
    """While it runs an order may lack all of its tickets, never some; the report says so."""
    async with small_sale.database.session() as cursor:
        await cursor.execute("BEGIN")
        await cursor.execute(
            "INSERT INTO ticket_backfill (id, pass_began_at, created_at) "
            "VALUES (1, UTC_TIMESTAMP(6), UTC_TIMESTAMP(6))"
        )
        await cursor.execute("DELETE FROM tickets WHERE id = %s", (small_sale.spare,))
        at = await Transaction(cursor).now()
        options = AuditOptions(DEFAULT_RETENTION, (0,), at)
        running = await judge(cursor, False, options)
        await cursor.execute("UPDATE ticket_backfill SET finished_at = UTC_TIMESTAMP(6)")
        finished = await judge(cursor, False, options)
        await cursor.execute("ROLLBACK")
    assert [one.id for one in running if one.findings] == []
    assert [one.id for one in finished if one.findings] == [7]
    said = AuditReport(running, False, 0.0)
    assert "note: the back-fill of tickets runs" in said.to_text()
    assert AuditReport(finished, False, 0.0).to_json()["rules"][5]["note"] is None


async def test_silence_is_asked_for_only_when_wanted(small_sale: SmallSale) -> None:
    """An event on its way breaks nothing while the system runs."""
    sql = next(sql for _, name, sql in WRONG if name == "an event that waits")
    assert await broken_by(small_sale, sql, quiet=False) == []


async def test_an_old_effect_may_have_lost_its_outcome(small_sale: SmallSale) -> None:
    """Outcomes are forgotten oldest first, once old enough: what is younger than a kept one still has its own."""
    oldest = "DELETE FROM command_outcomes ORDER BY decided_at, id LIMIT 1"
    assert await broken_by(small_sale, oldest, quiet=False) == [3], "too young to be forgotten"
    assert await broken_by(small_sale, oldest, quiet=False, retention=0) == []
    newest = "DELETE FROM command_outcomes WHERE type = 'eventhub.order.add_items.v1'"
    assert await broken_by(small_sale, newest, quiet=False, retention=0) == [3], (
        "older ones are kept"
    )


async def test_tickets_under_way_are_counted_as_releasing(
    scratch: Scratch, small_sale: SmallSale
) -> None:
    """An order cancelled while inventory is away: the books balance, but they are not quiet."""
    database = small_sale.database
    async with command_client(scratch, database) as client:
        buyer = await person(database)
        async with running_workers(client.settings, "inventory"):
            order_id = await buy(client, buyer, small_sale.event_id, small_sale.boxes, 1)
        async with running_workers(client.settings, "order", "relay"):
            assert (await client.ask(cancel(buyer, order_id))).status_code == 200
            await eventually(lambda: _outbox_empty(database))
        (await audit(database)).require_ok()
        assert (await audit(database, quiet=True)).broken == [6]
        async with running_workers(client.settings, "inventory", "relay", "notify"):
            await eventually(lambda: _quiet(database))


async def _outbox_empty(database: Database) -> bool:
    return not await database.read("SELECT id FROM outbox LIMIT 1")


async def _quiet(database: Database) -> bool:
    return (await audit(database, quiet=True)).ok


async def run(url: str, *arguments: str) -> tuple[int, str, str]:
    """scripts/audit: (exit code, output, errors)."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "scripts.auditing", *arguments),
        env={**os.environ, "MYSQL_URL": url, "PYTHONPATH": str(ROOT)},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    output, errors = await process.communicate()
    assert process.returncode is not None
    return process.returncode, output.decode(), errors.decode()


async def test_the_command_says_0_1_and_2(scratch: Scratch, small_sale: SmallSale) -> None:
    """0: all rules hold. 1: rule and rows are named. 2: it could not look, and no password is shown."""
    code, output, _ = await run(scratch.mysql_url, "--quiet")
    assert (code, output.count("ok "), "all rules hold" in output) == (0, 7, True)
    await small_sale.database.write(
        "UPDATE orders SET total_cost = total_cost + 1 WHERE id = %s", small_sale.held
    )
    try:
        code, output, _ = await run(scratch.mysql_url)
        assert (code, f"orderId={small_sale.held}" in output, output.endswith("broken: 4\n")) == (
            1,
            True,
            True,
        )
        code, output, _ = await run(scratch.mysql_url, "--json")
        report = orjson.loads(output)
        assert (code, report["ok"]) == (1, False)
        assert [rule["id"] for rule in report["rules"] if not rule["ok"]] == [4]
        assert report["rules"][3]["findings"][0]["row"]["orderId"] == small_sale.held
    finally:
        await small_sale.database.write(
            "UPDATE orders SET total_cost = total_cost - 1 WHERE id = %s", small_sale.held
        )
    for url in ("mysql://u:geheim@127.0.0.1:1/x", scratch.mysql_url.rsplit("/", 1)[0] + "/mysql"):
        code, output, errors = await run(url)
        assert (code, output, "could not look" in errors) == (2, "", True)
        assert "geheim" not in errors
