"""Which reports are good: each rule with the report that it stops, and the one next to it that it lets through."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.rates import Rate, Reason, choose, quotable
from contracts.runtime.times import to_wire
from workers.quote.judging import Faulty, Limits, RateReport, judge

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
LIMITS = Limits(fresh=60, max_age=600, band=Decimal("0.2"))
GOOD = RateReport("provider:acme", "BTC", "USD", "64000", to_wire(NOW))


def ago(seconds: float) -> datetime:
    return NOW - timedelta(seconds=seconds)


def known(source: str, rate: str, seconds: float = 10) -> Rate:
    return Rate("BTC", "USD", source, Decimal(rate), ago(seconds), ago(seconds))


def reason(report: RateReport, *rates: Rate, limits: Limits = LIMITS) -> Reason | None:
    verdict = judge(report, rates, NOW, limits)
    return verdict.reason if isinstance(verdict, Faulty) else None


def test_a_good_report_is_a_rate_with_its_provenance() -> None:
    """Source, observation and receipt are kept; eight decimals, half to even."""
    verdict = judge(replace(GOOD, rate="64000.123456785"), [], NOW, LIMITS)
    assert verdict == Rate("BTC", "USD", "provider:acme", Decimal("64000.12345678"), NOW, NOW)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"asset": "btc"}, Reason.MALFORMED),
        ({"asset": ""}, Reason.MALFORMED),
        ({"asset": "B" * 17}, Reason.MALFORMED),
        ({"currency": "US"}, Reason.MALFORMED),
        ({"currency": "USDT"}, Reason.MALFORMED),
        ({"observed_at": "yesterday"}, Reason.MALFORMED),
        ({"observed_at": "2026-05-01T12:00:00"}, Reason.MALFORMED),
        ({"observed_at": "9999-99-99T12:00:00Z"}, Reason.MALFORMED),
        ({"rate": ""}, Reason.MALFORMED),
        ({"rate": "12,5"}, Reason.MALFORMED),
        ({"rate": "0x10"}, Reason.MALFORMED),
        ({"rate": "٣"}, Reason.MALFORMED),
        ({"rate": "9" * 200}, Reason.MALFORMED),
        ({"rate": "NaN"}, Reason.NOT_A_NUMBER),
        ({"rate": "-Infinity"}, Reason.NOT_A_NUMBER),
        ({"rate": "0"}, Reason.NOT_POSITIVE),
        ({"rate": "-0.0"}, Reason.NOT_POSITIVE),
        ({"rate": "-64000"}, Reason.NOT_POSITIVE),
        ({"rate": "1e400"}, Reason.ABSURD),
        ({"rate": "10000000000"}, Reason.ABSURD),
        ({"rate": "1e-400"}, Reason.ABSURD),
        ({"rate": "0.000000004"}, Reason.ABSURD),
        ({"rate": "9999999999.99999999"}, None),
        ({"rate": "0.00000001"}, None),
        ({"rate": "6.4e4"}, None),
    ],
)
def test_what_a_report_says(changes: dict[str, str], expected: Reason | None) -> None:
    """Words that are no asset, currency, time or number; numbers that are no price."""
    assert reason(replace(GOOD, **changes)) == expected


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (-6, Reason.FROM_THE_FUTURE),
        (-5, None),
        (600, None),
        (601, Reason.STALE),
    ],
)
def test_when_it_was_observed(seconds: float, expected: Reason | None) -> None:
    """A clock may be five seconds ahead; what could not be quoted any more is stale."""
    assert reason(replace(GOOD, observed_at=to_wire(ago(seconds)))) == expected


def test_a_source_goes_forward_only_and_each_for_itself() -> None:
    """The same moment again is a repeat, an earlier one out of order; other sources' moments do not count."""
    own, other = known("provider:acme", "64000", 10), known("provider:beta", "64000", 0)
    at = {s: replace(GOOD, observed_at=to_wire(ago(s))) for s in (9, 10, 11)}
    assert reason(at[9], own, other) is None
    assert reason(at[10], own, other) == Reason.REPEATED
    assert reason(at[11], own, other) == Reason.OUT_OF_ORDER


@pytest.mark.parametrize(
    ("rate", "expected"),
    [
        ("76800", None),
        ("76800.00000001", Reason.OUT_OF_BAND),
        ("51200", None),
        ("51199.99999999", Reason.OUT_OF_BAND),
    ],
)
def test_a_fifth_up_or_down_is_the_band(rate: str, expected: Reason | None) -> None:
    """Exactly 20 % of the last good rate passes, one unit more does not."""
    assert reason(replace(GOOD, rate=rate), known("provider:acme", "64000")) == expected


def test_the_reference_is_what_quotes_use_then_the_feed_then_nothing() -> None:
    """A young provider's rate counts before the feed's; one too old leaves the feed's; without either all passes."""
    far = replace(GOOD, rate="90000")
    assert reason(far, known("provider:beta", "80000"), known("fake", "64000")) is None
    assert reason(far, known("provider:beta", "80000", 601), known("fake", "64000")) == (
        Reason.OUT_OF_BAND
    )
    assert reason(far, known("provider:beta", "64000", 601), known("fake", "64000", 601)) is None
    assert reason(far) is None


def test_a_feed_is_held_against_its_own_word() -> None:
    """A provider far from the feed does not get the feed put aside."""
    feed = replace(GOOD, source="fake", rate="64100")
    assert reason(feed, known("fake", "64000"), known("provider:acme", "80000")) is None
    assert reason(feed, known("fake", "40000"), known("provider:acme", "64000")) == (
        Reason.OUT_OF_BAND
    )
    assert reason(feed, known("fake", "64000", 601), known("provider:acme", "90000")) == (
        Reason.OUT_OF_BAND
    )


@given(st.text(), st.text(), st.text(), st.text())
def test_nothing_that_a_report_holds_raises(asset: str, currency: str, rate: str, at: str) -> None:
    """Any texts at all: a verdict, and never a bad rate."""
    for report in (
        RateReport("provider:acme", asset, currency, rate, at),
        replace(GOOD, rate=rate),
        replace(GOOD, observed_at=at),
    ):
        verdict = judge(report, [], NOW, LIMITS)
        assert isinstance(verdict, Faulty) or 0 < verdict.rate < 10**10


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["fake", "coingecko", "provider:acme", "provider:beta"]),
            st.integers(0, 700),
        ),
        max_size=6,
        unique_by=lambda pair: pair[0],
    )
)
def test_the_rule_that_chooses_a_source(sources: list[tuple[str, int]]) -> None:
    """Fresh before old; fresh providers before fresh feeds; then the newest. Never one too old for a quote."""
    rates = [known(source, "64000", seconds) for source, seconds in sources]
    chosen = choose(rates, NOW, 60)
    if not rates:
        assert chosen is None
        return
    assert chosen is not None
    fresh = [one for one in rates if one.younger_than(60, NOW)]
    best = [one for one in fresh if one.from_provider] or fresh or rates
    assert chosen in best
    assert chosen.observed_at == max(one.observed_at for one in best)
    quoted = quotable(rates, NOW, fresh_seconds=60, max_age_seconds=600)
    assert (quoted is None) == (min(seconds for _, seconds in sources) > 600)
