"""What follows from an attempt: delivered, again later, or never; and how long an endpoint is left alone.

In: the answer of a receiver (or its absence), how often and for how long it was tried. Out: a `DeliveryVerdict`.
Must stay true: nothing here knows a clock, a socket or a row; the delays are data; Retry-After is never undercut.

Sources: Standard Webhooks 1.0, "Deliverability and reliability" (exponential delays over days, 410 ends it,
Retry-After with 429 and 503); RFC 9110 section 10.2.3 (Retry-After: seconds or a date).
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

MINUTE, HOUR, DAY = 60.0, 3600.0, 86400.0


@dataclass(frozen=True, slots=True)
class Policy:
    """Everything about sending that is a number. Durations in seconds."""

    delays: tuple[float, ...] = (
        5,
        30,
        5 * MINUTE,
        30 * MINUTE,
        2 * HOUR,
        5 * HOUR,
        10 * HOUR,
        14 * HOUR,
        20 * HOUR,
        20 * HOUR,
    )
    """Before the second attempt, the third …: 71 h 35 min 35 s from the first to the last."""
    window: float = 3 * DAY
    """No attempt begins later than this after the first one."""
    jitter: float = 0.1
    """A delay grows by up to this share of itself, so that a crowd does not come back at once."""
    retry_after_max: float = DAY
    hold: float = HOUR
    """How long a delivery that is being retried holds back later events of the same order."""
    failures_before_pause: int = 5
    pause_max: float = 5 * MINUTE
    connect_seconds: float = 5.0
    total_seconds: float = 15.0
    answer_bytes_max: int = 16 * 1024
    concurrency: int = 64
    """Attempts at once to one endpoint; it begins with two and grows with each success."""
    attempts_max: int = 1024
    """Attempts at once in one process, whoever they go to."""


@dataclass(frozen=True, slots=True)
class ReceiverResponse:
    """What came back. `status_code` None: no answer, and `error` says why."""

    status_code: int | None
    error: str | None = None
    retry_after: float | None = None
    """Seconds, as asked for."""


@dataclass(frozen=True, slots=True)
class DeliveryVerdict:
    """What follows. `delay`: seconds to the next attempt of this delivery, None when it is closed."""

    delivered: bool
    delay: float | None
    error: str | None
    gone: bool = False
    """The receiver said that it wants nothing more (410)."""
    pause: float = 0.0
    """Seconds for which the receiver wants to be left alone (Retry-After)."""


def judge(
    answer: ReceiverResponse,
    tries: int,
    elapsed: float,
    policy: Policy,
    *,
    jitter: float,
    once: bool = False,
) -> DeliveryVerdict:
    """What follows from the answer to the n-th attempt (`tries` from 1) of a round, `elapsed` seconds after its first.

    `jitter` in 0…1 places the delay in its spread; `once`: no further attempts (a ping).
    """
    code = answer.status_code
    if code is not None and 200 <= code < 300:
        return DeliveryVerdict(delivered=True, delay=None, error=None)
    error = answer.error or f"answered {code}"
    if code == 410:
        return DeliveryVerdict(delivered=False, delay=None, error=error, gone=True)
    pause = 0.0
    if code in (429, 503) and answer.retry_after is not None:
        pause = min(max(answer.retry_after, 0.0), policy.retry_after_max)
    if once or tries > len(policy.delays):
        return DeliveryVerdict(delivered=False, delay=None, error=error, pause=pause)
    delay = max(policy.delays[tries - 1] * (1 + policy.jitter * jitter), pause)
    if elapsed + delay > policy.window:
        return DeliveryVerdict(delivered=False, delay=None, error=error, pause=pause)
    return DeliveryVerdict(delivered=False, delay=delay, error=error, pause=pause)


def pause_after(failures: int, policy: Policy) -> float:
    """Seconds to leave an endpoint alone after so many failures in a row: 0, then 2, 4, 8 … up to the maximum."""
    beyond = failures - policy.failures_before_pause
    return 0.0 if beyond < 0 else float(min(2.0 ** min(beyond + 1, 30), policy.pause_max))


def parse_retry_after(text: str | None, now: datetime) -> float | None:
    """Seconds until a Retry-After header's time (never negative); None when there is none or it is malformed."""
    if text is None:
        return None
    text = text.strip()
    if text.isascii() and text.isdigit():
        return float(int(text[:12]))
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, TypeError, OverflowError):
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return max(0.0, (moment - now).total_seconds())
