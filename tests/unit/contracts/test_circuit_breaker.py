"""What has failed is left alone for a moment."""

import pytest

from contracts.runtime.circuit_breaker import CircuitBreaker, CircuitOpen


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_it_opens_after_so_many_failures_in_a_row_and_for_its_time() -> None:
    """A success in between starts the count anew."""
    clock = Clock()
    breaker = CircuitBreaker(5.0, failures=2, monotonic=clock)
    breaker.failed()
    breaker.succeeded()
    breaker.failed()
    breaker.require_closed()
    breaker.failed()
    with pytest.raises(CircuitOpen):
        breaker.require_closed()
    clock.now = 5.0
    breaker.require_closed()


def test_after_the_pause_one_failure_opens_it_again_and_one_success_closes_it() -> None:
    """Whoever comes first tries it out for all."""
    clock = Clock()
    breaker = CircuitBreaker(5.0, failures=2, monotonic=clock)
    breaker.failed()
    breaker.failed()
    clock.now = 5.0
    breaker.failed()
    assert breaker.is_open
    clock.now = 10.0
    breaker.succeeded()
    breaker.failed()
    assert not breaker.is_open


async def test_who_waits_goes_on_when_attempts_are_made_again() -> None:
    """At once when nothing has failed."""
    breaker = CircuitBreaker(0.01)
    await breaker.closed()
    breaker.failed()
    await breaker.closed()
    assert not breaker.is_open
