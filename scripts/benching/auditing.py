"""The audit after a load, as part of its result.

In: the running system, quiet. Out: plain JSON: whether every rule holds, and those that do not.
"""

from typing import Any

from db.audit import audit
from db.mysql import Database
from scripts.benching.system import System


async def audit_result(system: System) -> dict[str, Any]:
    """All rules of the audit, the quiet ones included, over the whole database."""
    database = await Database.connect(system.mysql_url, size=1)
    try:
        report = await audit(database, quiet=True)
    finally:
        await database.close()
    told = report.to_json()
    broken = [rule for rule in told["rules"] if not rule["ok"]]
    return {"ok": report.ok, "seconds": told["seconds"], "broken": broken}
