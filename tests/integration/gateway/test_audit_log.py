"""The audit log: every change of access has its line, in the change's own transaction; no line is ever rewritten."""

import re
from pathlib import Path
from typing import Any

import pytest

from contracts.runtime.times import from_wire, to_wire
from db.accounts import audit_log
from db.accounts.audit_log import OPERATOR, AuditAction
from db.mysql.database import Database, Transaction
from db.retention import retention_rules
from tests.harness.accounts import Person, person
from tests.harness.system import Api, System

ROOT = Path(__file__).parents[3]


async def entries(api: Api, **wanted: object) -> list[dict[str, Any]]:
    """All that fit, the newest first, page by page."""
    found: list[dict[str, Any]] = []
    query = "&".join(f"{name.rstrip('_')}={value}" for name, value in wanted.items())
    cursor = ""
    while True:
        answer = await api.get(f"/api/admin/audit-log?limit=2&{query}{cursor}")
        assert answer.status == 200, answer.body
        found += answer.body["data"]
        if not answer.body["hasMore"]:
            return found
        cursor = f"&cursor={answer.body['nextCursor']}"


async def test_changes_of_an_account_have_their_lines(
    system: System, own_database: Database, admin: Person
) -> None:
    """Who, what, before and after, by which request and from where; what changes nothing has none."""
    api, somebody = system.api(admin), await person(own_database)
    where, subject = f"/api/admin/users/{somebody.id}", f"user:{somebody.id}"
    headers = {"X-Request-Id": "audited-request-1"}
    roles = {"roles": ["USER", "ORGANIZER"]}
    assert (await api.call("PUT", f"{where}/roles", roles, headers=headers)).status == 200
    await api.call("PUT", f"{where}/roles", roles)
    for status in ("DISABLED", "DISABLED", "ACTIVE"):
        await api.patch(where, {"status": status})
    await api.post(f"{where}/unlock")
    await own_database.write(
        "UPDATE users SET failed_login_count = 3, locked_until = UTC_TIMESTAMP(6) + INTERVAL 1 HOUR "
        "WHERE id = %s",
        somebody.id,
    )
    locked = (await api.get(where)).body["lockedUntil"]
    await api.post(f"{where}/unlock")
    lines = await entries(api, subject=subject)
    assert [(one["action"], one["before"], one["after"]) for one in reversed(lines)] == [
        ("user.roles", {"roles": ["USER"]}, {"roles": ["ORGANIZER", "USER"]}),
        ("user.status", {"status": "ACTIVE"}, {"status": "DISABLED"}),
        ("user.status", {"status": "DISABLED"}, {"status": "ACTIVE"}),
        (
            "user.unlocked",
            {"lockedUntil": locked, "failedLoginCount": 3},
            {"lockedUntil": None, "failedLoginCount": 0},
        ),
    ]
    assert {one["actorId"] for one in lines} == {admin.id}
    assert {one["address"] for one in lines} == {"127.0.0.1"}
    assert lines[-1]["requestId"] == "audited-request-1"
    assert somebody.email not in str(lines)
    assert set(lines[0]) == {
        "id", "at", "actorId", "action", "subject", "before", "after", "requestId", "address"
    }  # fmt: skip


async def test_the_log_is_asked_by_actor_action_and_time(
    system: System, own_database: Database, admin: Person
) -> None:
    """Each filter alone and together; from is included, to is not; a bad one is 400."""
    other, somebody = await person(own_database, "ADMIN"), await person(own_database)
    where = f"/api/admin/users/{somebody.id}"
    await system.api(admin).patch(where, {"status": "DISABLED"})
    await system.api(other).patch(where, {"status": "ACTIVE"})
    await system.api(other).call("PUT", f"{where}/roles", {"roles": []})
    api = system.api(admin)
    mine = await entries(api, actor=other.id)
    assert [one["action"] for one in mine] == ["user.roles", "user.status"]
    assert await entries(api, actor=other.id, action="user.status") == mine[1:]
    lines = await entries(api, subject=f"user:{somebody.id}")
    assert len(lines) == 3
    at = lines[1]["at"]
    subject = f"user:{somebody.id}"
    assert await entries(api, subject=subject, from_=at) == lines[:2]
    assert await entries(api, subject=subject, to=at) == lines[2:]
    assert to_wire(from_wire(at)) == at
    assert await entries(api, subject="user:999999999") == []
    for bad in ("actor=x", "actor=0", "from=yesterday", "to=2026", "cursor=x", "subject=%00"):
        assert (await api.get(f"/api/admin/audit-log?{bad}")).code == "INVALID", bad


async def test_a_change_that_is_rolled_back_has_no_line(own_database: Database) -> None:
    """The line is the transaction's."""

    async def work(transaction: Transaction) -> None:
        await audit_log.record(transaction, OPERATOR, AuditAction.USER_ROLES, "user:424242")
        raise LookupError

    with pytest.raises(LookupError):
        await own_database.run(work)
    assert await own_database.read("SELECT 1 FROM audit_log WHERE subject = 'user:424242'") == []


async def test_addresses_are_forgotten_and_lines_are_not(
    system: System, own_database: Database, admin: Person
) -> None:
    """After 90 days, by the retention rule; the line says all the rest for ever."""
    somebody = await person(own_database)
    await system.api(admin).patch(f"/api/admin/users/{somebody.id}", {"status": "DISABLED"})
    subject = f"user:{somebody.id}"
    (line,) = await entries(system.api(admin), subject=subject)
    [rule] = [one for one in retention_rules(86_400) if one.what == "audit log addresses"]
    aged = "UPDATE audit_log_addresses SET at = UTC_TIMESTAMP(6) - INTERVAL %s HOUR WHERE entry_id = %s"
    await own_database.write(aged, 90 * 24 - 1, line["id"])
    await rule.step(own_database, 500)
    assert (await entries(system.api(admin), subject=subject)) == [line]
    await own_database.write(aged, 90 * 24 + 1, line["id"])
    await rule.step(own_database, 500)
    assert (await entries(system.api(admin), subject=subject)) == [line | {"address": None}]


def test_no_statement_changes_or_deletes_a_line() -> None:
    """Nowhere in what runs: the table is inserted into and read."""
    rewriting = re.compile(
        r"(UPDATE|DELETE\s+FROM|REPLACE\s+INTO|TRUNCATE(\s+TABLE)?|DROP\s+TABLE)\s+`?audit_log\b(?!_)",
        re.IGNORECASE,
    )
    assert rewriting.search("UPDATE audit_log SET x = 1")
    assert not rewriting.search("DELETE FROM audit_log_addresses WHERE")
    files = [
        file
        for package in ("contracts", "db", "gateway", "workers", "scripts")
        for file in (ROOT / package).rglob("*")
        if file.suffix in (".py", ".sql")
    ]
    assert len(files) > 100
    assert [file for file in files if rewriting.search(file.read_text())] == []
