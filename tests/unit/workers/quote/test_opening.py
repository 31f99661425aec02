"""A provider's message becomes a report, a faulty one or a dead letter; it never becomes an error of ours."""

import base64
import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.rates import Reason
from workers.quote.judging import Faulty, RateReport
from workers.quote.opening import Sent, Unreadable, open_report
from workers.quote.providers import digest_of

FIELDS = {
    "asset": "BTC",
    "currency": "USD",
    "rate": "64000.5",
    "observedAt": "2026-05-01T12:00:00Z",
}
GOOD = Sent(json.dumps(FIELDS).encode(), "application/json", "rates.acme.BTC", "acme", "m-1")
REPORT = RateReport("provider:acme", "BTC", "USD", "64000.5", "2026-05-01T12:00:00Z", "m-1")


def _envelope(**more: object) -> bytes:
    event = {"specversion": "1.0", "id": "e-1", "type": "rate", "source": "/acme"}
    return json.dumps(event | more).encode()


@pytest.mark.parametrize("kind", [None, "", "application/json", "application/cloudevents+json"])
@pytest.mark.parametrize(
    "held",
    [
        {"data": FIELDS},
        {"data_base64": base64.b64encode(json.dumps(FIELDS).encode()).decode(), "data": None},
    ],
    ids=["data", "data_base64"],
)
def test_an_envelope_is_known_whatever_it_is_called(
    kind: str | None, held: dict[str, object]
) -> None:
    """Without a content type too; its own id is the message's where AMQP has none, and yields where it has."""
    sent, report = open_report(
        replace(GOOD, body=_envelope(**held), content_type=kind, message_id=None)
    )
    assert (sent.message_id, report) == ("e-1", replace(REPORT, message_id="e-1"))
    sent, _ = open_report(replace(GOOD, body=_envelope(**held), content_type=kind))
    assert sent.message_id == "m-1"


def test_an_event_that_is_sent_again_is_the_same_message() -> None:
    """Without an AMQP message id two deliveries of one event are one, two events are two."""
    first, again, other = (
        open_report(replace(GOOD, body=_envelope(data=FIELDS, id=event_id), message_id=None))[0]
        for event_id in ("e-1", "e-1", "e-2")
    )
    assert digest_of(first) == digest_of(again) != digest_of(other)


@pytest.mark.parametrize("kind", [None, "", "application/json"])
def test_no_content_type_is_json(kind: str | None) -> None:
    """And a byte order mark is none of it."""
    for raw in (GOOD.body, b"\xef\xbb\xbf" + GOOD.body):
        assert open_report(replace(GOOD, body=raw, content_type=kind)) == (
            replace(GOOD, body=raw, content_type=kind),
            REPORT,
        )


def fault(sent: Sent) -> Reason | None:
    _, report = open_report(sent)
    return report.reason if isinstance(report, Faulty) else None


def body(**changes: object) -> bytes:
    return json.dumps(FIELDS | changes).encode()


def test_plain_json_and_cloudevents_say_the_same() -> None:
    """Four fields, alone or as the data of a CloudEvent; a content type may have parameters."""
    event = {"specversion": "1.0", "id": "1", "type": "rate", "source": "/acme", "data": FIELDS}
    cloud = replace(
        GOOD, body=json.dumps(event).encode(), content_type="application/cloudevents+json"
    )
    assert open_report(GOOD)[1] == open_report(cloud)[1] == REPORT
    assert open_report(replace(GOOD, content_type="application/json; charset=utf-8"))[1] == REPORT
    assert open_report(replace(GOOD, body=body(more="ignored")))[1] == REPORT
    assert open_report(replace(GOOD, body=b"\xef\xbb\xbf" + body()))[1] == REPORT, (
        "a byte order mark"
    )


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"user_id": None}, Reason.FORGED),
        ({"user_id": "beta"}, Reason.FORGED),
        ({"user_id": "account-7", "routing_key": "rates.account-7.BTC"}, Reason.FORGED),
        ({"user_id": "Robert'); DROP"}, Reason.FORGED),
        ({"routing_key": "rates.beta.BTC"}, Reason.FORGED),
        ({"routing_key": "rates.acme"}, Reason.FORGED),
        ({"routing_key": "rates.acme.BTC.more"}, Reason.FORGED),
        ({"routing_key": "quote.rates"}, Reason.FORGED),
        ({"routing_key": "rates.acme.ETH"}, Reason.MALFORMED),
        ({"message_id": None}, Reason.MALFORMED),
        ({"body": body(rate=64000.5)}, Reason.MALFORMED),
        ({"body": body(rate=None)}, Reason.MALFORMED),
        ({"body": body(asset=["BTC"])}, Reason.MALFORMED),
        ({"body": b'{"asset": "BTC", "rate": NaN}'}, Reason.MALFORMED),
        ({"body": b"{}"}, Reason.MALFORMED),
    ],
)
def test_what_can_be_read_but_not_used(changes: dict[str, object], expected: Reason) -> None:
    """Not vouched for, or not the four texts: quarantined under the name that the broker vouches for."""
    assert fault(replace(GOOD, **changes)) == expected  # type: ignore[arg-type]  # field values by name


@pytest.mark.parametrize(
    "changes",
    [
        {"body": b"rate up"},
        {"body": b""},
        {"body": b"\xff\xfe"},
        {"body": b"[1]"},
        {"body": b'"BTC"'},
        {"body": b"[" * 60_000},
        {"body": b'{"rate": "' + b"9" * 70_000 + b'"}'},
        {"content_type": "application/cloudevents+json", "body": _envelope(data=[])},
        {"body": _envelope(data_base64="no base64!")},
        {"body": _envelope(data_base64=base64.b64encode(b"rate up").decode())},
        {"body": _envelope(data_base64=7)},
        {"body": _envelope(data_base64="e30=", data={})},
        {"content_type": "text/html"},
        {"content_type": "application/cloudevents+json"},
        {"content_type": "application/cloudevents-batch+json"},
    ],
)
def test_what_cannot_be_read(changes: dict[str, object]) -> None:
    """No JSON object of at most 64 KiB under one of the two content types: Unreadable, with a reason."""
    with pytest.raises(Unreadable):
        open_report(replace(GOOD, **changes))  # type: ignore[arg-type]  # field values by name


def test_numbers_are_kept_as_they_were_written() -> None:
    """For the admin who looks at the quarantine: no float, whatever its size."""
    _, report = open_report(replace(GOOD, body=b'{"rate": 1e999, "asset": ' + b"9" * 400 + b"}"))
    assert isinstance(report, Faulty)
    assert report.report.rate == "1e999"
    assert report.report.asset == "9" * 400


def test_texts_can_be_stored_whatever_they_hold() -> None:
    """Half a surrogate pair is no character: it is replaced."""
    _, report = open_report(replace(GOOD, body=b'{"rate": "\\ud800", "asset": "BTC"}'))
    assert isinstance(report, Faulty)
    assert report.report.rate.encode()


_JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(
    st.binary() | _JSON.map(lambda value: json.dumps(value).encode()),
    st.sampled_from(["application/json", "application/cloudevents+json"]) | st.text(),
    st.text(),
    st.none() | st.text(),
    st.none() | st.text(),
)
def test_no_bytes_raise_anything_else(
    body: bytes, kind: str, key: str, user: str | None, message: str | None
) -> None:
    """A report, a faulty one, or Unreadable."""
    try:
        _, report = open_report(Sent(body, kind, key, user, message))
    except Unreadable:
        return
    assert isinstance(report, RateReport | Faulty)
