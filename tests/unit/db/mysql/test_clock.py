"""The estimate of the database's clock follows the best sample and notices a clock that was set."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from db.mysql.clock import DatabaseClock

START = datetime(2026, 1, 1, tzinfo=UTC)


class Server:
    """A database whose clock is `ahead` seconds before ours and whose answers take a while each way."""

    def __init__(self) -> None:
        self.local = 0.0
        self.ahead = 0.0
        self.ways: Iterator[tuple[float, float]] = iter(())

    def monotonic(self) -> float:
        return self.local

    async def ask(self) -> datetime:
        there, back = next(self.ways)
        self.local += there
        told = START + timedelta(seconds=self.local + self.ahead)
        self.local += back
        return told

    def truth(self) -> datetime:
        return START + timedelta(seconds=self.local + self.ahead)


def off_by(clock: DatabaseClock, server: Server) -> float:
    return abs((clock.now() - server.truth()).total_seconds())


async def test_the_shortest_round_trip_wins() -> None:
    """A slow lopsided sample after a quick one does not spoil the estimate."""
    server = Server()
    server.ahead = 7200
    server.ways = iter([(0.5, 0.0), (0.001, 0.001), (0.8, 0.0)])
    clock = DatabaseClock(server.ask, server.monotonic)
    await clock.refresh()
    assert 0.24 < off_by(clock, server) < 0.26, "half the round trip is the bound of one sample"
    await clock.refresh()
    await clock.refresh()
    assert off_by(clock, server) < 0.001


async def test_a_clock_that_was_set_is_followed_at_once() -> None:
    """A jump of more than a second throws the old samples away."""
    server = Server()
    server.ways = iter([(0.001, 0.001), (0.2, 0.2)])
    clock = DatabaseClock(server.ask, server.monotonic)
    await clock.refresh()
    server.ahead = 300
    await clock.refresh()
    assert off_by(clock, server) < 0.21


async def test_one_very_slow_answer_is_not_mistaken_for_a_clock_that_was_set() -> None:
    """An offset that is off by no more than half of its own round trip proves nothing."""
    server = Server()
    server.ways = iter([(0.001, 0.001), (3.0, 0.0)])
    clock = DatabaseClock(server.ask, server.monotonic)
    await clock.refresh()
    await clock.refresh()
    assert off_by(clock, server) < 0.01
