"""What follows from an answer: the table of ends, the delays, the pauses."""

from datetime import UTC, datetime, timedelta

import pytest

from workers.notify.schedule import (
    DAY,
    Policy,
    ReceiverResponse,
    judge,
    parse_retry_after,
    pause_after,
)

POLICY = Policy()
NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize("code", [200, 201, 202, 204, 299])
def test_any_2xx_is_delivered(code: int) -> None:
    """Nothing follows."""
    verdict = judge(ReceiverResponse(code), 1, 0, POLICY, jitter=0)
    assert (verdict.delivered, verdict.delay, verdict.error) == (True, None, None)


@pytest.mark.parametrize("code", [None, 301, 302, 307, 400, 401, 404, 429, 500, 503])
def test_anything_else_is_tried_again_after_five_seconds(code: int | None) -> None:
    """Also 4xx: a receiver that is being set up answers 404 for a while."""
    verdict = judge(ReceiverResponse(code, None if code else "no answer"), 1, 0, POLICY, jitter=0)
    assert (verdict.delivered, verdict.delay, verdict.gone) == (False, 5, False)
    assert verdict.error


def test_410_ends_it() -> None:
    """The receiver wants nothing more: no further attempt."""
    verdict = judge(ReceiverResponse(410), 1, 0, POLICY, jitter=0)
    assert (verdict.gone, verdict.delay) == (True, None)


def test_the_schedule_fills_three_days_and_no_more() -> None:
    """Eleven attempts, each later than the one before it, the last within three days, with every jitter."""
    for jitter in (0.0, 1.0):
        elapsed, tries = 0.0, 1
        while (
            delay := judge(ReceiverResponse(500), tries, elapsed, POLICY, jitter=jitter).delay
        ) is not None:
            elapsed += delay
            tries += 1
        assert 2 * DAY < elapsed <= 3 * DAY
        assert tries >= 10
    assert len(POLICY.delays) == 10
    assert list(POLICY.delays) == sorted(POLICY.delays)
    assert sum(POLICY.delays) <= 3 * DAY


def test_a_ping_is_tried_once() -> None:
    """Its owner watches; nobody wants it hours later."""
    assert judge(ReceiverResponse(500), 1, 0, POLICY, jitter=0, once=True).delay is None


@pytest.mark.parametrize("code", [429, 503])
def test_retry_after_is_never_undercut(code: int) -> None:
    """The longer of schedule and Retry-After; the endpoint is left alone as long as it asked, a day at most."""
    answer = ReceiverResponse(code, retry_after=120)
    assert judge(answer, 1, 0, POLICY, jitter=0).delay == 120
    assert judge(answer, 1, 0, POLICY, jitter=0).pause == 120
    assert judge(answer, 4, 0, POLICY, jitter=0).delay == 1800
    assert judge(ReceiverResponse(code, retry_after=10 * DAY), 1, 0, POLICY, jitter=0).pause == DAY


def test_retry_after_means_nothing_with_other_answers() -> None:
    """RFC 9110 gives it a meaning with 503 and 3xx, RFC 6585 with 429; we follow no redirect."""
    assert judge(ReceiverResponse(500, retry_after=120), 1, 0, POLICY, jitter=0).delay == 5


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        (None, None),
        ("0", 0.0),
        (" 120 ", 120.0),
        ("-5", None),
        ("1.5", None),
        ("soon", None),
        ("", None),
        ("9" * 400, 999999999999.0),
        ("٣", None),
        ("Fri, 01 May 2026 12:02:00 GMT", 120.0),
        ("Fri, 01 May 2026 11:00:00 GMT", 0.0),
        ("Fri, 99 May 2026 11:00:00 GMT", None),
    ],
)
def test_retry_after_is_seconds_or_a_date(text: str | None, seconds: float | None) -> None:
    """Both forms of RFC 9110; anything else is as if it were not there."""
    assert parse_retry_after(text, NOW) == seconds


def test_an_endpoint_that_keeps_failing_is_left_alone_longer_and_longer() -> None:
    """Nothing for the first four failures in a row, then 2, 4, 8 seconds … and five minutes at most."""
    pauses = [pause_after(failures, POLICY) for failures in range(1, 15)]
    assert pauses[:7] == [0, 0, 0, 0, 2, 4, 8]
    assert pauses[-1] == timedelta(minutes=5).total_seconds()
    assert pause_after(10**6, POLICY) == 300
