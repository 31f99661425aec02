"""The audit after a load, as part of its result.

In: the running system. Out: plain JSON: whether every rule holds, and those that do not.
Must stay true: what is only not quiet yet (unpaid orders of an earlier load whose time is just over) is waited for,
with a deadline; any other broken rule is told at once.
"""

import asyncio
from typing import Any

from db.audit import AuditReport, audit
from db.mysql.database import Database
from scripts.benching.systems.system import System

QUIET_RULE = 6
QUIET_SECONDS = 90.0
AGAIN_SECONDS = 2.0


async def audit_result(system: System) -> dict[str, Any]:
    """All rules of the audit, the quiet ones included, over the whole database."""
    report = await quiet_audit(system)
    told = report.to_json()
    broken = [rule for rule in told["rules"] if not rule["ok"]]
    return {"ok": report.ok, "seconds": told["seconds"], "broken": broken}


async def quiet_audit(system: System) -> AuditReport:
    """The audit once all is quiet, or what it says after a minute and a half."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + QUIET_SECONDS
    database = await Database.connect(system.mysql_url, size=1)
    try:
        while True:
            report = await audit(database, quiet=True)
            if report.broken != [QUIET_RULE] or loop.time() > deadline:
                return report
            await asyncio.sleep(AGAIN_SECONDS)
    finally:
        await database.close()
