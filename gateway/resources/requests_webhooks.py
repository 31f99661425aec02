"""Bodies and queries of webhooks.

Must stay true: whether a URL may be a webhook's is decided by `contracts.webhook_addresses`, not here:
it takes the setting.
"""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, WithJsonSchema

from contracts.webhook_addresses import URL_LENGTH_MAX
from contracts.webhooks import WebhookType
from gateway.http.models import Body
from gateway.resources.requests_catalogue import Patch

EventType = WebhookType | Literal["*"]


def _each_once(types: list[EventType]) -> list[EventType]:
    if len(set(types)) != len(types):
        raise ValueError("names a type twice")
    return types


Url = Annotated[
    str,
    Field(min_length=1, max_length=2 * URL_LENGTH_MAX),
    WithJsonSchema(
        {
            "type": "string",
            "format": "uri",
            "minLength": 1,
            "maxLength": URL_LENGTH_MAX,
            "examples": ["https://example.com/hooks"],
        }
    ),
]
EventTypes = Annotated[
    list[EventType],
    Field(
        min_length=1,
        max_length=16,
        examples=[["order.confirmed", "payment.late"]],
        json_schema_extra={"uniqueItems": True},
    ),
    AfterValidator(_each_once),
]


class NewWebhook(Body):
    """A receiver, and what it wants to hear. `*` stands for every type."""

    url: Url
    event_types: EventTypes


class UpdateWebhook(Patch):
    """What is to be different; what is not sent stays."""

    url: Url = ""
    event_types: EventTypes = Field(default_factory=list)
    status: Literal["ACTIVE", "DISABLED"] = "ACTIVE"
