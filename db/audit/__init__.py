"""Proves from the database alone that nothing was oversold, lost or paid twice.

In: a `Database`; whether the system should be quiet. Out: a `AuditReport`: per rule the rows that break it.
Must stay true: everything is read in one consistent snapshot and nothing is written or locked, so that it may run
beside a sale; the report names each broken rule with its rows, at most `ROWS_MAX` per check.

    rule.py       what a rule is          stock.py      1 balance, 2 ledger     answers.py  3 outcomes and effects
    money.py      4 payments, receipts    lifecycle.py  5 moves of orders, 6 quiet    tickets.py  7 tickets, scans
"""

import time
from collections.abc import Collection
from datetime import datetime
from decimal import Decimal
from typing import Any

import pymysql.err

from contracts.runtime.times import from_sql, to_wire
from db.audit.answers import outcomes
from db.audit.lifecycle import history, quiet_now
from db.audit.money import money
from db.audit.report import AuditFailed, AuditReport, BrokenRow, RuleVerdict
from db.audit.rule import AuditOptions, Check, Rule, RuleOf
from db.audit.stock import balance, replay
from db.audit.tickets import tickets
from db.mysql.database import Database, Transaction

__all__ = ["ALWAYS", "WHEN_QUIET", "AuditFailed", "AuditReport", "audit", "judge"]

ROWS_MAX = 20
DEFAULT_RETENTION = 7 * 86400
ALWAYS: tuple[RuleOf, ...] = (balance, replay, outcomes, money, history, tickets)
WHEN_QUIET: tuple[RuleOf, ...] = (quiet_now,)


async def audit(
    database: Database,
    *,
    quiet: bool = False,
    retention: int = DEFAULT_RETENTION,
    expected_dead: Collection[int] = (),
) -> AuditReport:
    """Look at everything. Raises the database's errors when it cannot.

    quiet: also ask that nothing is under way. retention: EVENTHUB_OUTCOME_RETENTION, in seconds: an older effect
    may have lost its outcome. expected_dead: ids of dead letters that are known and wanted.
    """
    began = time.monotonic()
    async with database.session() as cursor:
        session = Transaction(cursor)
        at = await session.now()
        await session.execute("START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY")
        try:
            verdicts = await judge(
                cursor, quiet, AuditOptions(retention, tuple(expected_dead) or (0,), at)
            )
        except pymysql.err.ProgrammingError:
            # After every other error the pool closes the session: leave no transaction open in this one.
            await session.execute("ROLLBACK")
            raise
        await session.execute("ROLLBACK")
    return AuditReport(verdicts, quiet, time.monotonic() - began)


async def judge(cursor: Any, quiet: bool, options: AuditOptions) -> tuple[RuleVerdict, ...]:
    """Every rule on what this session sees: the audit inside a transaction that is open already."""
    rules = [rule(options) for rule in (*ALWAYS, *(WHEN_QUIET if quiet else ()))]
    return tuple([await _judge(cursor, rule) for rule in rules])


async def _judge(cursor: Any, rule: Rule) -> RuleVerdict:
    session = Transaction(cursor)
    findings: list[BrokenRow] = []
    cut = False
    for check in rule.checks:
        rows = await session.fetch(_limited(check), *check.parameters)
        names = [column[0] for column in cursor.description]
        cut = cut or len(rows) > ROWS_MAX
        for row in rows[:ROWS_MAX]:
            plain = {name: _plain(value) for name, value in zip(names, row, strict=True)}
            findings.append(BrokenRow(check.name, plain))
    note = (
        await session.fetch(f"{rule.note.sql} LIMIT 1", *rule.note.parameters) if rule.note else []
    )
    return RuleVerdict(rule.id, rule.sentence, tuple(findings), cut, note[0][0] if note else None)


def _limited(check: Check) -> str:
    return f"{check.sql} LIMIT {ROWS_MAX + 1}"


def _plain(value: object) -> Any:
    if isinstance(value, datetime):
        return to_wire(from_sql(value))
    if isinstance(value, bytes):
        return value.hex()
    return str(value) if isinstance(value, Decimal) else value
