"""The envelope of every message: CloudEvents 1.0 JSON, single or batch, signed.

In: an `Envelope` (or bytes and a content type from a queue). Out: bytes (or envelopes).
Must stay true: what we send, we signed; `open_body` never raises anything but `MalformedMessage`; attributes we do
not know are ignored (rolling upgrades), attributes we need are checked.

Source of the format: CloudEvents JSON Event Format 1.0.2, sections 3 and 4 (batch); extension attributes
`correlationid`, `causationid`, `traceparent`, `expirytime`, `sequence`, `partitionkey` from the CloudEvents
extensions, plus our own `replyto` (who waits for the outcome) and `signature`.
"""

import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson

from contracts.messaging.signing import Mac, from_text, to_text
from contracts.runtime.times import from_wire, to_wire

SINGLE = "application/cloudevents+json"
BATCH = "application/cloudevents-batch+json"
BODY_BYTES_MAX = 512 * 1024
"""No message of ours is larger; a larger one on a queue is dead-lettered unread."""
DEPTH_FREE = 200
"""So many brackets cannot be nested deeper than our writer goes (254)."""
BATCH_COMMANDS_MAX = 64
BATCH_BYTES_MAX = 256 * 1024


class MalformedMessage(ValueError):
    """The bytes are no envelope we can read; the text says why (it becomes the dead letter's reason)."""


@dataclass(frozen=True, slots=True)
class Envelope:
    """One message. `data` is plain JSON (dicts, lists, strings, integers, booleans, None)."""

    id: str
    type: str
    source: str
    time: datetime
    data: dict[str, Any]
    subject: str | None = None
    correlationid: str | None = None
    causationid: str | None = None
    traceparent: str | None = None
    expirytime: datetime | None = None
    sequence: str | None = None
    partitionkey: str | None = None
    replyto: str | None = None
    signature: str | None = None


def new_event_id() -> str:
    """A fresh id for an event."""
    return str(uuid.uuid4())


class Codec:
    """Encodes, signs, opens and verifies envelopes for one deployment (its master secrets: the first signs)."""

    def __init__(self, secret: str) -> None:
        self._mac = Mac.derived(secret, "eventhub envelope")

    def encode(self, envelope: Envelope) -> bytes:
        """The signed JSON of one envelope."""
        data = orjson.dumps(envelope.data, option=orjson.OPT_SORT_KEYS)
        time = to_wire(envelope.time)
        expiry = to_wire(envelope.expirytime) if envelope.expirytime else None
        signature = to_text(self._mac.sign(_signed(envelope, time, expiry, data)))
        # What was signed is what is sent: written once.
        return orjson.dumps(_fields(envelope, time, expiry, signature, orjson.Fragment(data)))

    def verifies(self, envelope: Envelope) -> bool:
        """Whether a process with one of our secrets made this envelope, unchanged since."""
        if envelope.signature is None:
            return False
        try:
            mac = from_text(envelope.signature)
        except ValueError:
            return False
        return self._mac.verify(_signed_part(envelope), mac)


_OPTIONAL_TEXT = (
    "subject",
    "correlationid",
    "causationid",
    "traceparent",
    "sequence",
    "partitionkey",
    "replyto",
)


def _signed_part(envelope: Envelope) -> bytes:
    data = orjson.dumps(envelope.data, option=orjson.OPT_SORT_KEYS)
    expiry = to_wire(envelope.expirytime) if envelope.expirytime else None
    return _signed(envelope, to_wire(envelope.time), expiry, data)


def _signed(envelope: Envelope, time: str, expiry: str | None, data: bytes) -> bytes:
    head = f"{envelope.id}\n{envelope.type}\n{time}\n{expiry or ''}\n"
    return head.encode() + data


def _fields(
    envelope: Envelope, time: str, expiry: str | None, signature: str | None, data: Any
) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "specversion": "1.0",
        "id": envelope.id,
        "type": envelope.type,
        "source": envelope.source,
        "time": time,
        "datacontenttype": "application/json",
    }
    for name in _OPTIONAL_TEXT:
        if (value := getattr(envelope, name)) is not None:
            fields[name] = value
    if expiry is not None:
        fields["expirytime"] = expiry
    if signature is not None:
        fields["signature"] = signature
    fields["data"] = data
    return fields


def forward(envelope: Envelope) -> bytes:
    """An envelope on its way again, with the signature it came with (none stays none)."""
    expiry = to_wire(envelope.expirytime) if envelope.expirytime else None
    time = to_wire(envelope.time)
    return orjson.dumps(_fields(envelope, time, expiry, envelope.signature, envelope.data))


def join_batch(bodies: Sequence[bytes]) -> tuple[bytes, str]:
    """(body, content type) that carry these encoded envelopes: single for one, batch for several."""
    if len(bodies) == 1:
        return bodies[0], SINGLE
    return b"[" + b",".join(bodies) + b"]", BATCH


def open_body(body: bytes, content_type: str | None) -> list[Envelope]:
    """The envelopes of a message, in order.

    Raises MalformedMessage when the body is too large, of another content type, no JSON, or holds
    something that is no envelope (a batch is refused whole: we never send a half-readable one).
    """
    if len(body) > BODY_BYTES_MAX:
        raise MalformedMessage(f"body of {len(body)} bytes is over {BODY_BYTES_MAX}")
    if content_type not in (SINGLE, BATCH):
        raise MalformedMessage(f"content type {content_type!r} is not CloudEvents JSON")
    try:
        parsed = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise MalformedMessage(f"not JSON: {error}") from None
    _require_writable(body, parsed)
    items = parsed if content_type == BATCH else [parsed]
    if not isinstance(items, list) or not items:
        raise MalformedMessage("a batch is a non-empty JSON array")
    return [envelope_from_json(item) for item in items]


def _require_writable(body: bytes, parsed: Any) -> None:
    """The reader goes four times as deep as the writer, which signatures and dead letters need."""
    if body.count(b"[") + body.count(b"{") <= DEPTH_FREE:
        return
    try:
        orjson.dumps(parsed)
    except TypeError:
        raise MalformedMessage("nested too deeply") from None


def envelope_from_json(fields: object) -> Envelope:
    """One envelope from parsed JSON. Raises MalformedMessage naming the attribute that is wrong."""
    if not isinstance(fields, dict):
        raise MalformedMessage("an envelope is a JSON object")
    if fields.get("specversion") != "1.0":
        raise MalformedMessage("specversion is not 1.0")
    data = fields.get("data")
    if not isinstance(data, dict):
        raise MalformedMessage("data is not a JSON object")
    required = _texts(fields, ("id", "type", "source", "time"), required=True)
    optional = _texts(fields, (*_OPTIONAL_TEXT, "expirytime", "signature"), required=False)
    expiry = optional.pop("expirytime", None)
    return Envelope(
        id=required["id"],
        type=required["type"],
        source=required["source"],
        time=_moment("time", required["time"]),
        data=data,
        expirytime=_moment("expirytime", expiry) if expiry is not None else None,
        **optional,
    )


def _texts(fields: dict[str, Any], names: Iterable[str], *, required: bool) -> dict[str, str]:
    found: dict[str, str] = {}
    for name in names:
        value = fields.get(name)
        if value is None and not required:
            continue
        if not isinstance(value, str) or not value or len(value) > 1024:
            raise MalformedMessage(f"attribute {name} is not a text of 1 to 1024 characters")
        found[name] = value
    return found


def _moment(name: str, text: str) -> datetime:
    try:
        return from_wire(text)
    except (ValueError, OverflowError):
        raise MalformedMessage(f"attribute {name} is no RFC 3339 time") from None
