"""The availability cache refuses what surely fails, by the newest version it heard of, and never by old news."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from contracts.commands import OrderItem
from contracts.problems import Problem
from gateway.availability.cache import AvailabilityCache, TypeState

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
EMPTY = TypeState(
    id=1,
    version=5,
    available=0,
    max_per_order=10,
    sales_start=None,
    sales_end=None,
    event_end=NOW + timedelta(days=1),
    cancelled=False,
    paused=False,
    held=3,
    next_release_at=NOW + timedelta(minutes=1),
)


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def cache(clock: Clock) -> AvailabilityCache:
    return AvailabilityCache(lambda: NOW, clock)


def refusal(cache: AvailabilityCache, *items: tuple[int, int]) -> Problem | None:
    """How the cache answers an order; None: it lets it through."""
    return cache.check(1, [OrderItem(ticket_type_id=one, quantity=n) for one, n in items])


def see(cache: AvailabilityCache, clock: Clock, state: TypeState = EMPTY, type_id: int = 1) -> None:
    cache.read({type_id: state}, [type_id], clock.now)


def test_sold_out_carries_what_is_known(cache: AvailabilityCache, clock: Clock) -> None:
    """available, held and nextReleaseAt, as a worker would say it."""
    see(cache, clock)
    problem = refusal(cache, (1, 1))
    assert problem is not None
    assert problem.code == "SOLD_OUT"
    assert problem.extra == {
        "available": 0,
        "held": 3,
        "nextReleaseAt": "2026-05-01T12:01:00.000000Z",
    }


def test_what_is_not_known_is_let_through(cache: AvailabilityCache, clock: Clock) -> None:
    """A type nobody heard of, and one heard to be empty but never read, are a worker's to decide."""
    assert refusal(cache, (1, 1)) is None
    cache.heard(1, 5, 0)
    assert refusal(cache, (1, 1)) is None
    assert cache.due() == [1], "but it is read now"


def test_a_smaller_order_may_still_fit(cache: AvailabilityCache, clock: Clock) -> None:
    """Two left: three are refused, two are not."""
    see(cache, clock, replace(EMPTY, available=2))
    assert refusal(cache, (1, 3)) is not None
    assert refusal(cache, (1, 2)) is None


def test_orders_are_let_through_at_once_when_stock_returns(
    cache: AvailabilityCache, clock: Clock
) -> None:
    """A higher version with tickets wins over everything known before."""
    see(cache, clock)
    assert refusal(cache, (1, 1)) is not None
    cache.heard(1, 6, 1)
    assert refusal(cache, (1, 1)) is None


def test_old_broadcasts_do_not_say_sold_out_again(cache: AvailabilityCache, clock: Clock) -> None:
    """Messages may come in any order: version 5 after version 6 says nothing."""
    see(cache, clock, replace(EMPTY, version=6, available=4))
    cache.heard(1, 5, 0)
    assert refusal(cache, (1, 1)) is None
    see(cache, clock, replace(EMPTY, version=5, available=0))
    assert refusal(cache, (1, 1)) is None


def test_knowledge_of_a_second_ago_shuts_nothing(cache: AvailabilityCache, clock: Clock) -> None:
    """A lost message costs at most a second of a needless refusal."""
    see(cache, clock)
    clock.now += 1.01
    assert refusal(cache, (1, 1)) is None


def test_what_is_wanted_in_vain_is_read_about_every_second_until_nobody_wants_it(
    cache: AvailabilityCache, clock: Clock
) -> None:
    """One query for all shut types; a forgotten type costs nothing."""
    see(cache, clock)
    assert cache.due() == []
    refusal(cache, (1, 1))
    assert cache.due() == []
    clock.now += 0.75
    assert cache.due() == [1]
    see(cache, clock)
    assert cache.due() == []
    clock.now += 3
    assert cache.due() == []


@pytest.mark.parametrize(
    "state",
    [
        replace(EMPTY, sales_start=NOW + timedelta(hours=1)),
        replace(EMPTY, sales_end=NOW),
        replace(EMPTY, max_per_order=2),
    ],
)
def test_what_comes_before_sold_out_is_left_to_a_worker(
    cache: AvailabilityCache, clock: Clock, state: TypeState
) -> None:
    """Closed sales and limits are the contract's first answers, and may have changed a moment ago."""
    see(cache, clock, state)
    assert refusal(cache, (1, 3)) is None


def test_every_item_must_be_known_to_refuse_one(cache: AvailabilityCache, clock: Clock) -> None:
    """The other item may be over its limit, which would come first."""
    see(cache, clock)
    assert refusal(cache, (1, 1), (2, 1)) is None
    assert set(cache.due()) == {2}
    see(cache, clock, replace(EMPTY, available=9), type_id=2)
    problem = refusal(cache, (2, 1), (1, 1))
    assert problem is not None
    assert problem.detail == "0 tickets of type 1 are left."


def test_a_cancelled_event_is_closed_for_good(cache: AvailabilityCache, clock: Clock) -> None:
    """The one closed sale that cannot open again."""
    see(cache, clock, replace(EMPTY, available=9, cancelled=True))
    clock.now += 60
    problem = refusal(cache, (1, 1))
    assert problem is not None
    assert problem.code == "SALES_CLOSED"


def test_after_a_change_of_the_event_it_waits_for_a_later_look(
    cache: AvailabilityCache, clock: Clock
) -> None:
    """Sold out a moment ago, cancelled since: only rows that were read after that may say sold out again."""
    see(cache, clock)
    assert refusal(cache, (1, 1)) is not None
    began = clock.now
    clock.now += 0.01
    cache.changed(1)
    cache.heard(1, 6, 0)
    assert refusal(cache, (1, 1)) is None
    cache.read({1: EMPTY}, [1], began)
    assert refusal(cache, (1, 1)) is None, "a look that began before the change shows nothing of it"
    clock.now += 0.01
    see(cache, clock, replace(EMPTY, version=6))
    assert refusal(cache, (1, 1)) is not None


def test_changes_of_other_events_are_none_of_its_business(
    cache: AvailabilityCache, clock: Clock
) -> None:
    """And a thousand of them are forgotten once they are old."""
    for event_id in range(2, 1000):
        cache.changed(event_id)
    clock.now += 1.5
    see(cache, clock)
    cache.changed(1000)
    assert refusal(cache, (1, 1)) is not None
    assert len(cache._changed) == 1


def test_a_deleted_type_is_forgotten(cache: AvailabilityCache, clock: Clock) -> None:
    """It has no row any more: a worker says 404."""
    see(cache, clock)
    cache.read({}, [1], clock.now)
    assert refusal(cache, (1, 1)) is None


def test_a_refusal_says_what_is_known_now(cache: AvailabilityCache, clock: Clock) -> None:
    """It is written once for many buyers, and anew as soon as anything in it has changed: by news, or by a look."""
    see(cache, clock)
    first = refusal(cache, (1, 3))
    assert first is not None
    assert refusal(cache, (1, 3)) is first
    cache.heard(1, 6, 2)
    news = refusal(cache, (1, 3))
    assert news is not None
    assert (news.extra["available"], news.extra["held"]) == (2, 3)
    see(cache, clock, replace(EMPTY, version=7, available=2, held=1, next_release_at=None))
    looked = refusal(cache, (1, 3))
    assert looked is not None
    assert (looked.extra["held"], looked.extra["nextReleaseAt"]) == (1, None)


def test_a_paused_sale_is_refused_until_it_is_known_to_go_on(
    cache: AvailabilityCache, clock: Clock
) -> None:
    """SALES_CLOSED with tickets left, while that is under a second old and no change was heard of."""
    see(cache, clock, replace(EMPTY, available=9, paused=True))
    problem = refusal(cache, (1, 1))
    assert problem is not None
    assert problem.code == "SALES_CLOSED"
    clock.now += 0.1
    cache.changed(1)
    assert refusal(cache, (1, 1)) is None, "it may go on since"
    clock.now += 0.1
    see(cache, clock, replace(EMPTY, available=9, paused=True))
    assert refusal(cache, (1, 1)) is not None
    clock.now += 1.01
    assert refusal(cache, (1, 1)) is None
