"""Refuses a database that could lose or mix up what it confirmed: every process calls `check` before it opens a port.

In: an open `Database` (its own session settings count). Out: nothing, or `WeakDatabase` with one sentence per fault.
Must stay true: with the settings checked here a COMMIT that was answered survives a power cut (InnoDB manual, "ACID
Model: Durability"), and our transactions run as they were reasoned about: REPEATABLE READ, strict, UTC, the schema of
this release. Names and values exist on MySQL 8.4+ and MariaDB 10.11+ unless said otherwise.
"""

from collections.abc import Mapping
from pathlib import Path

from db.migrate import history, plan
from db.migration_files import FOLDER, MigrationError, load
from db.mysql.database import Database, Transaction, placeholders

_GLOBAL = (
    "innodb_flush_log_at_trx_commit",
    "innodb_doublewrite",
    "innodb_flush_method",
    "log_bin",
    "sync_binlog",
)
_SESSION = (
    "tx_isolation",
    "transaction_isolation",
    "default_storage_engine",
    "sql_mode",
    "time_zone",
)
_DOUBLEWRITE_ON = {"ON", "1", "DETECT_AND_RECOVER"}


class WeakDatabase(Exception):
    """The database must not be sold on. `faults`: one sentence each, with the remedy."""

    def __init__(self, faults: list[str]) -> None:
        super().__init__(" ".join(faults))
        self.faults = faults


async def check(database: Database, *, folder: Path = FOLDER) -> None:
    """Raise WeakDatabase unless durability, isolation and schema are what the sale needs."""
    async with database.transaction(read_only=True) as transaction:
        found = faults(await _variables(transaction))
        found += await _engine_faults(transaction)
        found += await _schema_faults(transaction, folder)
    if found:
        raise WeakDatabase(found)


def faults(variables: Mapping[str, str]) -> list[str]:
    """What is wrong with these settings (lower-case names, values as SHOW VARIABLES writes them)."""
    return _durability_faults(variables) + _session_faults(variables)


def _durability_faults(variables: Mapping[str, str]) -> list[str]:
    found = []
    if variables.get("innodb_flush_log_at_trx_commit") != "1":
        found.append(
            "A commit is not on the disk when it is answered: set innodb_flush_log_at_trx_commit = 1."
        )
    if variables.get("innodb_doublewrite", "").upper() not in _DOUBLEWRITE_ON:
        found.append("A power cut may tear pages: set innodb_doublewrite = ON.")
    if variables.get("innodb_flush_method", "").lower() in {"nosync", "littlesync"}:
        found.append("InnoDB does not sync its files: set innodb_flush_method = O_DIRECT.")
    if variables.get("innodb_redo_log_enabled", "ON").upper() != "ON":
        found.append("The redo log is off: ALTER INSTANCE ENABLE INNODB REDO_LOG.")
    # Without a binary log there is nothing to sync; with one, InnoDB recovers by it.
    if (
        variables.get("log_bin", "OFF").upper() in {"ON", "1"}
        and variables.get("sync_binlog") != "1"
    ):
        found.append(
            "The binary log is not on the disk when a commit is answered: set sync_binlog = 1."
        )
    return found


def _session_faults(variables: Mapping[str, str]) -> list[str]:
    found = []
    isolation = variables.get("transaction_isolation") or variables.get("tx_isolation", "")
    if isolation.upper() != "REPEATABLE-READ":
        found.append(
            f"Sessions run in {isolation or 'an unknown isolation'}: they need REPEATABLE-READ."
        )
    if variables.get("default_storage_engine", "").lower() != "innodb":
        found.append("New tables would have no transactions: set default_storage_engine = InnoDB.")
    modes = variables.get("sql_mode", "").upper().split(",")
    if "STRICT_ALL_TABLES" not in modes and "STRICT_TRANS_TABLES" not in modes:
        found.append(
            "Values that do not fit would be cut silently: add STRICT_ALL_TABLES to sql_mode."
        )
    if variables.get("time_zone") not in {"+00:00", "UTC"}:
        found.append("Sessions do not run in UTC: set time_zone = '+00:00'.")
    return found


async def _variables(transaction: Transaction) -> dict[str, str]:
    rows = await transaction.fetch(
        f"SHOW GLOBAL VARIABLES WHERE Variable_name IN ({placeholders(_GLOBAL)})", *_GLOBAL
    )
    rows += await transaction.fetch(
        f"SHOW SESSION VARIABLES WHERE Variable_name IN ({placeholders(_SESSION)})", *_SESSION
    )
    # MySQL alone can switch its redo log off; MariaDB has no such status.
    rows += await transaction.fetch("SHOW GLOBAL STATUS LIKE 'Innodb_redo_log_enabled'")
    return {name.lower(): value for name, value in rows}


async def _engine_faults(transaction: Transaction) -> list[str]:
    rows = await transaction.fetch(
        "SELECT table_name, engine FROM information_schema.tables "
        "WHERE table_schema = DATABASE() AND table_type = 'BASE TABLE' AND engine <> 'InnoDB'"
    )
    return [
        f"Table {name} has engine {engine}: ALTER TABLE {name} ENGINE = InnoDB."
        for name, engine in rows
    ]


async def _schema_faults(transaction: Transaction, folder: Path) -> list[str]:
    try:
        waiting = plan(load(folder), await history(transaction))
    except MigrationError as error:
        return [f"The schema is not this release's: {error}."]
    if not waiting:
        return []
    names = ", ".join(file.script for file in waiting)
    return [f"The schema is behind ({names} not applied): run `python -m db.migrate`."]
