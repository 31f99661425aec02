"""Whatever bytes somebody with a broker password could put on a queue, and hostile data inside envelopes of ours.

In: nothing; the models of a worker's messages. Out: messages by name, each with what its dead letter's reason says.
Must stay true: no two bodies are the same (the same body on the same queue is one dead letter); every envelope that
`signed` makes carries our own signature, so that nothing but its data is wrong.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from contracts.messaging.envelope import (
    BATCH,
    SINGLE,
    Codec,
    Envelope,
    MalformedMessage,
    forward,
    open_body,
)
from contracts.models import Wire

HOUR = "2026-01-01T00:00:00Z"
TYPE = "eventhub.order.place.v1"


@dataclass(frozen=True, slots=True)
class Hostile:
    """A message; `reason` is looked for (a regular expression) in its dead letter's."""

    body: bytes
    reason: str
    content_type: str = SINGLE
    headers: Mapping[str, Any] = field(default_factory=dict)

    @property
    def kept(self) -> bytes:
        """What its dead letter holds: the bytes, or the envelope as it travels on."""
        try:
            [envelope] = open_body(self.body, self.content_type)
        except MalformedMessage:
            return self.body
        return forward(envelope)


def _envelope(**changes: Any) -> bytes:
    """An envelope without a signature. Python's JSON writes what is not JSON as well: NaN, lone surrogates."""
    whole = {"specversion": "1.0", "id": "x", "type": "no.such", "source": "/x", "time": HOUR}
    return json.dumps({**whole, "data": {}, **changes}).encode()


def _with_data(data: bytes) -> bytes:
    return _envelope(data="DATA").replace(b'"DATA"', data)


_SHAPES = {
    "a word": Hostile(b"null", "an envelope is a JSON object"),
    "a list": Hostile(b"[]", "an envelope is a JSON object"),
    "an empty batch": Hostile(b"[ ]", "a non-empty JSON array", BATCH),
    "an object for a batch": Hostile(b"{}", "a non-empty JSON array", BATCH),
    "a batch with a stranger": Hostile(
        b"[" + _envelope(id="b") + b", 5]", "is a JSON object", BATCH
    ),
    "html": Hostile(b"<html/>", "content type", "text/html"),
    "without a type": Hostile(b'"bare"', "content type", ""),
    "plain JSON": Hostile(b"[1]", "content type", "application/json"),
    "with a charset": Hostile(b"[2]", "content type", f"{SINGLE}; charset=utf-7"),
    "as many attempts as there can be": Hostile(
        b"[4]", "is a JSON object", headers={"x-eventhub-attempt": 2**63 - 1}
    ),
    "strange headers": Hostile(
        b"[3]",
        "is a JSON object",
        headers={"x-eventhub-attempt": -9, "x-death": "no list", "x-first-death-reason": 7},
    ),
}
_BYTES = {
    "empty": Hostile(b"", "not JSON"),
    "binary": Hostile(bytes(range(256)), "not JSON"),
    "utf-16": Hostile('{"a": 1}'.encode("utf-16"), "not JSON"),
    "byte order mark": Hostile(b"\xef\xbb\xbf{}", "not JSON"),
    "cut off": Hostile(_envelope()[:-9], "not JSON"),
    "twice": Hostile(_envelope() * 2, "not JSON"),
    "oversized": Hostile(b" " * 600_000, "over"),
    "very deep": Hostile(b"[" * 100_000 + b"]" * 100_000, "not JSON"),
    "deep data": Hostile(_with_data(b'{"a":' * 2000 + b"1" + b"}" * 2000), "not JSON"),
    "readable, too deep to be written": Hostile(
        _with_data(b'{"a":' * 300 + b"2" + b"}" * 300), "nested too deeply|no handler"
    ),
    "signed, too deep to be written": Hostile(
        _with_data(b'{"a":' * 900 + b"3" + b"}" * 900).replace(
            b'"id"', b'"signature": "' + b"A" * 43 + b'", "id"'
        ),
        "nested too deeply",
    ),
    "NaN": Hostile(_with_data(b'{"a": NaN}'), "not JSON"),
    "beyond every float": Hostile(_with_data(b'{"a": 1e999}'), "not JSON"),
    "5,000 digits": Hostile(_with_data(b'{"a": ' + b"9" * 5000 + b"}"), "not JSON"),
    "lone surrogate": Hostile(_envelope(id="\ud800"), "not JSON"),
    "no UTF-8": Hostile(_envelope(id="?").replace(b"?", b"\xc3\x28"), "not JSON"),
}
_ATTRIBUTES = {
    "another version": Hostile(_envelope(specversion="0.3"), "specversion"),
    "data is a list": Hostile(_envelope(data=[]), "data is not"),
    "id is a number": Hostile(_envelope(id=7), "attribute id"),
    "endless id": Hostile(_envelope(id="i" * 1025), "attribute id"),
    "no such day": Hostile(_envelope(time="2026-02-30T00:00:00Z"), "RFC 3339"),
    "before the first year": Hostile(_envelope(time="0001-01-01T00:00:00+23:59"), "RFC 3339"),
    "expiry is a list": Hostile(_envelope(expirytime=[HOUR]), "attribute expirytime"),
    "signature is an object": Hostile(_envelope(signature={}), "attribute signature"),
    "unknown type": Hostile(_envelope(), "no handler"),
    "SQL for a type": Hostile(_envelope(type="'; DROP TABLE orders; --"), "no handler"),
    "endless type": Hostile(_envelope(type="t" * 1024), "no handler"),
    "NUL for an id": Hostile(_envelope(id="\0"), "no handler"),
    "unsigned": Hostile(_envelope(type=TYPE), "signature|no handler"),
    "no base64 in the signature": Hostile(
        _envelope(type=TYPE, signature="ä é\0"), "signature|no handler"
    ),
    "the second type counts": Hostile(
        b'{"type": "%s", ' % TYPE.encode() + _envelope(id="second")[1:], "no handler"
    ),
}
BARE: Mapping[str, Hostile] = {**_SHAPES, **_BYTES, **_ATTRIBUTES}

_DEEP: Any = 0
for _ in range(200):
    _DEEP = [_DEEP]
VALUES: tuple[Any, ...] = (
    None,
    True,
    -1,
    2**64 - 1,
    1e308,
    "\0" * 9,
    "\U0001f4a3\u202e" * 99,
    "9" * 5000,
    {"$gt": ""},
    _DEEP,
)
"""What stands in each field of a message at once. Nothing that JSON cannot carry: that would be no data."""


def signed(codec: Codec, models: Iterable[tuple[str, type[Wire]]], name: str) -> Iterator[bytes]:
    """Every type without any data, the first with each hostile value in all its fields."""
    for number, (type_, data) in enumerate(_hostile_data(list(models))):
        now = datetime.now(UTC)
        yield codec.encode(Envelope(f"{name}-{number}", type_, "/hostile", now, data))


def _hostile_data(models: list[tuple[str, type[Wire]]]) -> Iterator[tuple[str, dict[str, Any]]]:
    for type_, _ in models:
        yield type_, {}
    type_, model = models[0]
    fields = [one.alias or name for name, one in model.model_fields.items()]
    for value in VALUES:
        yield type_, dict.fromkeys(fields, value)
