"""What owners see of their webhooks, of what was sent to them and of each attempt: each described once.

In: frozen rows (aware UTC times). Out: plain dicts, and the models that describe them.
Must stay true: no secret is part of any of them.
"""

from dataclasses import dataclass
from typing import Annotated, Literal

from contracts.resources import IdNumber, Moment
from contracts.shapes import Answer, AsJson, json_writer, shows
from contracts.webhooks.messages import WebhookType


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An endpoint as its owner sees it."""

    id: IdNumber
    url: str
    event_types: Annotated[tuple[str, ...], AsJson(list[WebhookType | Literal["*"]], list)]
    status: Annotated[str, AsJson(Literal["ACTIVE", "DISABLED"])]
    disabled_reason: Annotated[str, AsJson(Literal["GONE", "FAILING"])] | None
    created_at: Moment
    updated_at: Moment


@dataclass(frozen=True, slots=True)
class LoggedDelivery:
    """A delivery as its owner sees it. `last_error` is why the last attempt did not count."""

    id: IdNumber
    event_id: str
    event_type: Annotated[str, AsJson(WebhookType | Literal["webhook.ping"])]
    status: Annotated[str, AsJson(Literal["PENDING", "DELIVERED", "FAILED"])]
    attempts: int
    last_status_code: int | None
    last_error: str | None
    next_attempt_at: Moment | None
    delivered_at: Moment | None
    created_at: Moment


@dataclass(frozen=True, slots=True)
class LoggedAttempt:
    """One attempt. `duration_ms` in milliseconds; `status_code` None when no answer came."""

    number: int
    started_at: Moment
    duration_ms: int
    status_code: int | None
    error: str | None


@shows(Endpoint)
class Webhook(Answer):
    """A webhook. `disabledReason`: GONE (it answered 410) or FAILING (nothing got through for three days)."""


@shows(LoggedDelivery)
class DeliveryResource(Answer):
    """One event on its way to one webhook. `eventId` is the `webhook-id` that the receiver sees."""


@shows(LoggedAttempt)
class AttemptResource(Answer):
    """One attempt. `durationMs` in milliseconds; `statusCode` null: no answer came."""


class DeliveryWithAttempts(DeliveryResource):
    """A delivery and its attempts, first to last."""

    attempt_log: list[AttemptResource]


webhook_resource = json_writer(Endpoint)
delivery_resource = json_writer(LoggedDelivery)
attempt_resource = json_writer(LoggedAttempt)
