"""A provider's message becomes a report. Pure: no I/O, no clock.

In: what the broker delivered (properties and body). Out: a `RateReport`; `Faulty` for what can be read but not used;
`Unreadable` for what holds no JSON object at all.
Must stay true: the provider is who the broker says it is (`user_id`), never who the body says; every text that
comes out can be stored and logged; nothing but `Unreadable` is raised, whatever the bytes are.

A readable message ends in the quarantine, an unreadable one (wrong content type, over 64 KiB, no JSON object) in the
dead letters: there is no asset, rate or time to show an admin. Its provider finds either among its reports.

Source of the envelope: CloudEvents JSON Event Format 1.0.2, sections 3.1 (`data`, `data_base64`).
"""

import base64
import json
import re
from dataclasses import dataclass, replace
from typing import Any

from contracts.rates import PROVIDER_PREFIX, Reason
from contracts.standards.text import BYTE_ORDER_MARK
from workers.quote.judging import Faulty, RateReport

BODY_BYTES_MAX = 64 * 1024
JSON = "application/json"
CLOUDEVENT = "application/cloudevents+json"
NAME = re.compile(r"(?!account-)[a-z][a-z0-9-]{1,31}")
"""A provider's name: one word of a routing key. `account-…` are those of accounts without one."""
TEXT_MAX = 500


class Unreadable(ValueError):
    """There is no report in these bytes; the text says why (it becomes the dead letter's reason)."""


@dataclass(frozen=True, slots=True)
class Sent:
    """What the broker delivered. `user_id`: checked by the broker when it is set, and only then."""

    body: bytes
    content_type: str | None
    routing_key: str
    user_id: str | None
    message_id: str | None


def provider_of(sent: Sent) -> str | None:
    """The provider whom the broker vouches for, None when it vouches for nobody."""
    return sent.user_id if sent.user_id and NAME.fullmatch(sent.user_id) else None


def claimed_by(sent: Sent) -> str:
    """The source that a message belongs to: whom the broker vouches for, else whose routing key it has."""
    words = sent.routing_key.split(".")
    claimed = words[1] if len(words) == 3 and NAME.fullmatch(words[1]) else "unknown"
    return PROVIDER_PREFIX + (provider_of(sent) or claimed)


def open_report(sent: Sent) -> tuple[Sent, RateReport | Faulty]:
    """What a provider sent, and the message with the id that counts. Raises Unreadable."""
    fields, event_id = _data(sent)
    if not sent.message_id and event_id:
        sent = replace(sent, message_id=event_id)
    report = RateReport(
        source=claimed_by(sent),
        asset=_text(fields.get("asset")),
        currency=_text(fields.get("currency")),
        rate=_text(fields.get("rate")),
        observed_at=_text(fields.get("observedAt")),
        message_id=_text(sent.message_id) or None,
    )
    fault = _fault(sent, fields, provider_of(sent), sent.routing_key.split("."))
    return sent, Faulty(report, *fault) if fault else report


def _fault(
    sent: Sent, fields: dict[str, Any], provider: str | None, words: list[str]
) -> tuple[Reason, str] | None:
    if provider is None:
        return Reason.FORGED, "user_id is missing or no provider's"
    if words[:1] != ["rates"] or words[1:2] != [provider] or len(words) != 3:
        return Reason.FORGED, f"the routing key is not rates.{provider}.<asset>"
    if not sent.message_id:
        return Reason.MALFORMED, "message_id is missing"
    for name in ("asset", "currency", "rate", "observedAt"):
        if not isinstance(fields.get(name), str):
            return Reason.MALFORMED, f"{name} is missing or no text"
    if words[2] != fields["asset"]:
        return Reason.MALFORMED, "the routing key names another asset"
    return None


def _data(sent: Sent) -> tuple[dict[str, Any], str | None]:
    """The report in a message, and the CloudEvent's id if it is one."""
    if len(sent.body) > BODY_BYTES_MAX:
        raise Unreadable(f"body of {len(sent.body)} bytes is over {BODY_BYTES_MAX}")
    kind = (sent.content_type or JSON).partition(";")[0].strip().lower()
    if kind not in (JSON, CLOUDEVENT):
        raise Unreadable(f"content type {_text(kind)!r} is neither {JSON} nor {CLOUDEVENT}")
    parsed = _parse(sent.body)
    event_id = None
    # An envelope is known by its one required version, whatever the content type calls it.
    if isinstance(parsed, dict) and (kind == CLOUDEVENT or "specversion" in parsed):
        event_id = parsed.get("id")
        parsed = _enveloped(parsed)
    if not isinstance(parsed, dict):
        raise Unreadable("there is no JSON object with a report")
    return parsed, _text(event_id) if isinstance(event_id, str) else None


def _enveloped(event: dict[str, Any]) -> Any:
    """What an envelope carries: `data`, or JSON in `data_base64`."""
    encoded = event.get("data_base64")
    if encoded is None:
        return event.get("data")
    if event.get("data") is not None:
        raise Unreadable("an envelope has data or data_base64, never both")
    if not isinstance(encoded, str):
        raise Unreadable("data_base64 is no text")
    try:
        return _parse(base64.b64decode(encoded, validate=True))
    except ValueError as error:
        raise Unreadable(f"data_base64 holds no JSON in base64: {str(error)[:200]}") from None


def _parse(body: bytes) -> Any:
    # Numbers stay what they were written as: no float, no limit of digits; NaN is a word like any other here.
    try:
        return json.loads(
            body.removeprefix(BYTE_ORDER_MARK).decode(),
            parse_float=_JsonNumber,
            parse_int=_JsonNumber,
            parse_constant=_JsonNumber,
        )
    except (ValueError, RecursionError) as error:
        raise Unreadable(f"not JSON: {str(error)[:200]}") from None


class _JsonNumber:
    """A JSON number, kept as written; it is no text, and never becomes a rate."""

    def __init__(self, written: str) -> None:
        self.written = written


def _text(value: object) -> str:
    if isinstance(value, _JsonNumber):
        value = value.written
    if value is None:
        return ""
    text = value if isinstance(value, str) else f"({type(value).__name__})"
    return text[:TEXT_MAX].encode("utf-8", "replace").decode()
