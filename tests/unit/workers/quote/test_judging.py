"""Which reports are good: each rule with the report that it stops, and the one next to it that it lets through."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.rates import PAIRS_MAX, Rate, RateLimits, Reason, choose, median, quotable
from contracts.runtime.times import to_wire
from workers.quote.judging import Faulty, Grant, RateReport, judge
from workers.quote.market import Market

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
LIMITS = RateLimits(fresh=60, max_age=600, band=Decimal("0.2"))
GOOD = RateReport("provider:acme", "BTC", "USD", "64000", to_wire(NOW))


def ago(seconds: float) -> datetime:
    return NOW - timedelta(seconds=seconds)


def known(source: str, rate: str, seconds: float = 10) -> Rate:
    return Rate("BTC", "USD", source, Decimal(rate), ago(seconds), ago(seconds))


FED = Market((known("fake", "64000"),))


def reason(report: RateReport, *rates: Rate, limits: RateLimits = LIMITS) -> Reason | None:
    verdict = judge(report, Market(rates), NOW, limits)
    return verdict.reason if isinstance(verdict, Faulty) else None


def test_a_good_report_is_a_rate_with_its_provenance() -> None:
    """Source, observation and receipt are kept; eight decimals, half to even."""
    verdict = judge(replace(GOOD, rate="64000.123456785"), FED, NOW, LIMITS)
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
    fed = known("fake", changes["rate"]) if expected is None else known("fake", "64000")
    assert reason(replace(GOOD, **changes), fed) == expected


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
    assert reason(replace(GOOD, observed_at=to_wire(ago(seconds))), *FED.rates) == expected


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


def test_a_pair_that_nobody_has_a_rate_of_waits_for_an_admin() -> None:
    """Whatever the price; a feed opens a pair by itself."""
    assert reason(GOOD) == Reason.NEW_PAIR
    assert reason(replace(GOOD, source="fake")) is None


@pytest.mark.parametrize(
    ("others", "lowest", "highest"),
    [
        (["100"], "80", "120"),
        (["100", "110", "120"], "88", "132"),
        (["100", "120"], "80", "144"),
        (["100", "101", "102", "1"], "80", "121.2"),
        (["100", "9000"], "80", "10800"),
    ],
)
def test_others_are_one_by_their_median(others: list[str], lowest: str, highest: str) -> None:
    """The middle of all other fresh sources; of an even number both middle ones: no liar hides an honest one."""
    rates = [known(f"provider:p{n}", rate) for n, rate in enumerate(others)]
    own = known("provider:acme", "1", 20)
    unit = Decimal("0.00000001")
    for bound, further in ((Decimal(lowest), -unit), (Decimal(highest), unit)):
        assert reason(replace(GOOD, rate=str(bound)), own, *rates) is None
        outside = replace(GOOD, rate=str(bound + further))
        assert reason(outside, own, *rates) == Reason.OUT_OF_BAND


def test_what_is_not_fresh_is_no_other_source() -> None:
    """Alone again once the others are old: what was quoted in the last ten minutes counts, all of it."""
    feed, own = known("fake", "100", 61), known("provider:acme", "118", 30)
    assert reason(replace(GOOD, rate="141"), feed, own) == Reason.OUT_OF_BAND
    assert reason(replace(GOOD, rate="120"), feed, own) is None
    assert (
        reason(replace(GOOD, rate="141"), known("fake", "100", 10), known("fake2", "118", 10))
        is None
    )


def test_after_a_long_silence_the_last_price_counts() -> None:
    """However old: nobody can wait until nothing is remembered."""
    old = known("provider:acme", "100", 86_400)
    assert reason(replace(GOOD, rate="120"), old) is None
    assert reason(replace(GOOD, rate="121"), old) == Reason.OUT_OF_BAND


def test_a_feed_is_held_against_its_own_word() -> None:
    """A provider far from the feed does not get the feed put aside, not even after a silence; two that agree do."""
    feed = replace(GOOD, source="fake", rate="64100")
    assert reason(feed, known("fake", "64000"), known("provider:acme", "80000")) is None
    assert reason(feed, known("fake", "40000"), known("provider:acme", "64000")) == (
        Reason.OUT_OF_BAND
    )
    silent, acme, beta = (
        known("fake", "64000", 601),
        known("provider:acme", "90000"),
        known("provider:beta", "91000"),
    )
    assert reason(feed, silent, acme) is None
    assert reason(feed, silent, acme, beta) == Reason.OUT_OF_BAND


def test_an_asset_that_was_not_given_and_one_pair_too_many_wait() -> None:
    """The provider's own list, if it has one; fifty pairs, those that it has go on."""

    def judged(grant: Grant, *rates: Rate) -> Reason | None:
        verdict = judge(GOOD, Market((*FED.rates, *rates)), NOW, LIMITS, grant)
        return verdict.reason if isinstance(verdict, Faulty) else None

    assert judged(Grant(frozenset({"BTC"}))) is None
    assert judged(Grant(frozenset({"ETH"}))) == Reason.NOT_GIVEN
    assert judged(Grant(pairs=PAIRS_MAX - 1)) is None
    assert judged(Grant(pairs=PAIRS_MAX)) == Reason.TOO_MANY_PAIRS
    assert judged(Grant(pairs=PAIRS_MAX), known("provider:acme", "64000")) is None


def test_a_price_outside_the_band_of_the_others_is_not_chosen() -> None:
    """It was inside when it came, the others have moved: the feed counts, and without a feed nobody."""
    acme, beta = known("provider:acme", "120", 5), known("provider:beta", "90", 10)
    feed = known("fake", "90", 1)
    chosen = choose([acme, feed], NOW, LIMITS)
    assert chosen == feed
    assert choose([acme, beta, feed], NOW, LIMITS) == beta
    assert choose([acme, beta], NOW, LIMITS) is None
    assert choose([replace(acme, accepted_at=acme.received_at), feed], NOW, LIMITS) is not feed


def test_what_an_admin_accepts_begins_anew() -> None:
    """The prices before it bind nobody any more: the next report near the accepted one is good."""
    market = Market((known("provider:acme", "100"),))
    jump = known("provider:acme", "300", 1)
    after = market.accepting(jump, NOW)
    later = NOW + timedelta(seconds=2)
    report = replace(GOOD, rate="310", observed_at=to_wire(later))
    rate = judge(report, after, later, LIMITS)
    assert isinstance(rate, Rate)
    further = after.after(rate, later, LIMITS)
    for price, good in (("360", True), ("361", False), ("248", True), ("247", False)):
        at = later + timedelta(seconds=2)
        verdict = judge(replace(report, rate=price, observed_at=to_wire(at)), further, at, LIMITS)
        assert isinstance(verdict, Rate) == good, price


@given(st.lists(st.decimals("1", "1000", places=2), max_size=7))
def test_the_median_has_half_on_each_side(prices: list[Decimal]) -> None:
    """At most half of the prices are below the lower middle, at most half above the upper one."""
    middle = median(prices)
    if middle is None:
        assert prices == []
        return
    assert sum(price < middle[0] for price in prices) <= len(prices) / 2
    assert sum(price > middle[1] for price in prices) <= len(prices) / 2
    assert {*middle} <= {*prices}


@given(st.text(), st.text(), st.text(), st.text())
def test_nothing_that_a_report_holds_raises(asset: str, currency: str, rate: str, at: str) -> None:
    """Any texts at all: a verdict, and never a bad rate."""
    for report in (
        RateReport("provider:acme", asset, currency, rate, at),
        replace(GOOD, rate=rate),
        replace(GOOD, observed_at=at),
    ):
        verdict = judge(report, FED, NOW, LIMITS)
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
    chosen = choose(rates, NOW, LIMITS)
    if not rates:
        assert chosen is None
        return
    assert chosen is not None
    fresh = [one for one in rates if one.younger_than(60, NOW)]
    best = [one for one in fresh if one.from_provider] or fresh or rates
    assert chosen in best
    assert chosen.observed_at == max(one.observed_at for one in best)
    quoted = quotable(rates, NOW, LIMITS)
    assert (quoted is None) == (min(seconds for _, seconds in sources) > 600)
