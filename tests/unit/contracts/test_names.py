"""Names on tickets and cells of tables."""

import pytest

from contracts.tickets.names import plain_cell, written_name


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("Ada", "Ada"),
        (" Ada Lovelace ", "Ada Lovelace"),
        ("A\u030angstro\u0308m", "\u00c5ngstr\u00f6m"),
        ("陳大文", "陳大文"),
        ("O'Brien-Smith", "O'Brien-Smith"),
        ("👩\u200d🚀", "👩\u200d🚀"),
    ],
)
def test_a_name_has_one_form(text: str, name: str) -> None:
    """NFC, without blanks at its ends."""
    assert written_name(text) == name


@pytest.mark.parametrize(
    "text", ["", "  ", "\u200b", "\u3164", "\u2800", "\ufe0f", "\U000e0041", "a\u202eb", "\u2066x"]
)
def test_a_name_shows_something_and_turns_nothing(text: str) -> None:
    """Invisible or turning: refused."""
    with pytest.raises(ValueError, match=r"visible|direction"):
        written_name(text)


@pytest.mark.parametrize("first", ["=", "+", "-", "@", "\t", "\r", "＝"])
def test_no_cell_begins_a_formula(first: str) -> None:
    """An apostrophe stands before it."""
    assert plain_cell(f"{first}1+1") == f"'{first}1+1"
    assert plain_cell("1+1") == "1+1"
    assert plain_cell("") == ""


@pytest.mark.parametrize("text", ["x;=1+1", "x; =1+1", "x;;@A1", ";+1", 'x";-1'])
def test_no_cell_begins_a_formula_where_semicolons_part_cells(text: str) -> None:
    """Where the comma is decimal, spreadsheets part a file's cells at semicolons, inside of ours too."""
    cells = [cell.strip() for cell in plain_cell(text).split(";")]
    assert all(not cell.startswith(("=", "+", "-", "@")) for cell in cells)
    assert plain_cell(text).replace("'", "") == text
    assert plain_cell("Ada; Grace") == "Ada; Grace"
