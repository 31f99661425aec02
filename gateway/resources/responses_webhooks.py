"""Models of what webhook calls answer. They describe, they do not serialise (see `responses`)."""

from typing import Annotated, Literal

from pydantic import Field

from contracts.webhooks import WebhookType
from gateway.http.responses import IdNumber, Moment, ResponseModel

Secret = Annotated[
    str, Field(pattern=r"^whsec_", examples=["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"])
]


class CreatedWebhook(ResponseModel):
    """A new webhook. `secret` is shown here and never again."""

    id: IdNumber
    url: str
    event_types: list[WebhookType | Literal["*"]]
    secret: Secret


class NewSecret(ResponseModel):
    """The secret that signs from now on; those before it sign beside it, each for 24 hours after it was replaced."""

    secret: Secret


class Webhook(ResponseModel):
    """A webhook. PENDING: it has not answered a ping yet, and hears nothing else.

    `disabledReason`: GONE (it answered 410), FAILING (nothing got through for three days), OWNER (switched off).
    """

    id: IdNumber
    url: str
    event_types: list[WebhookType | Literal["*"]]
    status: Literal["PENDING", "ACTIVE", "DISABLED"]
    disabled_reason: Literal["GONE", "FAILING", "OWNER"] | None
    created_at: Moment
    updated_at: Moment


class WebhookPage(ResponseModel):
    """A page of webhooks."""

    data: list[Webhook]
    next_cursor: str | None
    has_more: bool


class DeliveryResource(ResponseModel):
    """One event on its way to one webhook. `eventId` is the `webhook-id` that the receiver sees."""

    id: IdNumber
    event_id: str
    event_type: WebhookType | Literal["webhook.ping"]
    status: Literal["PENDING", "DELIVERED", "FAILED"]
    attempts: int
    last_status_code: int | None
    last_error: str | None
    next_attempt_at: Moment | None
    delivered_at: Moment | None
    created_at: Moment


class DeliveryPage(ResponseModel):
    """A page of deliveries, newest first."""

    data: list[DeliveryResource]
    next_cursor: str | None
    has_more: bool


class AttemptResource(ResponseModel):
    """One attempt. `durationMs` in milliseconds; `statusCode` null: no answer came."""

    number: int
    started_at: Moment
    duration_ms: int
    status_code: int | None
    error: str | None


class DeliveryWithAttempts(DeliveryResource):
    """A delivery and its attempts, first to last."""

    attempt_log: list[AttemptResource]
