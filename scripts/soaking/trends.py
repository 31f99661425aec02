"""Whether a series of readings stayed flat: medians of quarters, a robust slope, percentiles.

In: (seconds, value) points. Out: a `Trend`. Must stay true: pure. The first quarter is warm-up (pools, caches and heaps
fill) and is judged by nobody; only a rise is a leak; a rise within the allowance is noise.

Source of the slope: Theil and Sen, the median of the slopes of all pairs of points: outliers do not move it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median

JUDGED_SECONDS = 600.0
"""A shorter run is still filling its caches: its trends are told, not judged."""
PAIRS_POINTS_MAX = 400
Point = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Allowance:
    """What may be added without being a leak: a share of what was there, or an amount, whichever is more."""

    share: float
    amount: float


@dataclass(frozen=True, slots=True)
class Trend:
    """second, last: medians of those quarters. per_hour: the slope after the warm-up, in units per hour."""

    name: str
    second: float
    last: float
    highest: float
    per_hour: float
    flat: bool

    @property
    def percent_per_hour(self) -> float:
        """The slope as a share of the second quarter's median, in per cent; 0 when that was nothing."""
        return self.per_hour / self.second * 100 if self.second else 0.0


def percentile(values: Sequence[float], share: float) -> float:
    """The value that `share` (0 to 1) of all values do not exceed (nearest rank); 0 without values."""
    if not values:
        return 0.0
    ranked = sorted(values)
    return ranked[min(int(len(ranked) * share), len(ranked) - 1)]


def quarter(points: Sequence[Point], number: int) -> list[Point]:
    """The points of a quarter (0 to 3) of the time that they cover."""
    if not points:
        return []
    began, ended = points[0][0], points[-1][0]
    length = (ended - began) / 4 or 1.0
    return [p for p in points if min(3, int((p[0] - began) / length)) == number]


def slope(points: Sequence[Point]) -> float:
    """Units per second: the median slope of all pairs; 0 for fewer than two points at different times."""
    some = points[:: max(1, -(-len(points) // PAIRS_POINTS_MAX))]
    slopes = [
        (after[1] - before[1]) / (after[0] - before[0])
        for number, before in enumerate(some)
        for after in some[number + 1 :]
        if after[0] > before[0]
    ]
    return median(slopes) if slopes else 0.0


def trend(name: str, points: Sequence[Point], allowance: Allowance) -> Trend:
    """Judge a series. Raises ValueError when there is nothing to judge."""
    if not points:
        raise ValueError(f"no readings of {name}")
    second = median(value for _, value in quarter(points, 1) or points)
    last = median(value for _, value in quarter(points, 3) or points)
    warm = [point for number in (1, 2, 3) for point in quarter(points, number)]
    allowed = max(allowance.share * second, allowance.amount)
    highest = max(value for _, value in points)
    return Trend(name, second, last, highest, slope(warm) * 3600, last - second <= allowed)


def trends(
    series: Mapping[str, Sequence[Point]], allowances: Mapping[str, Allowance]
) -> list[Trend]:
    """One per series. A series is named `kind of what`, e.g. `memory gateway-1`; allowances go by kind."""
    return [
        trend(name, points, allowances[name.partition(" ")[0]])
        for name, points in sorted(series.items())
        if points
    ]


def rate(points: Sequence[Point], of: Sequence[Point], number: int) -> float:
    """How much a rising counter rose in a quarter for each unit that another rose by meanwhile; 0 when it did not."""
    mine, others = quarter(points, number), quarter(of, number)
    if len(mine) < 2 or len(others) < 2 or others[-1][1] <= others[0][1]:
        return 0.0
    return (mine[-1][1] - mine[0][1]) / (others[-1][1] - others[0][1])
