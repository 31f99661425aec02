"""A process whose work all fails knows it, and does not hold it against itself for ever."""

from contracts.runtime.streak import LEAST, WINDOW_SECONDS, Streak


class Clock:
    """Time as the test wants it."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_so_many_in_a_row_are_a_sign() -> None:
    """One fewer is none, and neither are many with a success among them."""
    streak = Streak(Clock())
    for _ in range(LEAST - 1):
        streak.failed()
    assert not streak.broken
    streak.succeeded()
    for _ in range(LEAST - 1):
        streak.failed()
    assert not streak.broken
    streak.failed()
    assert streak.broken


def test_the_first_success_clears_it() -> None:
    """However many failed before."""
    streak = Streak(Clock())
    for _ in range(LEAST * 10):
        streak.failed()
    assert streak.broken
    streak.succeeded()
    assert not streak.broken


def test_it_clears_itself() -> None:
    """Who is sent nothing any more can show no success: after the window it counts as whole again."""
    clock = Clock()
    streak = Streak(clock)
    for _ in range(LEAST):
        streak.failed()
    clock.now = WINDOW_SECONDS
    assert streak.broken
    clock.now += 1
    assert not streak.broken


def test_failures_far_apart_are_no_sign() -> None:
    """A night with one poisonous message an hour."""
    clock = Clock()
    streak = Streak(clock)
    for _ in range(LEAST * 3):
        clock.now += WINDOW_SECONDS / 2
        streak.failed()
        assert not streak.broken
