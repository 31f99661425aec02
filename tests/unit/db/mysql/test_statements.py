"""Statements as text: every value is a literal, whatever it holds."""

from decimal import Decimal
from enum import StrEnum

import pytest
from pymysql.converters import encoders, escape_item

from db.mysql.statements import (
    Insert,
    JsonText,
    Statement,
    literal,
    placeholders,
)


class Colour(StrEnum):
    """A subclass of text, as our statuses are."""

    RED = "red"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "NULL"),
        (17, "17"),
        (True, "1"),
        (Decimal("12.50"), "12.50"),
        (Decimal("1E+3"), "1000"),
        ("plain", "'plain'"),
        ("it's; DROP TABLE orders -- \\", r"'it\'s; DROP TABLE orders -- \\'"),
        ("%s %(name)s", "'%s %(name)s'"),
        (b"\x00'\xff", "x'0027ff'"),
        (b"", "x''"),
        (JsonText('{"a":"it\'s \\"b\\""}'), r"""'{"a":"it\'s \\"b\\""}'"""),
        (Colour.RED, "'red'"),
    ],
)
def test_a_value_is_one_literal(value: object, text: str) -> None:
    """Quotes, backslashes, semicolons and percent signs stay inside of it."""
    assert literal(value) == text


def test_what_has_no_rule_is_refused() -> None:
    """A mapping is no value."""
    with pytest.raises(TypeError):
        literal({"a": 1})


def test_values_are_not_looked_into() -> None:
    """A value that looks like a place for another stays text."""
    assert Statement("SELECT %s, %s", ("%s", "b")).text() == "SELECT '%s', 'b'"
    assert Statement("SELECT 5 % 2").text() == "SELECT 5 % 2"


def test_rows_are_one_insert() -> None:
    """One statement, so that its ids follow each other."""
    text = Insert("t", ("a", "b"), [(1, "x"), (2, None)]).text()
    assert text == "INSERT INTO t (a,b) VALUES (1,'x'),(2,NULL)"
    assert placeholders([1, 2, 3]) == "%s,%s,%s"


@pytest.mark.parametrize("code", range(0x180))
def test_a_text_is_written_as_the_driver_writes_it(code: int) -> None:
    """The short way for plain texts gives what the long way gives, for every character up to U+017F."""
    text = f"a{chr(code)}b"
    assert literal(text) == escape_item(text, "utf8mb4", encoders)
