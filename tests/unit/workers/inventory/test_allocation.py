"""The rule of a batch: who gets which tickets."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.problems import Code
from db.holdings import Holding
from db.stock import EventState, Stock
from workers.inventory.allocation import (
    AllocationGranted,
    AllocationRefused,
    AllocationRequest,
    PersonLimits,
    allocate,
)

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
EVENT = EventState(1, 7, NOW + timedelta(days=1), cancelled=False)


def stock(type_id: int, available: int = 10, **changes: object) -> Stock:
    made = Stock(
        id=type_id,
        event_id=1,
        price=Decimal("49.90"),
        currency="USD",
        quota=1000,
        available=available,
        max_per_order=10,
        max_per_user=None,
        sales_start=None,
        sales_end=None,
        version=3,
        deleted=False,
    )
    return replace(made, **changes)  # type: ignore[arg-type]  # field values by name


def want(*items: tuple[int, int], **more: object) -> AllocationRequest:
    return AllocationRequest(1, items, **more)  # type: ignore[arg-type]  # field values by name


def answer(
    stocks: list[Stock], request: AllocationRequest, event: EventState = EVENT
) -> AllocationGranted | AllocationRefused:
    by_id = {one.id: one for one in stocks}
    return allocate(by_id, {event.id: event}, [request], NOW).answers[0]


def code(stocks: list[Stock], request: AllocationRequest, event: EventState = EVENT) -> Code | None:
    given_answer = answer(stocks, request, event)
    return given_answer.code if isinstance(given_answer, AllocationRefused) else None


def test_a_grant_says_what_it_costs() -> None:
    """Two types: a line each at today's price, and their sum."""
    granted = answer([stock(1), stock(2, price=Decimal("10.05"))], want((1, 2), (2, 3)))
    assert granted == AllocationGranted(
        ((1, 2, Decimal("49.90")), (2, 3, Decimal("10.05"))), Decimal("129.95"), "USD"
    )


def test_first_come_first_served() -> None:
    """Three want two each of four: the third gets nothing."""
    allocation = allocate({1: stock(1, 4)}, {1: EVENT}, [want((1, 2))] * 3, NOW)
    assert [type(one) for one in allocation.answers] == [
        AllocationGranted,
        AllocationGranted,
        AllocationRefused,
    ]
    assert allocation.taken == {1: 4}


def test_a_smaller_later_request_takes_what_a_bigger_one_could_not() -> None:
    """Five of four is refused; the four after it are granted."""
    allocation = allocate({1: stock(1, 4)}, {1: EVENT}, [want((1, 5)), want((1, 4))], NOW)
    assert [type(one) for one in allocation.answers] == [AllocationRefused, AllocationGranted]


def test_all_items_or_none() -> None:
    """One short type refuses the whole order and takes nothing of the other."""
    allocation = allocate({1: stock(1), 2: stock(2, 0)}, {1: EVENT}, [want((1, 1), (2, 1))], NOW)
    refused = allocation.answers[0]
    assert isinstance(refused, AllocationRefused)
    assert (refused.code, refused.ticket_type_id, refused.available) == (Code.SOLD_OUT, 2, 0)
    assert allocation.taken == {}


@pytest.mark.parametrize(
    ("start", "end", "open_"),
    [
        (None, None, True),
        (NOW, None, True),
        (NOW + timedelta(microseconds=1), None, False),
        (None, NOW, False),
        (None, NOW + timedelta(microseconds=1), True),
        (None, NOW + timedelta(days=9), True),
    ],
)
def test_the_sale_window_includes_its_start_and_excludes_its_end(
    start: datetime | None, end: datetime | None, open_: bool
) -> None:
    """[salesStart, salesEnd), and never past the event's end."""
    refusal = code([stock(1, sales_start=start, sales_end=end)], want((1, 1)))
    assert refusal == (None if open_ else Code.SALES_CLOSED)


def test_nothing_is_sold_once_the_event_is_over_or_cancelled() -> None:
    """SALES_CLOSED at the very end, whatever the window says."""
    late = stock(1, sales_end=NOW + timedelta(days=9))
    assert code([late], want((1, 1)), replace(EVENT, end_time=NOW)) == Code.SALES_CLOSED
    assert code([stock(1)], want((1, 1)), replace(EVENT, cancelled=True)) == Code.SALES_CLOSED


def test_the_limit_counts_what_the_order_already_holds() -> None:
    """Ten may be held: nine and one are fine, nine and two are not."""
    assert code([stock(1)], want((1, 1), already={1: 9})) is None
    assert code([stock(1)], want((1, 2), already={1: 9})) == Code.LIMIT_EXCEEDED


def test_checks_come_in_the_contracts_order() -> None:
    """404 before 400 before SALES_CLOSED before LIMIT_EXCEEDED before SOLD_OUT."""
    short = stock(1, 0)
    assert code([short], want((1, 1))) == Code.SOLD_OUT
    assert code([short], want((1, 11))) == Code.LIMIT_EXCEEDED
    closed = replace(short, sales_end=NOW)
    assert code([closed], want((1, 11))) == Code.SALES_CLOSED
    assert code([closed], want((1, 11), (1, 1))) == Code.INVALID
    assert code([replace(closed, event_id=2)], want((1, 1))) == Code.INVALID
    assert code([closed], want((1, 11), (1, 1), (9, 1))) == Code.NOT_FOUND
    assert code([replace(closed, deleted=True)], want((1, 1))) == Code.NOT_FOUND


def test_a_total_that_no_column_holds_is_refused() -> None:
    """DECIMAL(18,2) ends at 10^16; the order is refused instead of failing in the database."""
    dear = stock(1, price=Decimal("9999999999999999.99"))
    assert code([dear], want((1, 2))) == Code.LIMIT_EXCEEDED
    assert (
        code([stock(1)], want((1, 1), total_before=Decimal(10) ** 16 - 49)) == Code.LIMIT_EXCEEDED
    )


requests = st.lists(
    st.dictionaries(st.sampled_from([1, 2, 3]), st.integers(1, 12), min_size=1, max_size=3),
    max_size=40,
)


@given(st.tuples(*[st.integers(0, 30)] * 3), requests)
def test_never_more_than_there_is_and_never_less_than_fits(
    left: tuple[int, int, int], orders: list[dict[int, int]]
) -> None:
    """Whatever comes: taken = the sum of grants <= available; who is sold out really did not fit."""
    stocks = {n: stock(n, left[n - 1], max_per_order=12) for n in (1, 2, 3)}
    wanted = [want(*order.items()) for order in orders]
    allocation = allocate(stocks, {1: EVENT}, wanted, NOW)
    remaining = {n: left[n - 1] for n in (1, 2, 3)}
    for request, given_answer in zip(wanted, allocation.answers, strict=True):
        fits = all(quantity <= remaining[one] for one, quantity in request.items)
        assert isinstance(given_answer, AllocationGranted) == fits
        if fits:
            for one, quantity in request.items:
                remaining[one] -= quantity
    assert all(count >= 0 for count in remaining.values())
    assert {
        n: left[n - 1] - remaining[n] for n in remaining if left[n - 1] != remaining[n]
    } == dict(allocation.taken)


BUYER = 5
PERSON = (BUYER, 1)
LIMITS = PersonLimits(unpaid_orders=3, cooldown=60)


def codes(stocks: list[Stock], holding: Holding, *requests: AllocationRequest) -> list[Code | None]:
    """What becomes of one person's requests in one batch."""
    answers = allocate(
        {one.id: one for one in stocks},
        {1: EVENT},
        [replace(one, user_id=BUYER) for one in requests],
        NOW,
        holdings={PERSON: holding},
        limits=LIMITS,
    ).answers
    return [one.code if isinstance(one, AllocationRefused) else None for one in answers]


def test_a_person_gets_no_more_of_a_type_than_its_limit() -> None:
    """What was bought before, what this batch gave and what is asked for count together."""
    limited = stock(1, max_per_user=4)
    holding = Holding(tickets={1: 1})
    wanted = [want((1, 2)), want((1, 2)), want((1, 1))]
    assert codes([limited], holding, *wanted) == [None, Code.LIMIT_EXCEEDED, None]


def test_the_limit_per_person_counts_additions_too() -> None:
    """An addition to an unpaid order is no way round it."""
    limited, holding = stock(1, max_per_user=4), Holding(tickets={1: 4})
    assert codes([limited], holding, want((1, 1), adds=True)) == [Code.LIMIT_EXCEEDED]


def test_a_person_has_few_unpaid_orders_of_an_event() -> None:
    """Two exist: one more fits, the next does not; an addition makes no order."""
    holding = Holding(unpaid=2, next_end=NOW + timedelta(seconds=90.5))
    wanted = [want((1, 1)), want((1, 1)), want((1, 1), adds=True)]
    assert codes([stock(1)], holding, *wanted) == [None, Code.LIMIT_EXCEEDED, None]


def test_free_orders_are_not_unpaid() -> None:
    """They hold nothing that would come back, and are not counted."""
    free, holding = stock(1, price=Decimal("0.00")), Holding(unpaid=3, expired_at=NOW)
    assert codes([free], holding, *[want((1, 1))] * 5) == [None] * 5


def test_after_an_expired_order_a_person_waits() -> None:
    """For the cool-down, to the second; the refusal says how long."""
    for since, refused in ((59.5, True), (60, False)):
        holding = Holding(expired_at=NOW - timedelta(seconds=since))
        expected = Code.LIMIT_EXCEEDED if refused else None
        assert codes([stock(1)], holding, want((1, 1))) == [expected]
    answers = allocate(
        {1: stock(1)},
        {1: EVENT},
        [want((1, 1), user_id=BUYER)],
        NOW,
        holdings={PERSON: Holding(expired_at=NOW - timedelta(seconds=59.5))},
        limits=LIMITS,
    ).answers
    assert isinstance(answers[0], AllocationRefused)
    assert answers[0].retry_after == 1


def test_limits_are_each_persons_own() -> None:
    """What one holds refuses nobody else."""
    holding = Holding(unpaid=3, tickets={1: 9})
    allocation = allocate(
        {1: stock(1, max_per_user=9)},
        {1: EVENT},
        [want((1, 9), user_id=6), want((1, 1), user_id=BUYER)],
        NOW,
        holdings={PERSON: holding},
        limits=LIMITS,
    )
    assert [type(one) for one in allocation.answers] == [AllocationGranted, AllocationRefused]


@given(
    st.integers(1, 6),
    st.integers(0, 6),
    st.lists(st.tuples(st.integers(1, 3), st.integers(1, 4), st.booleans()), max_size=12),
)
def test_whatever_is_asked_nobody_exceeds_the_limit(
    limit: int, before: int, asked: list[tuple[int, int, bool]]
) -> None:
    """Over all orders of requests, additions among them."""
    requests = [want((1, quantity), user_id=user, adds=adds) for user, quantity, adds in asked]
    holdings = {(user, 1): Holding(tickets={1: before}) for user in (1, 2, 3)}
    answers = allocate(
        {1: stock(1, 1000, max_per_user=limit)}, {1: EVENT}, requests, NOW, holdings=holdings
    ).answers
    for user in (1, 2, 3):
        got = sum(
            quantity
            for (who, quantity, _), one in zip(asked, answers, strict=True)
            if who == user and isinstance(one, AllocationGranted)
        )
        assert got == 0 or before + got <= limit


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({"user_id": 8}, Code.NOT_FOUND),
        ({"user_id": 7}, Code.SALES_CLOSED),
        ({"user_id": 8, "is_admin": True}, Code.SALES_CLOSED),
    ],
)
def test_a_draft_is_there_for_its_organizer_and_admins_alone(
    more: dict[str, object], expected: Code
) -> None:
    """Others hear what they hear of a ticket type that does not exist; nobody buys."""
    draft = replace(EVENT, concealed=True)
    assert code([stock(1)], want((1, 1), **more), draft) is expected
    assert answer([], want((9, 1)), EVENT) == answer([stock(9)], want((9, 1)), draft)


@pytest.mark.parametrize("adds", [False, True])
def test_a_paused_sale_takes_neither_orders_nor_additions(adds: bool) -> None:
    """SALES_CLOSED, before limits and before sold out; open again it sells."""
    request = want((1, 11), adds=adds)
    assert code([stock(1, 0)], request, replace(EVENT, paused=True)) is Code.SALES_CLOSED
    assert code([stock(1, 0)], request) is Code.LIMIT_EXCEEDED
