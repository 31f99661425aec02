"""One endpoint's lane: one delivery of an order at a time, a window that grows with success, pauses after failures."""

from datetime import UTC, datetime

from db.webhooks.deliveries import DueDelivery
from db.webhooks.endpoints import Target
from workers.notify.lanes import LOADED_MAX, WINDOW_AT_FIRST, EndpointQueue
from workers.notify.schedule import Policy

AT = datetime(2026, 5, 1, 12, tzinfo=UTC)
POLICY = Policy(concurrency=8)


def lane() -> EndpointQueue:
    return EndpointQueue(
        Target(1, 2, "https://example.com/", "ACTIVE", b"", None, 0, 0.0, None), POLICY
    )


def delivery(id_: int, aggregate: str = "", *, ordered: bool = True) -> DueDelivery:
    """A delivery of an aggregate, of its own unless told which."""
    own = aggregate or f"order:{id_}"
    return DueDelivery(id_, 1, f"e{id_}", "order.placed", own, 1, ordered, "{}", 0, 0, None, AT)


def taken(one: EndpointQueue, now: float = 0.0) -> list[int]:
    """The ids of everything that may begin now."""
    ids = []
    while (found := one.next(now)) is not None:
        ids.append(found.id)
    return ids


def test_an_order_has_one_delivery_on_its_way() -> None:
    """The second goes when the first is written down."""
    one = lane()
    first, second = delivery(1, "order:1"), delivery(2, "order:1")
    one.load([first, second])
    assert taken(one) == [1]
    one.answered(delivered=True, started=0, now=1, pause=0)
    assert taken(one, 1) == []
    one.written(first, delivered=True)
    assert taken(one, 1) == [2]


def test_a_failure_sends_the_order_back_to_the_database() -> None:
    """What waited behind it is forgotten here; the database says when its turn comes."""
    one = lane()
    first = delivery(1, "order:1")
    one.load([first, delivery(2, "order:1"), delivery(3)])
    assert one.next(0) is first
    one.answered(delivered=False, started=0, now=1, pause=0)
    one.written(first, delivered=False)
    assert taken(one, 1) == [3]
    assert one.known == {3}


def test_the_window_grows_with_success_and_halves_with_failure() -> None:
    """It begins small, so that a dead endpoint never takes much; it ends at the policy's number."""
    one = lane()
    one.load([delivery(n) for n in range(1, 60)])
    assert len(taken(one)) == WINDOW_AT_FIRST
    for _ in range(20):
        one.answered(delivered=True, started=0, now=1, pause=0)
        taken(one, 1)
    assert (one.window, one.sending) == (8, 8)
    one.answered(delivered=False, started=2, now=3, pause=0)
    assert one.window == 4


def test_attempts_that_were_under_way_together_count_as_one_failure() -> None:
    """A restart of the receiver in a burst is no reason to leave it alone for minutes."""
    one = lane()
    for now in (1.0, 1.1, 1.2, 1.3, 1.4, 1.5):
        one.answered(delivered=False, started=0.5, now=now, pause=0)
    assert one.failures == 1
    assert one.paused_until <= 1.5


def test_failure_after_failure_pauses_the_lane_and_success_ends_it() -> None:
    """Nothing begins while it is paused, but what somebody asked for."""
    one = lane()
    for now in range(1, 7):
        one.answered(delivered=False, started=float(now), now=float(now), pause=0)
    one.load([delivery(1)])
    assert taken(one, 6.5) == []
    one.load([delivery(2, ordered=False)])
    assert taken(one, 6.5) == [2]
    one.answered(delivered=True, started=6.5, now=7, pause=0)
    assert taken(one, 7) == [1]


def test_what_the_receiver_asked_for_outlasts_a_late_success() -> None:
    """Retry-After holds even if an attempt that was under way comes through."""
    one = lane()
    one.load([delivery(1)])
    one.answered(delivered=False, started=0, now=1, pause=60)
    one.answered(delivered=True, started=0, now=2, pause=0)
    assert taken(one, 3) == []
    assert taken(one, 62) == [1]


def test_a_receiver_that_answers_after_all_is_well() -> None:
    """Asked again by its owner before its time and answering, it hears the rest at once."""
    one = lane()
    one.load([delivery(1)])
    one.answered(delivered=False, started=0, now=1, pause=3600)
    one.answered(delivered=True, started=2, now=3, pause=0)
    assert taken(one, 3) == [1]


def test_a_lane_holds_a_bounded_number() -> None:
    """A receiver with a long backlog does not fill the memory."""
    one = lane()
    one.load([delivery(n) for n in range(1, LOADED_MAX + 1)])
    assert not one.takes(0)
    assert lane().takes(0)
