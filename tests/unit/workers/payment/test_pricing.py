"""The amount of a quote: exact, rounded up, never a float; the end of a quote: the earlier of two limits."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.payment.pricing import AmountTooLarge, amount_crypto, quote_end

UNIT = Fraction(1, 10**18)
MONEY = st.integers(1, 10**18 - 1).map(lambda cents: Decimal(cents) / 100)
RATE = st.integers(1, 10**18 - 1).map(lambda units: Decimal(units) / 10**8)
NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)


@given(MONEY, RATE)
def test_the_amount_covers_the_total_and_one_unit_less_would_not(
    total: Decimal, rate: Decimal
) -> None:
    """amount * rate >= total > (amount - 10^-18) * rate, in exact fractions, for every total and rate."""
    try:
        amount = amount_crypto(total, rate)
    except AmountTooLarge:
        assert Fraction(total) / Fraction(rate) > 10**20 - UNIT
        return
    assert Fraction(amount) * Fraction(rate) >= Fraction(total)
    assert (Fraction(amount) - UNIT) * Fraction(rate) < Fraction(total)
    assert amount.as_tuple().exponent == -18
    assert 0 < amount < 10**20


@pytest.mark.parametrize(
    ("total", "rate", "amount"),
    [
        ("99.80", "1.00000000", "99.800000000000000000"),
        ("10.00", "3.00000000", "3.333333333333333334"),
        ("0.01", "67187.33589300", "0.000000148837572842"),
        ("49.90", "64000.00000000", "0.000779687500000000"),
        ("9999999999999999.99", "9999999999.99999999", "1000000.000000000000000000"),
    ],
)
def test_known_amounts(total: str, rate: str, amount: str) -> None:
    """Checked in exact fractions: whole quotients stay as they are, any remainder goes up by one unit."""
    assert format(amount_crypto(Decimal(total), Decimal(rate)), ".18f") == amount


def test_an_amount_without_room_is_refused() -> None:
    """At a rate next to nothing the amount does not fit DECIMAL(38,18): an error, not a cut number."""
    with pytest.raises(AmountTooLarge):
        amount_crypto(Decimal("1000000000000.00"), Decimal("0.00000001"))
    assert amount_crypto(Decimal("999999999999.99"), Decimal("0.00000001")) < 10**20


@pytest.mark.parametrize(
    ("total", "rate"),
    [
        ("0", "1"),
        ("-1", "1"),
        ("1", "0"),
        ("1", "-1"),
        ("1", "NaN"),
        ("1", "Infinity"),
        ("1.001", "1"),
        ("1", "0.000000001"),
    ],
)
def test_what_is_no_price_or_no_rate_is_refused(total: str, rate: str) -> None:
    """Not positive, not finite or of too many decimals: ValueError, whatever the other is."""
    with pytest.raises(ValueError, match=r"is not a positive number|has more than"):
        amount_crypto(Decimal(total), Decimal(rate))


@given(st.integers(0, 4000), st.integers(1, 4000), st.integers(1, 4000))
def test_a_quote_ends_at_the_earlier_of_its_ttl_and_the_longest_hold(
    age: int, quote_ttl: int, max_hold: int
) -> None:
    """min(now + quote_ttl, created + max_hold), for an order of any age."""
    created = NOW - timedelta(seconds=age)
    end = quote_end(NOW, created, quote_ttl=quote_ttl, max_hold=max_hold)
    assert end - created <= timedelta(seconds=max_hold)
    assert end - NOW <= timedelta(seconds=quote_ttl)
    assert end in (NOW + timedelta(seconds=quote_ttl), created + timedelta(seconds=max_hold))
