"""Which quote an order gets: the one that stands, a new one, or none, and which come to their end."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from contracts.problems import Code, Problem
from contracts.rates import Rate
from contracts.resources import OrderRow
from workers.payment.quoting import PendingQuote, Priced, Reused, outdated, over, price, reusable

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
LATER = NOW + timedelta(minutes=10)
ORDER = OrderRow(
    id=7,
    user_id=5,
    event_id=3,
    status="PENDING_PAYMENT",
    total_cost=Decimal("99.80"),
    currency="USD",
    expires_at=LATER,
    version=1,
    created_at=NOW - timedelta(minutes=5),
    updated_at=NOW,
)
RATE = Rate("BTC", "USD", "fake", Decimal("64000"), NOW, NOW)
STANDING = PendingQuote(1, "BTC", "PENDING", Decimal("99.80"), 1, LATER)


def test_a_standing_quote_is_given_again_until_its_very_end() -> None:
    """Same asset, present total, now < expiresAt; at expiresAt it is over."""
    assert reusable(ORDER, [STANDING], "BTC", NOW) == Reused(1)
    assert reusable(ORDER, [STANDING], "BTC", LATER - timedelta(microseconds=1)) == Reused(1)
    assert reusable(ORDER, [STANDING], "BTC", LATER) is None
    assert reusable(ORDER, [STANDING], "ETH", NOW) is None


@pytest.mark.parametrize(
    "changed",
    [{"total_cost": Decimal("49.90")}, {"status": "EXPIRED"}, {"expires_at": NOW}],
)
def test_a_quote_that_cannot_pay_any_more_is_not_given_again(changed: dict[str, object]) -> None:
    """Another total, ended, or out of time."""
    quote = replace(STANDING, **changed)  # type: ignore[arg-type]  # field values by name
    assert reusable(ORDER, [quote], "BTC", NOW) is None
    pending = quote.status == "PENDING"
    assert outdated(ORDER, [quote], NOW) == ([1] if pending else [])


def test_quotes_that_still_pay_are_left_alone() -> None:
    """A new quote in one asset does not end the standing one of another."""
    other = replace(STANDING, key=2, asset="ETH")
    assert outdated(ORDER, [STANDING, other], NOW) == []


def test_a_new_quote_moves_the_order_s_end_only_forward() -> None:
    """Its own end is now + ttl; the order's becomes that if it is later, else stays."""
    priced = price(ORDER, "BTC", RATE, NOW, quote_ttl=900, max_hold=1800)
    assert isinstance(priced, Priced)
    assert priced.amount_crypto == Decimal("0.001559375000000000")
    assert priced.expires_at == priced.order_expires_at == NOW + timedelta(minutes=15)
    short = price(ORDER, "BTC", RATE, NOW, quote_ttl=60, max_hold=1800)
    assert isinstance(short, Priced)
    assert (short.expires_at, short.order_expires_at) == (NOW + timedelta(minutes=1), LATER)


def test_the_longest_hold_cuts_a_quote_short_and_in_the_end_refuses_it() -> None:
    """Never later than created + 30 minutes; nothing left of it: ORDER_NOT_PENDING."""
    old = replace(ORDER, created_at=NOW - timedelta(minutes=29))
    priced = price(old, "BTC", RATE, NOW, quote_ttl=900, max_hold=1800)
    assert isinstance(priced, Priced)
    assert priced.expires_at == NOW + timedelta(minutes=1)
    ancient = replace(ORDER, created_at=NOW - timedelta(minutes=30))
    assert _code(price(ancient, "BTC", RATE, NOW, quote_ttl=900, max_hold=1800)) == (
        Code.ORDER_NOT_PENDING
    )


def test_without_a_rate_or_with_a_worthless_one_there_is_no_quote() -> None:
    """RATE_UNAVAILABLE, which binds no key: another asset or a later try may do."""
    dust = replace(RATE, rate=Decimal("0.00000001"))
    rich = replace(ORDER, total_cost=Decimal("9999999999999.99"))
    assert _code(price(ORDER, "XYZ", None, NOW, quote_ttl=900, max_hold=1800)) == (
        Code.RATE_UNAVAILABLE
    )
    assert _code(price(rich, "BTC", dust, NOW, quote_ttl=900, max_hold=1800)) == (
        Code.RATE_UNAVAILABLE
    )


@pytest.mark.parametrize("status", ["CONFIRMED", "CANCELLED", "EXPIRED"])
def test_an_order_that_does_not_wait_is_refused(status: str) -> None:
    """ORDER_NOT_PENDING for every status but the first, and at the order's very end, swept or not."""
    assert over(ORDER, NOW) is None
    assert _code(over(replace(ORDER, status=status), NOW)) == Code.ORDER_NOT_PENDING
    assert _code(over(ORDER, LATER)) == Code.ORDER_NOT_PENDING


def _code(found: object) -> Code | None:
    return found.code if isinstance(found, Problem) else None
