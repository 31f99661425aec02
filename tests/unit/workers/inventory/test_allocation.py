"""The rule of a batch: who gets which tickets."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.problems import Code
from db.stock import EventState, Stock
from workers.inventory.allocation import (
    AllocationGranted,
    AllocationRefused,
    AllocationRequest,
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
