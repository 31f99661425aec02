"""Which server settings are refused: the rule alone."""

import pytest

from db.guard import faults

GOOD = {
    "innodb_flush_log_at_trx_commit": "1",
    "innodb_doublewrite": "ON",
    "innodb_flush_method": "O_DIRECT",
    "log_bin": "OFF",
    "sync_binlog": "0",
    "tx_isolation": "REPEATABLE-READ",
    "default_storage_engine": "InnoDB",
    "sql_mode": "STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION",
    "time_zone": "+00:00",
}


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"innodb_doublewrite": "1"},
        {"innodb_doublewrite": "DETECT_AND_RECOVER"},
        {"log_bin": "ON", "sync_binlog": "1"},
        {"transaction_isolation": "REPEATABLE-READ", "innodb_redo_log_enabled": "ON"},
        {"sql_mode": "STRICT_TRANS_TABLES"},
    ],
)
def test_durable_settings_pass(change: dict[str, str]) -> None:
    """As MariaDB and MySQL write them."""
    assert faults(GOOD | change) == []


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"innodb_flush_log_at_trx_commit": "2"}, "innodb_flush_log_at_trx_commit = 1"),
        ({"innodb_flush_log_at_trx_commit": "0"}, "innodb_flush_log_at_trx_commit = 1"),
        ({"innodb_doublewrite": "OFF"}, "innodb_doublewrite = ON"),
        ({"innodb_doublewrite": "DETECT_ONLY"}, "innodb_doublewrite = ON"),
        ({"innodb_flush_method": "nosync"}, "innodb_flush_method"),
        ({"log_bin": "ON"}, "sync_binlog = 1"),
        ({"log_bin": "ON", "sync_binlog": "100"}, "sync_binlog = 1"),
        ({"innodb_redo_log_enabled": "OFF"}, "REDO_LOG"),
        ({"tx_isolation": "READ-COMMITTED"}, "READ-COMMITTED"),
        ({"transaction_isolation": "SERIALIZABLE"}, "SERIALIZABLE"),
        ({"default_storage_engine": "MyISAM"}, "default_storage_engine = InnoDB"),
        ({"sql_mode": ""}, "STRICT_ALL_TABLES"),
        ({"time_zone": "SYSTEM"}, "time_zone"),
    ],
)
def test_each_weak_setting_is_one_sentence(change: dict[str, str], says: str) -> None:
    """One fault, and it says what to set."""
    found = faults(GOOD | change)
    assert len(found) == 1
    assert says in found[0]


def test_unknown_settings_are_not_taken_for_good() -> None:
    """A server that tells nothing is refused for every setting that must be known."""
    assert len(faults({})) == 6
