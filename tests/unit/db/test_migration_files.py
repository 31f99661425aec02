"""Migration files: names, order, checksums and statements as Flyway and MySQL read them."""

import zlib
from pathlib import Path

import pytest

from db.migrate import Applied, lock_name, plan
from db.migration_files import MigrationError, MigrationFile, checksum, load, split, version_of


def file(version: int, text: str = "SELECT 1;") -> MigrationFile:
    return MigrationFile(f"V{version}__m.sql", (version,), "m", text)


def applied(version: int, **fields: object) -> Applied:
    """Its row in the history."""
    values = {"checksum": checksum("SELECT 1;"), "success": True, "type": "SQL"} | fields
    return Applied(version, (version,), script=f"V{version}__m.sql", **values)  # type: ignore[arg-type]  # by name


def sql(text: str) -> list[str]:
    """The statements of a text."""
    return [statement.sql for statement in split(text, "V1__a.sql")]


def test_our_own_migrations_can_be_read() -> None:
    """Every file is named well, every version is there once, every statement is one of SQL."""
    files = load()
    assert [one.version for one in files] == [(number,) for number in range(1, len(files) + 1)]
    for one in files:
        for statement in one.statements:
            assert statement.sql.split()[0] in {
                "CREATE",
                "ALTER",
                "INSERT",
                "UPDATE",
                "DROP",
                "DELETE",
            }
            assert "${" not in one.text, "Flyway would take it for a placeholder"


def test_the_checksum_is_flyways() -> None:
    """CRC-32 of the lines without their ends, signed: 0xCBF43926 for 123456789 (the check value of CRC-32)."""
    assert checksum("123456789") == 0xCBF43926 - 2**32
    assert checksum("1234\r\n567\n89\n") == checksum("123456789")
    assert checksum("\ufeff123456789\r") == checksum("123456789")
    assert checksum("é") == _signed(zlib.crc32(b"\xc3\xa9"))
    assert checksum("") == 0
    # A form feed or a line separator ends a line for Python, but not for Flyway.
    assert checksum("a\fb\u2028c") == _signed(zlib.crc32("a\fb\u2028c".encode()))


def _signed(number: int) -> int:
    return number - 2**32 if number >= 2**31 else number


def test_the_lock_is_flyways() -> None:
    """`Flyway-` and Java's hashCode of the quoted table name: s[0]*31^(n-1) + … as a signed int."""
    name = "`shop`.`flyway_schema_history`"
    expected = sum(ord(c) * 31 ** (len(name) - 1 - i) for i, c in enumerate(name)) % 2**32
    assert lock_name("shop") == f"Flyway-{_signed(expected)}"


def test_versions_order_as_numbers() -> None:
    """1.2 before 1.10; 1.0 is 1."""
    assert version_of("1.2") < version_of("1_10")
    assert version_of("1.0") == (1,)


@pytest.mark.parametrize(
    ("text", "statements"),
    [
        ("SELECT 1; SELECT 2", ["SELECT 1", "SELECT 2"]),
        ("SELECT 'a;b', \"c;d\", `e;f`;", ["SELECT 'a;b', \"c;d\", `e;f`"]),
        ("SELECT 'it''s;', 'back\\';slash';", ["SELECT 'it''s;', 'back\\';slash'"]),
        ("-- one; 'quote\nSELECT 1;", ["SELECT 1"]),
        ("SELECT 5--6;\nSELECT 1 -- x;\n;", ["SELECT 5--6", "SELECT 1"]),
        ('# a; "b\nSELECT 1;', ["SELECT 1"]),
        ("/* a; 'b */SELECT/**/1;", ["SELECT 1"]),
        ("/*! SET x = 1 */;", ["/*! SET x = 1 */"]),
        ("SELECT '/*', '--', '#';", ["SELECT '/*', '--', '#'"]),
        (";;\n ; -- nothing\n", []),
        ("\ufeffSELECT 1;", ["SELECT 1"]),
    ],
)
def test_statements_end_where_mysql_ends_them(text: str, statements: list[str]) -> None:
    """Semicolons in quotes and comments end nothing."""
    assert sql(text) == statements


def test_a_statement_knows_its_line() -> None:
    """Comments and empty lines before it do not count."""
    assert [one.line for one in split("\n-- c\n\nSELECT 1;\n\nSELECT 2;", "V1__a.sql")] == [4, 6]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("SELECT 'a;\nSELECT 2;", "line 1: ' is opened"),
        ("SELECT 1;\n/* a", "line 2: /\\* is opened"),
        ("DELIMITER //\nSELECT 1//", "DELIMITER"),
    ],
)
def test_what_cannot_be_split_is_refused(text: str, says: str) -> None:
    """An open quote or comment and the client's DELIMITER stop everything before it begins."""
    with pytest.raises(MigrationError, match=says):
        sql(text)


@pytest.mark.parametrize(
    ("names", "says"),
    [
        (["V1__a.sql", "V01__b.sql"], "both version 1"),
        (["V1__a.sql", "V1.0__b.sql"], "both version 1"),
        (["V1_a.sql"], "not named like"),
        (["R__views.sql"], "not named like"),
        ([], "no migration"),
    ],
)
def test_a_folder_that_flyway_would_read_differently_is_refused(
    tmp_path: Path, names: list[str], says: str
) -> None:
    """Two of one version, or a name that is no versioned migration."""
    for name in names:
        (tmp_path / name).write_text("SELECT 1;")
    with pytest.raises(MigrationError, match=says):
        load(tmp_path)


def test_only_what_is_new_is_planned() -> None:
    """In order; nothing when all is applied; Flyway's schema and baseline rows are no migrations."""
    files = [file(1), file(2), file(3)]
    schema = Applied(0, None, "SCHEMA", "<< Flyway Schema Creation >>", None, True)
    assert plan(files, []) == files
    assert plan(files, [schema, applied(1)]) == files[1:]
    assert plan(files, [applied(1), applied(2), applied(3)]) == []
    assert plan(files, [applied(2, type="BASELINE", checksum=None)]) == files[2:]


@pytest.mark.parametrize(
    ("history", "says"),
    [
        ([applied(1), applied(2, checksum=5)], "V2__m.sql was changed"),
        ([applied(1), applied(2), applied(4)], "V4__m.sql was applied .* file is missing"),
        ([applied(1), applied(3)], "V2__m.sql comes too late: .* version 3"),
        ([applied(1), applied(2, success=False)], "V2__m.sql is half-applied"),
    ],
)
def test_a_history_that_does_not_fit_stops_everything(history: list[Applied], says: str) -> None:
    """Changed, missing, late and half-applied migrations are named, with what to do."""
    with pytest.raises(MigrationError, match=says):
        plan([file(1), file(2), file(3)], history)
