"""A leak is seen under noise, warm-up and outliers are none."""

import random

import pytest

from scripts.soaking.trends import (
    Allowance,
    Point,
    percentile,
    quarter,
    rate,
    slope,
    trend,
    trends,
)

MEMORY = Allowance(0.05, 6)


def hour(value: object) -> list[Point]:
    """An hour of readings, one every ten seconds; `value` is a function of the seconds."""
    assert callable(value)
    return [(float(at), float(value(at))) for at in range(0, 3600, 10)]


def test_a_process_that_leaks_is_not_flat() -> None:
    """20 MiB an hour under 3 MiB of noise: risen, and the slope says by how much."""
    noise = random.Random(1)
    found = trend("memory a", hour(lambda at: 90 + at / 180 + noise.uniform(-3, 3)), MEMORY)
    assert not found.flat
    assert found.per_hour == pytest.approx(20, abs=2)
    assert found.percent_per_hour == pytest.approx(20 / 97.5 * 100, abs=3)


def test_warm_up_is_no_leak() -> None:
    """What fills in the first quarter and then stays is flat."""
    found = trend("memory a", hour(lambda at: min(90, 40 + at / 10)), MEMORY)
    assert found.flat
    assert found.per_hour == 0


def test_a_peak_is_no_leak() -> None:
    """A few readings far off move neither medians nor slope, only the highest."""
    found = trend("files a", hour(lambda at: 900 if 3000 <= at < 3050 else 20), Allowance(0.05, 8))
    assert (found.flat, found.per_hour, found.highest) == (True, 0, 900)


def test_falling_is_flat() -> None:
    """Only a rise is a leak."""
    assert trend("memory a", hour(lambda at: 200 - at / 36), MEMORY).flat


@pytest.mark.parametrize(("risen", "flat"), [(5.9, True), (6.1, False)])
def test_the_allowance(risen: float, flat: bool) -> None:
    """The larger of share and amount counts: 6 MiB of 100, not 5 %."""
    found = trend("memory a", hour(lambda at: 100 if at < 2000 else 100 + risen), MEMORY)
    assert found.flat is flat


def test_each_series_has_the_allowance_of_its_kind() -> None:
    """The first word of its name; a series without readings is left out."""
    series = {
        "memory a": hour(lambda at: 100 if at < 2000 else 105),
        "files a": hour(lambda at: 100 if at < 2000 else 105),
        "files b": [],
    }
    found = trends(series, {"memory": MEMORY, "files": Allowance(0, 1)})
    assert [(one.name, one.flat) for one in found] == [("files a", False), ("memory a", True)]


def test_nothing_to_judge() -> None:
    """No readings are no flat line."""
    with pytest.raises(ValueError, match="no readings"):
        trend("memory a", [], MEMORY)


def test_percentiles() -> None:
    """Nearest rank; 0 without values."""
    values = [float(value) for value in range(100, 0, -1)]
    assert (percentile(values, 0.5), percentile(values, 0.99), percentile(values, 1)) == (
        51,
        100,
        100,
    )
    assert percentile([], 0.99) == 0


def test_quarters_are_of_the_time() -> None:
    """Readings that came late belong to the quarter in which they came."""
    points = [(0.0, 1.0), (90.0, 2.0), (95.0, 3.0), (100.0, 4.0)]
    assert [len(quarter(points, number)) for number in range(4)] == [1, 0, 0, 3]
    assert quarter([], 1) == []


def test_slope_of_little() -> None:
    """One reading, or two at once, have none; a straight line has its own."""
    assert slope([(1.0, 5.0)]) == 0
    assert slope([(1.0, 5.0), (1.0, 9.0)]) == 0
    assert slope([(float(at), 3.0 * at) for at in range(2000)]) == pytest.approx(3)


def test_cost_for_each_unit_of_work() -> None:
    """CPU per visit in a quarter; nothing where nothing was done."""
    cpu = [(float(at), at * 0.2) for at in range(100)]
    visits = [(float(at), at * 100.0) for at in range(100)]
    assert rate(cpu, visits, 1) == pytest.approx(0.002)
    assert rate(cpu, [(float(at), 7.0) for at in range(100)], 1) == 0
