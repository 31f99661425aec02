"""Who waits is woken by what is heard, is polled for sparingly, and never outstays its time."""

import asyncio
from datetime import UTC, datetime

import pytest

from contracts.outcomes import Outcome
from gateway.submission.outcomes import OutcomeMemory
from gateway.submission.waiting import OutcomeWaiters

AT = datetime(2026, 5, 1, tzinfo=UTC)


def outcome(uuid: bytes) -> Outcome:
    return Outcome(uuid, 7, "t", "f" * 32, 201, None, "/x", "request-1", b"{}", AT, AT)


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def waiting(clock: Clock) -> OutcomeWaiters:
    return OutcomeWaiters(OutcomeMemory(), clock)


async def test_all_who_wait_for_a_command_hear_of_it(waiting: OutcomeWaiters) -> None:
    """Two clients of one key: one outcome, both answered, nothing left behind."""
    with waiting.expecting(b"a") as first, waiting.expecting(b"a") as second:
        assert waiting.count == 2
        waiting.heard([outcome(b"a")])
        assert await first.outcome(5) == outcome(b"a")
        assert await second.outcome(5) == outcome(b"a")
    assert waiting.count == 0


async def test_what_was_heard_before_is_known_at_once(waiting: OutcomeWaiters) -> None:
    """An outcome that came before its waiter is not missed."""
    waiting.heard([outcome(b"a")])
    with waiting.expecting(b"a") as expectation:
        assert await expectation.outcome(0) == outcome(b"a")


async def test_one_who_hangs_up_takes_nobody_along(waiting: OutcomeWaiters) -> None:
    """A cancelled wait is its caller's own; the others still hear, and nothing is left behind."""
    with waiting.expecting(b"a") as first:
        gone, stays = (asyncio.create_task(first.outcome(30)) for _ in range(2))
        await asyncio.sleep(0)
        gone.cancel()
        await asyncio.gather(gone, return_exceptions=True)
        assert gone.cancelled()
        waiting.heard([outcome(b"a")])
        assert await stays == outcome(b"a")
    assert waiting.count == 0


async def test_a_wait_ends_in_time_and_can_go_on(waiting: OutcomeWaiters) -> None:
    """None after the seconds asked for; the same expectation still hears what comes later."""
    with waiting.expecting(b"a") as expectation:
        assert await expectation.outcome(0.01) is None
        assert not expectation.given_up
        waiting.heard([outcome(b"a")])
        assert await expectation.outcome(0.01) is not None


async def test_the_end_of_the_process_releases_everybody(waiting: OutcomeWaiters) -> None:
    """At shutdown all waits end as undecided, also one that begins later."""
    with waiting.expecting(b"a") as expectation:
        waiting.close()
        assert await expectation.outcome(30) is None
        assert expectation.given_up
    with waiting.expecting(b"b") as late:
        assert await late.outcome(30) is None


async def test_without_pushes_everybody_is_polled_for_at_every_tick(
    waiting: OutcomeWaiters, clock: Clock
) -> None:
    """Redis away: from 250 ms of age on, each tick."""
    with waiting.expecting(b"a"):
        assert waiting.due(False) == []
        clock.now += 0.25
        assert waiting.due(False) == [b"a"]
        assert waiting.due(False) == [b"a"]


async def test_with_pushes_the_polls_of_a_waiter_become_rarer(
    waiting: OutcomeWaiters, clock: Clock
) -> None:
    """At doubling ages up to every 4 s: thousands who wait long cost few queries."""
    polled_at: list[float] = []
    with waiting.expecting(b"a"):
        for _ in range(48):
            clock.now += 0.25
            if waiting.due(True):
                polled_at.append(clock.now - 100)
    assert polled_at == [0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 12.0]


async def test_when_pushes_stop_a_rare_one_is_polled_for_again_at_once(
    waiting: OutcomeWaiters, clock: Clock
) -> None:
    """A waiter whose next poll lay far ahead does not wait for it when Redis goes away."""
    with waiting.expecting(b"a"):
        clock.now += 4
        assert waiting.due(True) == [b"a"]
        assert waiting.due(True) == []
        assert waiting.due(False) == [b"a"]


def test_the_memory_of_outcomes_is_bounded() -> None:
    """The oldest is forgotten first."""
    memory = OutcomeMemory(size=2)
    for uuid in (b"a", b"b", b"c"):
        memory.put(outcome(uuid))
    assert memory.get(b"a") is None
    assert memory.get(b"c") == outcome(b"c")
