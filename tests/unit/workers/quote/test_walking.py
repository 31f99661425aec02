"""No sequence of reports of one provider moves the price that buyers are quoted further than the band.

The adversary sees everything, waits as long as it likes, says any price, and names any moment of observation that it
could. Time is the database's, which it cannot move.
"""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.rates import Rate, RateLimits, median, quotable
from contracts.runtime.times import to_wire
from workers.quote.judging import RateReport, judge
from workers.quote.market import WINDOW, Market

START = datetime(2026, 5, 1, 12, tzinfo=UTC)
LIMITS = RateLimits(fresh=60, max_age=600, band=Decimal("0.2"))
LIAR = "provider:liar"
SLACK = Decimal("1.0000001")
"""Rates have eight decimals, bounds have more."""


@dataclass(slots=True)
class World:
    """A pair, the clock, and every price that was quotable, with when it was seen."""

    now: datetime = START
    market: Market = field(default_factory=Market)
    quoted: list[tuple[datetime, Decimal]] = field(default_factory=list)

    def look(self) -> Rate | None:
        """What a quote would use now."""
        found = quotable(self.market.rates, self.now, LIMITS)
        if found:
            self.quoted.append((self.now, found.rate))
        return found

    def report(self, source: str, price: Decimal, age: float) -> bool:
        """Whether it was taken."""
        at = to_wire(self.now - timedelta(seconds=age))
        verdict = judge(
            RateReport(source, "BTC", "USD", str(price), at), self.market, self.now, LIMITS
        )
        if isinstance(verdict, Rate):
            self.market = self.market.after(verdict, self.now, LIMITS)
        return isinstance(verdict, Rate)


FACTORS = st.sampled_from(["0.5", "0.8", "0.81", "0.97", "1", "1.03", "1.19", "1.2", "1.25", "26"])
STEPS = st.tuples(
    FACTORS.map(Decimal),
    st.sampled_from([0.0, 1.0, 30.0, 59.0, 61.0, 240.0, 599.0, 600.0, 661.0, 1300.0]),
    st.sampled_from([-6.0, -5.0, 0.0, 30.0, 61.0, 300.0, 599.0]),
)
"""(times the price of now, seconds to wait before, observed how long ago)"""


@settings(max_examples=400, deadline=None)
@given(st.lists(STEPS, max_size=40))
def test_alone_a_provider_stays_near_where_the_price_was_ten_minutes_ago(
    steps: list[tuple[Decimal, float, float]],
) -> None:
    """Any two prices that were quoted within ten minutes of each other are within the band of each other."""
    world = World()
    world.report("fake", Decimal("100"), 0)
    world.look()
    world.now += timedelta(seconds=61)
    for factor, wait, age in steps:
        before = world.look()
        price = (before.rate if before else Decimal("100")) * factor
        world.now += timedelta(seconds=wait)
        world.look()
        world.report(LIAR, max(price, Decimal("0.00000001")), age)
        world.look()
    for n, (seen, price) in enumerate(world.quoted):
        for later, other in world.quoted[n:]:
            if later <= seen + WINDOW:
                assert price * Decimal("0.8") <= other * SLACK, (seen, price, later, other)
                assert other <= price * Decimal("1.2") * SLACK, (seen, price, later, other)


@settings(max_examples=400, deadline=None)
@given(
    st.lists(
        st.tuples(
            STEPS,
            st.lists(
                st.tuples(
                    st.sampled_from(["fake", "provider:beta", "provider:gamma"]),
                    st.sampled_from(["0.9", "0.97", "1", "1.03", "1.1"]).map(Decimal),
                ),
                max_size=3,
                unique_by=lambda one: one[0],
            ),
        ),
        max_size=25,
    )
)
def test_beside_others_a_provider_stays_near_their_median(
    steps: list[tuple[tuple[Decimal, float, float], list[tuple[str, Decimal]]]],
) -> None:
    """Whenever its price is quoted while others are fresh, it is within the band of their median of that moment."""
    world, truth = World(), Decimal("100")
    world.report("fake", truth, 0)
    for (factor, wait, age), words in steps:
        world.now += timedelta(seconds=wait)
        _check(world)
        for source, move in words:
            truth = max(truth * move, Decimal("1")).quantize(Decimal("0.00000001"))
            world.report(source, truth, 0)
            _check(world)
        world.report(LIAR, max(truth * factor, Decimal("0.00000001")), age)
        _check(world)


def _check(world: World) -> None:
    quoted = world.look()
    others = world.market.others(LIAR, world.now, LIMITS)
    middle = median([one.rate for one in others])
    if quoted is None or quoted.source != LIAR or middle is None:
        return
    assert LIMITS.allow(quoted.rate, *middle)


@given(st.lists(STEPS, max_size=20), st.sampled_from(["provider:beta", "fake"]))
def test_an_honest_source_is_heard_whatever_a_dishonest_one_said(
    steps: list[tuple[Decimal, float, float]], honest: str
) -> None:
    """With the feed fresh at the price that it has had all the time, an honest report at that price is always taken."""
    world, price = World(), Decimal("100")
    world.report("fake", price, 0)
    for factor, wait, age in steps:
        world.now += timedelta(seconds=min(wait, 59.0))
        world.report("fake", price, 0)
        world.report(LIAR, price * factor, age)
    world.now += timedelta(seconds=1)
    world.report("fake", price, 0)
    world.now += timedelta(seconds=1)
    assert world.report(honest, price * Decimal("1.19"), 0)


def test_thirty_steps_of_nineteen_percent_go_nowhere() -> None:
    """The walk that was seen: 145 to 26,905 in three seconds, with the feed at 145; and with no feed, and down."""
    for fed in (True, False):
        for step in (Decimal("1.19"), Decimal("0.81")):
            world = World()
            world.report("fake", Decimal("145"), 0)
            world.now += timedelta(seconds=0 if fed else 100)
            price = Decimal("145")
            for n in range(30):
                world.now += timedelta(seconds=0.1)
                price = price * step
                assert world.report(LIAR, price, 0) == (n == 0)
            quoted = world.look()
            assert quoted is not None
            assert quoted.rate == Decimal("145") * step


def test_a_minute_of_reports_is_one_span() -> None:
    """Ten thousand reports in a minute: bounded memory, and still every one of their prices counts."""
    world = World()
    world.report("fake", Decimal("100"), 0)
    world.now += timedelta(seconds=61)
    for n in range(10_000):
        world.now += timedelta(microseconds=5_000)
        assert world.report(LIAR, Decimal(100 + n % 20), 0)
    assert len(world.market.spans) <= 2 * 2
    assert not world.report(LIAR, Decimal("121"), -1)
    assert not world.report(LIAR, Decimal("94"), -1)
