"""Fair shares of leases."""

from hypothesis import given
from hypothesis import strategies as st

from db.messages.leases import fair_share

names = st.sets(st.text("abcdef", min_size=1, max_size=6), min_size=1, max_size=8)


@given(st.integers(0, 40), names)
def test_shares_cover_everything_and_differ_by_at_most_one(count: int, holders: set[str]) -> None:
    """Whoever asks with the same view of who is present, the shares add up."""
    shares = [fair_share(count, sorted(holders), me) for me in holders]
    assert sum(shares) == count
    assert max(shares) - min(shares) <= 1


def test_a_holder_that_is_not_listed_yet_counts_itself() -> None:
    """The first beat of a newcomer: it makes room for itself."""
    assert fair_share(16, ["a"], "b") == 8
