"""JSON as a parameter arrives as it was written, whatever stands in it."""

from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from db.mysql.database import Database, JsonText

values = st.recursive(
    st.none() | st.integers(-(2**53), 2**53) | st.text(max_size=30),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=9), inner, max_size=4)
    ),
    max_leaves=10,
)


async def round_trip(database: Database, value: Any) -> Any:
    rows = await database.read("SELECT %s, %s", JsonText(orjson.dumps(value).decode()), "after")
    assert rows[0][1] == "after"
    return orjson.loads(rows[0][0])


@pytest.mark.parametrize(
    "text",
    ["'; DROP TABLE orders; -- ", "\\", "\\'", "\x00\x1a\n\r\t", '"', "票🎫", "%s %", "\\u0027"],
)
async def test_what_could_end_a_literal_does_not(database: Database, text: str) -> None:
    """Quotes, backslashes, control characters, percent signs: data, never SQL."""
    assert await round_trip(database, {text: text}) == {text: text}


@given(values)
@settings(
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
async def test_any_json_comes_back(database: Database, value: Any) -> None:
    """Whatever orjson writes."""
    assert await round_trip(database, value) == value
