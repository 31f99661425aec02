"""Retry-After of a full queue: its backlog over the rate at which it drains, within reason."""

import pytest

from gateway.submission.pressure import (
    RETRY_SECONDS_MAX,
    RETRY_SECONDS_STUCK,
    Backlog,
    Pressure,
    backlogs,
    retry_seconds,
)


@pytest.mark.parametrize(
    ("backlog", "seconds"),
    [
        (Backlog(20_000, 2_000.0), 10),
        (Backlog(20_000, 1_999.0), 11),
        (Backlog(1, 1_000.0), 1),
        (Backlog(0, 5.0), 1),
        (Backlog(10**6, 1.0), RETRY_SECONDS_MAX),
        (Backlog(5, 0.0), RETRY_SECONDS_STUCK),
        (None, RETRY_SECONDS_STUCK),
    ],
)
def test_the_time_until_the_backlog_is_gone(backlog: Backlog | None, seconds: int) -> None:
    """Rounded up, at least 1, at most a minute; a queue that stands still has a time of its own."""
    assert retry_seconds(backlog) == seconds


def test_a_refusal_says_the_last_sample() -> None:
    """Per queue: a slow shard's clients wait longer than a quick one's."""
    pressure = Pressure()
    pressure.sampled({"inventory.0": Backlog(100, 10.0), "inventory.1": Backlog(100, 50.0)})
    assert pressure.refusal("inventory.0").problem.retry_after == 10
    assert pressure.refusal("inventory.1").problem.retry_after == 2
    problem = pressure.refusal("order").problem
    assert (problem.code, problem.retry_after) == ("BUSY", RETRY_SECONDS_STUCK)


def test_the_management_api_is_read_as_it_answers() -> None:
    """Queues without traffic have no statistics; what is no list is nothing."""
    document = [
        {"name": "order", "messages": 7, "message_stats": {"ack_details": {"rate": 3.5}}},
        {"name": "quote", "messages": 0},
        {"name": "new"},
    ]
    assert backlogs(document) == {
        "order": Backlog(7, 3.5),
        "quote": Backlog(0, 0.0),
        "new": Backlog(0, 0.0),
    }
    assert backlogs({"error": "not_authorised"}) == {}
