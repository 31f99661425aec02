"""Migration files: their names, their order, their checksums and the statements in them.

In: a folder of `V<version>__<description>.sql`. Out: `MigrationFile`s by version, each with its statements.
Must stay true: name, order and checksum are Flyway's, so that Flyway and our runner read one history alike; a file
that we would split wrongly (an open quote, DELIMITER) is refused before anything of it runs.

Source of names and checksum: Flyway's manual, "Migrations: Versioned migrations", and its ChecksumCalculator
(CRC-32 over the lines as UTF-8, without line ends and without a byte order mark, as a signed 32-bit number).
"""

import re
import zlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

FOLDER = Path(__file__).parent / "migrations"

_NAME = re.compile(r"V(\d+(?:[._]\d+)*)__([A-Za-z0-9_]+)\.sql")
_LINE_END = re.compile(r"\r\n|\r|\n")
_TOKEN = re.compile(
    r"""
    (?P<quoted> '(?:[^'\\]|\\.|'')*' | "(?:[^"\\]|\\.|"")*" | `(?:[^`]|``)*` )
  | (?P<comment> --(?=\s|\Z)[^\n]* | \#[^\n]* | /\*(?![!+]).*?\*/ )
  | (?P<hint> /\*[!+].*?\*/ )
  | (?P<end> ; )
  | (?P<open> ['"`] | /\* )
    """,
    re.VERBOSE | re.DOTALL,
)
_DELIMITER = re.compile(r"delimiter\b", re.IGNORECASE)


class MigrationError(Exception):
    """The schema cannot be brought to where the files say. The message names the migration and what to do."""


@dataclass(frozen=True, slots=True)
class MigrationStatement:
    """One statement of a file; `line` is where it begins (from 1)."""

    sql: str
    line: int


@dataclass(frozen=True)
class MigrationFile:
    """One migration. `version` orders numerically: 1.2 comes before 1.10."""

    script: str
    version: tuple[int, ...]
    description: str
    text: str

    @property
    def version_text(self) -> str:
        """As Flyway's history shows it: `1.2`."""
        return ".".join(map(str, self.version))

    @cached_property
    def checksum(self) -> int:
        """Flyway's checksum of the text, signed."""
        return checksum(self.text)

    @cached_property
    def statements(self) -> tuple[MigrationStatement, ...]:
        """What to run, in order. Raises MigrationError where it cannot be told apart."""
        return split(self.text, self.script)


def load(folder: Path = FOLDER) -> list[MigrationFile]:
    """All migrations of a folder by version.

    Raises MigrationError for a file that ends in `.sql` and is not named as a migration, and for two of one version.
    """
    found: dict[tuple[int, ...], MigrationFile] = {}
    for path in sorted(folder.glob("*.sql")):
        migration = _named(path)
        duplicate = found.setdefault(migration.version, migration)
        if duplicate is not migration:
            raise MigrationError(
                f"{duplicate.script} and {migration.script} are both version {migration.version_text}: "
                "give one of them the next free number"
            )
    if not found:
        raise MigrationError(f"there is no migration in {folder}")
    return [found[version] for version in sorted(found)]


def version_of(text: str) -> tuple[int, ...]:
    """`1.10` or `1_10` as numbers; trailing zeros do not count (Flyway: 1.0 is 1)."""
    numbers = [int(part) for part in re.split(r"[._]", text)]
    while len(numbers) > 1 and numbers[-1] == 0:
        numbers.pop()
    return tuple(numbers)


def checksum(text: str) -> int:
    """CRC-32 over the lines without their ends, as the signed 32-bit number that Flyway stores."""
    unsigned = zlib.crc32(_LINE_END.sub("", text.removeprefix("\ufeff")).encode())
    return unsigned - 2**32 if unsigned >= 2**31 else unsigned


def split(text: str, script: str) -> tuple[MigrationStatement, ...]:
    """The statements of a file, without comments (hints stay). Raises MigrationError.

    Knows the quotes ' " and `, backslash and doubled quotes in them, the three kinds of comment of MySQL.
    """
    statements: list[MigrationStatement] = []
    parts: list[str] = []
    position = start = 0
    for token in _TOKEN.finditer(text):
        parts.append(text[position : token.start()])
        position = token.end()
        if token["open"]:
            line = text.count("\n", 0, token.start()) + 1
            raise MigrationError(
                f"{script}, line {line}: {token['open']} is opened and never closed"
            )
        if token["end"]:
            _append(statements, "".join(parts), text, start, script)
            parts, start = [], position
        else:
            parts.append(" " if token["comment"] else token[0])
    parts.append(text[position:])
    _append(statements, "".join(parts), text, start, script)
    return tuple(statements)


def _append(found: list[MigrationStatement], sql: str, text: str, start: int, script: str) -> None:
    sql = sql.strip().removeprefix("\ufeff").strip()
    if not sql:
        return
    first_word = text.index(sql.split(maxsplit=1)[0], start)
    line = text.count("\n", 0, first_word) + 1
    if _DELIMITER.match(sql):
        raise MigrationError(
            f"{script}, line {line}: DELIMITER is a word of the mysql client, not of SQL; "
            "migrations do without stored programs"
        )
    found.append(MigrationStatement(sql, line))


def _named(path: Path) -> MigrationFile:
    match = _NAME.fullmatch(path.name)
    if match is None:
        raise MigrationError(
            f"{path.name} is not named like V2__what_it_does.sql: rename it or move it away"
        )
    try:
        text = path.read_bytes().decode()
    except UnicodeDecodeError as error:
        raise MigrationError(f"{path.name} is not UTF-8: {error}") from None
    return MigrationFile(path.name, version_of(match[1]), match[2].replace("_", " "), text)
