"""A ⚡ call over fakes: what a client hears when a publish ends otherwise than confirmed."""

from collections.abc import Awaitable, Callable
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import orjson
import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request

from contracts.command_ids import CommandIds
from contracts.commands import CancelOrder, Command
from contracts.messaging.link import BrokerAway
from contracts.messaging.publisher import PublishRefused, PublishUnknown, Unroutable
from contracts.models import Principal
from contracts.problems import Code, Problem
from contracts.runtime.metrics import Metrics
from gateway.http import keys
from gateway.http.problems import Refusal, not_found
from gateway.submission.command_metrics import CommandMetrics
from gateway.submission.idempotency import Found, Key, KeyAttempt
from gateway.submission.outcomes import Opened
from gateway.submission.pressure import Backlog, Pressure
from gateway.submission.submit import Call, Submissions

AT = datetime(2026, 5, 1, tzinfo=UTC)
IDS = CommandIds("a secret of at least thirty-two bytes")


class Clock:
    def now(self) -> datetime:
        return AT


class Broker:
    """A dispatcher whose publishes end as told."""

    def __init__(self, end: Exception | None = None) -> None:
        self.end = end
        self.published: list[str] = []

    async def publish(self, opened: Opened, command: Command, traceparent: str | None) -> None:
        if self.end is not None:
            raise self.end
        self.published.append(opened.text)

    publish_once = publish

    def queue_of(self, command: Command) -> str:
        return "order"


class Undecided:
    """Nobody ever decides."""

    @contextmanager
    def expecting(self, uuid: bytes, seconds: float) -> Any:
        yield None

    async def wait(self, *_: object) -> None:
        return None


class Keys:
    """Finds what it was given; remembers what it was told."""

    def __init__(self, found: Found) -> None:
        self.found = found
        self.told: list[str] = []

    def uuid(self, key: Key, number: int) -> bytes:
        return IDS.keyed(key.caller, key.text, number)

    async def find(self, *_: object) -> Found:
        return self.found

    async def claim(self, key: Key, fingerprint: str, found: Found) -> tuple[KeyAttempt, bool]:
        return KeyAttempt(found.next_number, AT, fingerprint), True

    async def confirm(self, key: Key, attempt: KeyAttempt) -> None:
        self.told.append("confirmed")

    async def forget(self, key: Key, attempt: KeyAttempt) -> None:
        self.told.append("forgotten")


async def prepare(caller: Principal, fingerprint: str) -> Command:
    return CancelOrder(principal=caller, fingerprint=fingerprint, order_id=1)


async def prepare_refused(caller: Principal, fingerprint: str) -> Command:
    raise not_found("It is gone.")


Prepare = Callable[[Principal, str], Awaitable[Command]]
FRESH = Found(None, None, 1)
UNCONFIRMED = Found(KeyAttempt(1, AT, "f"), None, 1)


async def ask(
    broker: Broker,
    idempotency: Keys,
    *,
    key: str | None = None,
    how: Prepare = prepare,
    known: Problem | None = None,
    metrics: Metrics | None = None,
) -> web.Response:
    pressure = Pressure()
    pressure.sampled({"order": Backlog(30, 10.0)})
    submissions = Submissions(
        broker,  # type: ignore[arg-type]  # a fake
        Undecided(),  # type: ignore[arg-type]  # a fake
        idempotency,  # type: ignore[arg-type]  # a fake
        pressure,
        ids=IDS,
        clock=Clock(),  # type: ignore[arg-type]  # a fake
        metrics=CommandMetrics(metrics or Metrics()),
    )
    request = make_mocked_request("POST", "/x", {"Idempotency-Key": key} if key else {})
    request[keys.CONTEXT] = keys.RequestContext("request-1", caller=Principal(user_id=7))

    async def precheck() -> Problem | None:
        return known

    try:
        return await submissions.submit(request, Call(CancelOrder, {}, how, precheck))
    finally:
        await submissions.drain()


async def refusal(*arguments: Any, **options: Any) -> Refusal:
    with pytest.raises(Refusal) as refused:
        await ask(*arguments, **options)
    return refused.value


@pytest.mark.parametrize("key", [None, "k"])
@pytest.mark.parametrize(
    ("end", "status", "code"),
    [
        (PublishRefused("full"), 429, "BUSY"),
        (BrokerAway("gone"), 503, "UNAVAILABLE"),
        (Unroutable("nowhere"), 503, "UNAVAILABLE"),
    ],
)
async def test_what_was_surely_not_published_leaves_nothing(
    end: Exception, status: int, code: str, key: str | None
) -> None:
    """No command id; a key stands for nothing again; Retry-After from the queue that is full."""
    idempotency = Keys(FRESH)
    refused = await refusal(Broker(end), idempotency, key=key)
    assert (refused.problem.status, refused.problem.code) == (status, code)
    assert refused.problem.retry_after == (3 if code == "BUSY" else 2)
    assert not refused.headers
    assert idempotency.told == (["forgotten"] if key else [])


@pytest.mark.parametrize("key", [None, "k"])
async def test_what_may_have_been_published_is_given_out(key: str | None) -> None:
    """503 with the id and where to poll; a key keeps standing for it."""
    idempotency = Keys(FRESH)
    refused = await refusal(Broker(PublishUnknown("dark")), idempotency, key=key)
    assert refused.problem.status == 503
    command_id = refused.problem.extra["commandId"]
    assert IDS.open(command_id, 7) is not None
    assert refused.headers == {
        "Location": f"/api/commands/{command_id}",
        "X-Command-Id": command_id,
    }
    assert idempotency.told == []


async def test_a_confirmed_publish_is_noted_under_its_key() -> None:
    """202, and nobody needs to publish it again."""
    broker, idempotency = Broker(), Keys(FRESH)
    response = await ask(broker, idempotency, key="k")
    assert response.status == 202
    assert broker.published == [response.headers["X-Command-Id"]]
    assert idempotency.told == ["confirmed"]
    assert "Idempotent-Replayed" not in response.headers


async def test_an_unconfirmed_attempt_is_published_again_under_the_same_id() -> None:
    """Safe, because a UUID has one outcome."""
    broker = Broker()
    response = await ask(broker, Keys(UNCONFIRMED), key="k")
    assert broker.published == [response.headers["X-Command-Id"]]
    assert response.headers["Idempotent-Replayed"] == "true"


async def test_an_unconfirmed_attempt_that_cannot_be_published_again_is_unknown() -> None:
    """Never a 202 that nobody holds: 503 with the id to poll."""
    broker = Broker()
    refused = await refusal(broker, Keys(UNCONFIRMED), key="k", how=prepare_refused)
    assert refused.problem.status == 503
    assert "commandId" in refused.problem.extra
    assert broker.published == []


async def test_what_is_refused_early_never_reaches_the_broker() -> None:
    """404 without a command id, and without a claim on the key."""
    broker, idempotency = Broker(), Keys(FRESH)
    for key in (None, "k"):
        refused = await refusal(broker, idempotency, key=key, how=prepare_refused)
        assert refused.problem.status == 404
    assert broker.published == idempotency.told == []


async def test_what_is_known_to_fail_is_refused_without_a_command() -> None:
    """Said by the availability cache: nothing is published or claimed, it is counted, `instance` names this request."""
    broker, idempotency, metrics = Broker(), Keys(FRESH), Metrics()
    known = Problem(Code.SOLD_OUT, "0 tickets are left.", {"available": 0})
    answer = await ask(broker, idempotency, known=known, metrics=metrics)
    assert answer.status == 409
    assert isinstance(answer.body, bytes)
    assert orjson.loads(answer.body) == known.to_json("request-1")
    assert "X-Command-Id" not in answer.headers
    assert (await ask(broker, idempotency, key="k", known=known)).status == 409
    assert broker.published == idempotency.told == []
    assert b'eventhub_commands_refused_total{code="SOLD_OUT"} 1.0' in metrics.render()


async def test_a_key_is_looked_up_before_anything_is_refused() -> None:
    """What the key stands for already may have succeeded: the cache has no say in it."""
    known = Problem(Code.SOLD_OUT, "0 tickets are left.")
    answer = await ask(Broker(), Keys(UNCONFIRMED), key="k", known=known)
    assert answer.status == 202
    assert answer.headers["Idempotent-Replayed"] == "true"
