"""Statements and how they become text: SQL of our own with values from anywhere.

In: SQL with `%s` for each value, or a table with rows. Out: one statement as the server reads it.
Must stay true: a value becomes text only through the driver's own escape functions, chosen by its type; SQL, table and
column names come from our code, never from a message. Our sessions never set NO_BACKSLASH_ESCAPES.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from pymysql.converters import encoders, escape_item, escape_str

Row = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class JsonText:
    """JSON that orjson wrote, as a parameter.

    Such a text holds no control characters, so that only backslash and quote need a backslash before
    them (MySQL manual, "String Literals"). The driver's own table takes twenty times as long over it,
    and an order brings two.
    """

    text: str


def _quoted_json(value: JsonText) -> str:
    escaped = value.text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


_special = re.compile(r"""[\0\n\r\032"'\\]""").search
"""What the driver's table of escapes changes (MySQL manual, "String Literals", table 11.1)."""


def _quoted(value: str) -> str:
    return escape_str(value) if _special(value) else f"'{value}'"


def _hexadecimal(value: bytes) -> str:
    # MySQL manual, "Hexadecimal Literals": a binary string, as `_binary'…'` is, and nothing to escape.
    return f"x'{value.hex()}'"


# What every order brings dozens of; the driver's own table, which comes to the same, for all the rest.
_LITERALS: dict[type, Callable[[Any], str]] = {
    str: _quoted,
    int: str,
    bytes: _hexadecimal,
    JsonText: _quoted_json,
    Decimal: "{:f}".format,
    type(None): lambda _: "NULL",
}


def literal(value: Any) -> str:
    """A value as an SQL literal. Raises TypeError for what the driver has no rule for."""
    write = _LITERALS.get(type(value))
    # A subclass (an enumeration of texts, say) is in neither table: the driver's search knows what to do.
    return write(value) if write else str(escape_item(value, "utf8mb4", encoders))


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement and its values; equal ones ask the same."""

    sql: str
    parameters: tuple[Any, ...] = ()

    def text(self) -> str:
        """As the server reads it."""
        return self.sql % tuple(map(literal, self.parameters)) if self.parameters else self.sql


@dataclass(frozen=True, slots=True)
class Insert:
    """Rows for one table, at least one."""

    table: str
    columns: Sequence[str]
    rows: Sequence[Row]

    def text(self) -> str:
        """As the server reads it."""
        values = ",".join(f"({','.join(map(literal, row))})" for row in self.rows)
        return f"INSERT INTO {self.table} ({','.join(self.columns)}) VALUES {values}"


def placeholders(values: Sequence[Any]) -> str:
    """`%s,%s,…` for an IN list."""
    return ",".join(["%s"] * len(values))
