"""Whose turn it is: properties over any set of pending deliveries."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from db.webhooks.deliveries import QueuedDelivery
from workers.notify.turns import plan

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
HOLD = 3600.0


def waiting(
    id_: int,
    sequence: int,
    *,
    due_in: float = 0.0,
    tried: float | None = None,
    aggregate: str = "order:1",
    ordered: bool = True,
) -> QueuedDelivery:
    """A pending delivery: due in so many seconds, first tried so many seconds ago (None: never)."""
    first = None if tried is None else NOW - timedelta(seconds=tried)
    due = NOW + timedelta(seconds=due_in)
    return QueuedDelivery(id_, "order.placed", aggregate, sequence, ordered, due, first, NOW)


def test_all_due_events_of_an_order_go_in_their_order() -> None:
    """By sequence, whatever their ids and times."""
    turns = plan([waiting(3, 3), waiting(1, 2, due_in=-5), waiting(2, 1)], NOW, hold=HOLD)
    assert turns.ready == [2, 1, 3]
    assert turns.postponed == {}


def test_one_that_is_being_retried_holds_the_later_ones_back() -> None:
    """They wait until it is tried again; another order's go."""
    head = waiting(1, 1, due_in=30, tried=10)
    other = waiting(3, 1, aggregate="order:2")
    turns = plan([head, waiting(2, 2), other], NOW, hold=HOLD)
    assert turns.ready == [3]
    assert turns.postponed == {2: head.next_attempt_at}


def test_after_the_hold_the_later_ones_go_past() -> None:
    """Bounded waiting: an hour after its first attempt, an event holds nothing back any more."""
    head = waiting(1, 1, due_in=30, tried=HOLD + 1)
    assert plan([head, waiting(2, 2)], NOW, hold=HOLD).ready == [2]


def test_what_somebody_asked_for_goes_out_of_turn() -> None:
    """Neither held back nor holding back."""
    head = waiting(1, 1, due_in=30, tried=10)
    asked = waiting(2, 2, ordered=False)
    assert plan([head, asked], NOW, hold=HOLD).ready == [2]
    later = waiting(1, 1, due_in=30, tried=10, ordered=False)
    assert plan([later, waiting(2, 2)], NOW, hold=HOLD).ready == [2]


def test_what_the_sender_holds_already_is_not_given_again() -> None:
    """Its followers are: they stand behind it in the lane."""
    assert plan([waiting(1, 1), waiting(2, 2)], NOW, hold=HOLD, known={1}).ready == [2]


members = st.builds(
    waiting,
    st.integers(1, 10**6),
    st.integers(0, 6),
    due_in=st.sampled_from([-10.0, 0.0, 5.0, 50.0]),
    tried=st.sampled_from([None, 1.0, HOLD - 1, HOLD + 1]),
    aggregate=st.sampled_from(["order:1", "order:2"]),
    ordered=st.booleans(),
)


@given(st.lists(members, max_size=12, unique_by=lambda w: w.id))
def test_no_event_passes_one_that_still_holds(everything: list[QueuedDelivery]) -> None:
    """Of two ordered deliveries of an aggregate the later never goes while the earlier one waits within its hold."""
    turns = plan(everything, NOW, hold=HOLD)
    by_id = {one.id: one for one in everything}
    assert len(set(turns.ready)) == len(turns.ready)
    assert not set(turns.ready) & set(turns.postponed)
    for place, id_ in enumerate(turns.ready):
        one = by_id[id_]
        assert one.next_attempt_at <= NOW
        if not one.ordered or one.first_try_at is not None:
            continue
        for earlier in everything:
            before = (earlier.sequence, earlier.id) < (one.sequence, one.id)
            if not (earlier.ordered and before and earlier.aggregate == one.aggregate):
                continue
            passed = earlier.first_try_at is not None and NOW - earlier.first_try_at >= timedelta(
                seconds=HOLD
            )
            assert passed or earlier.id in turns.ready[:place]


@given(st.lists(members, max_size=12, unique_by=lambda w: w.id))
def test_everything_that_is_due_goes_or_waits_for_a_known_time(
    everything: list[QueuedDelivery],
) -> None:
    """Nothing is looked at again and again without end: it is ready, or its next look is in the future."""
    turns = plan(everything, NOW, hold=HOLD)
    for one in everything:
        if one.next_attempt_at <= NOW:
            assert one.id in turns.ready or turns.postponed[one.id] > NOW
