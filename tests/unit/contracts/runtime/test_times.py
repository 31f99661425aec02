"""Moments on the wire: RFC 3339 in UTC, as text that sorts like time."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.runtime.times import from_wire, to_wire

zones = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
moments = st.datetimes(datetime(1, 1, 3), datetime(9999, 12, 29), timezones=zones | st.just(UTC))


@given(moments)
def test_a_moment_has_one_text(moment: datetime) -> None:
    """Whatever its offset: in UTC, six decimals, `Z`; and it is read back as the same moment in UTC."""
    text = to_wire(moment)
    assert text == moment.astimezone(UTC).isoformat(timespec="microseconds")[:26] + "Z"
    assert from_wire(text) == moment
    assert from_wire(text).tzinfo is UTC


@given(moments, moments)
def test_text_order_is_time_order(one: datetime, other: datetime) -> None:
    """Also of whole seconds."""
    other = other.replace(microsecond=0)
    assert (to_wire(one) < to_wire(other)) == (one < other)


@pytest.mark.parametrize("text", ["2026-05-01T12:00:00", "2026-05-01", "", "noon"])
def test_what_has_no_offset_is_no_moment(text: str) -> None:
    """A naive time means nothing to anybody else."""
    with pytest.raises(ValueError, match=r".+"):
        from_wire(text)
