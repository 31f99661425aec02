"""Grouping keeps each aggregate's order and wastes no message."""

from hypothesis import given
from hypothesis import strategies as st

from contracts.messaging.coalesce import coalesce

Pair = tuple[str, int]
pairs = st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 4)), max_size=60)


def grouped(items: list[Pair]) -> list[list[tuple[int, Pair]]]:
    return coalesce(enumerate(items), key=lambda one: one[1][0], aggregate=lambda one: one[1][1])


def test_items_of_one_key_go_together() -> None:
    """Different aggregates, two keys in turns: two groups, not four."""
    assert len(grouped([("a", 1), ("b", 2), ("a", 3), ("b", 4)])) == 2


def test_an_aggregates_turn_opens_a_new_group() -> None:
    """a then b then a of one aggregate cannot be two groups."""
    assert len(grouped([("a", 1), ("b", 1), ("a", 1)])) == 3


@given(pairs)
def test_nothing_is_lost_and_no_aggregate_changes_its_order(items: list[Pair]) -> None:
    """Read group by group, every aggregate's items stand in the order they came; groups have one key."""
    groups = grouped(items)
    flat = [one for group in groups for one in group]
    assert sorted(flat) == list(enumerate(items))
    for aggregate in {pair[1] for pair in items}:
        positions = [position for position, pair in flat if pair[1] == aggregate]
        assert positions == sorted(positions)
    assert all(len({pair[0] for _, pair in group}) == 1 for group in groups)
