"""What travels: CloudEvents JSON, signed, read without surprises."""

from datetime import UTC, datetime
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.messaging.envelope import (
    BATCH,
    BODY_BYTES_MAX,
    SINGLE,
    Codec,
    Envelope,
    MalformedMessage,
    forward,
    join_batch,
    open_body,
)

CODEC = Codec("a secret of at least thirty-two bytes")
NOW = datetime(2026, 1, 2, 3, 4, 5, 678, tzinfo=UTC)
PLAIN = Envelope("id-1", "eventhub.order.place.v1", "/eventhub/gateway", NOW, {"a": 1})

json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4)
    ),
    max_leaves=12,
)


@given(st.dictionaries(st.text(max_size=8), json_values, max_size=5))
def test_what_is_sent_arrives_signed_and_unchanged(data: dict[str, Any]) -> None:
    """Any JSON data, alone or in a batch."""
    sent = Envelope("id", "t", "/s", NOW, data, correlationid="r-1", expirytime=NOW)
    body, content_type = join_batch([CODEC.encode(sent), CODEC.encode(PLAIN)])
    first, second = open_body(body, content_type)
    assert (first.data, first.correlationid, first.expirytime) == (data, "r-1", NOW)
    assert CODEC.verifies(first)
    assert CODEC.verifies(second)


@pytest.mark.parametrize("name", ["id", "type", "time", "expirytime", "data"])
def test_a_changed_envelope_does_not_verify(name: str) -> None:
    """Whoever changes who, what, when or until when has no key to sign it with."""
    fields = orjson.loads(CODEC.encode(PLAIN))
    fields[name] = {"a": 2} if name == "data" else "2027-01-01T00:00:00Z"
    assert not CODEC.verifies(open_body(orjson.dumps(fields), SINGLE)[0])


def test_a_signature_is_the_same_in_every_release() -> None:
    """Old workers verify what a new gateway signs, and the other way round: also with names in another order."""
    at = datetime(2026, 5, 1, 12, 30, 0, 123456, tzinfo=UTC)
    data = {"b": [1, None], "a": {"y": "ü", "x": True}}
    sent = Envelope("e-1", "eventhub.test.v1", "/s", at, data, expirytime=at.replace(microsecond=0))
    fields = orjson.loads(CODEC.encode(sent))
    assert fields["signature"] == "DV24fvi79lH7yIClXoWLhQ"
    assert fields["expirytime"] == "2026-05-01T12:30:00.000000Z"
    assert fields["data"] == data
    [arrived] = open_body(orjson.dumps(fields | {"data": data}), SINGLE)
    assert CODEC.verifies(arrived)


def test_a_forged_envelope_leaves_as_unsigned_as_it_came() -> None:
    """A message is forwarded with the signature that was there, never with a new one."""
    forged = open_body(orjson.dumps(orjson.loads(CODEC.encode(PLAIN)) | {"signature": "x"}), SINGLE)
    assert not CODEC.verifies(open_body(forward(forged[0]), SINGLE)[0])
    assert CODEC.verifies(open_body(forward(open_body(CODEC.encode(PLAIN), SINGLE)[0]), SINGLE)[0])


def test_another_secret_is_another_signature() -> None:
    """Two deployments do not accept each other's commands."""
    other = Codec("another secret of thirty-two bytes!!")
    assert not other.verifies(open_body(CODEC.encode(PLAIN), SINGLE)[0])


@pytest.mark.parametrize(
    ("body", "content_type", "reason"),
    [
        (b"{", SINGLE, "not JSON"),
        (b"\xff", SINGLE, "not JSON"),
        (b"[" * 100_000, BATCH, "not JSON"),
        (b"{}", "text/plain", "content type"),
        (b"{}", None, "content type"),
        (b"[]", BATCH, "non-empty"),
        (b"{}", BATCH, "non-empty"),
        (b"[1]", BATCH, "object"),
        (b'{"specversion":"0.3"}', SINGLE, "specversion"),
        (b'{"specversion":"1.0","data":[]}', SINGLE, "data"),
        (b'{"specversion":"1.0","data":{}}', SINGLE, "attribute id"),
        (b'{"specversion":"1.0","data":{},"id":1,"type":"t"}', SINGLE, "attribute id"),
        (
            b'{"specversion":"1.0","data":{},"id":"1","type":"t","source":"s","time":"yesterday"}',
            SINGLE,
            "attribute time",
        ),
        (b" " * (BODY_BYTES_MAX + 1), SINGLE, "over"),
    ],
)
def test_what_cannot_be_read_says_why(body: bytes, content_type: str | None, reason: str) -> None:
    """Every unreadable body is a MalformedMessage whose text becomes the dead letter's reason."""
    with pytest.raises(MalformedMessage, match=reason):
        open_body(body, content_type)


def test_attributes_we_do_not_know_are_ignored() -> None:
    """An old worker survives a new gateway."""
    fields = orjson.loads(CODEC.encode(PLAIN)) | {"newattribute": "x"}
    assert open_body(orjson.dumps(fields), SINGLE)[0].data == {"a": 1}
