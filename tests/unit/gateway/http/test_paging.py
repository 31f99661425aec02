"""Cursors: they lead on, and nothing else passes for one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.messaging.signing import to_text
from gateway.http.paging import from_cursor, page, to_cursor
from gateway.http.problems import Refusal


@given(st.text(max_size=40), st.integers(0, 2**63 - 1))
def test_a_cursor_opens_to_what_it_was_made_of(text: str, number: int) -> None:
    """Any sort key."""
    assert from_cursor(to_cursor((text, number)), str, int) == (text, number)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        "!!",
        to_text(b"{}"),
        to_text(b"[]"),
        to_text(b"[1,2]"),
        to_text(b'["1"]'),
        to_text(b"[true]"),
        to_text(b"[-1]"),
        to_text(b"[9223372036854775808]"),
        to_text(b"[1.0]"),
        to_text(b"[null]"),
        "WzFd=",
    ],
)
def test_anything_else_is_400(text: str) -> None:
    """A cursor of another list, a forged number, no cursor at all."""
    with pytest.raises(Refusal) as refused:
        from_cursor(text, int)
    assert refused.value.problem.code == "INVALID"


@given(st.integers(1, 100), st.integers(0, 120))
def test_pages_join_to_the_list(limit: int, count: int) -> None:
    """Following nextCursor shows every row once, in order, and ends."""
    rows, seen, after = list(range(1, count + 1)), [], 0
    while True:
        asked = [row for row in rows if row > after][: limit + 1]
        document = page(asked, limit, lambda row: (row,), lambda row: row)
        seen += document["data"]
        if not document["hasMore"]:
            assert document["nextCursor"] is None
            break
        after = int(from_cursor(document["nextCursor"], int)[0])
    assert seen == rows
