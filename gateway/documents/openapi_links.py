"""Where an answer leads: the calls that take an id out of it, as OpenAPI links; and what webhooks are told.

In: the model of an answer, the webhook types. Out: link objects, webhook path items.
Must stay true: each link names an operation of the table and a parameter of it (a test looks); each webhook type that
may be subscribed to, and the ping, has its item.
"""

from typing import Any, Literal

from pydantic import BaseModel, Field, create_model

from contracts.resources import EventResource, MomentJson, Order, Payment, TicketType
from contracts.shapes import Answer
from contracts.webhooks.messages import PING, WEBHOOK_TYPES
from gateway.documents.asyncapi_messages import (
    WEBHOOK_HEADERS_EXAMPLE,
    Pinged,
    story_of,
    subject_model,
)
from gateway.documents.openapi_schemas import Models
from gateway.resources.webhooks import CreatedWebhook

Schema = dict[str, Any]
TAG = "Notifications"
"""Not the tag of the calls about webhooks: generators make one file for a tag."""
_ID = "$response.body#/id"
_COMMAND_ID = "$response.header.X-Command-Id"

LINKS: dict[type[BaseModel], dict[str, str]] = {
    EventResource: {
        "showEvent": "eventId",
        "updateEvent": "eventId",
        "createTicketType": "eventId",
        "showSales": "eventId",
    },
    TicketType: {"showTicketType": "ticketTypeId", "updateTicketType": "ticketTypeId"},
    Order: {"showOrder": "orderId", "cancelOrder": "orderId"},
    Payment: {"showPayment": "paymentId", "confirmPayment": "paymentId"},
    CreatedWebhook: {"showWebhook": "webhookId", "pingWebhook": "webhookId"},
}
"""Operations that take the id of what was made, and under which name."""
_COMMAND_LINKS = ("showCommand", "streamCommand")


def links_of(model: type[BaseModel] | None) -> Schema:
    """Of a 201: what can be done with the new thing."""
    return {
        operation: {"operationId": operation, "parameters": {name: _ID}}
        for operation, name in LINKS.get(model, {}).items()  # type: ignore[arg-type]  # None has none
    }


def command_links() -> Schema:
    """Of a command that is not decided: where it is heard of."""
    return {
        operation: {"operationId": operation, "parameters": {"commandId": _COMMAND_ID}}
        for operation in _COMMAND_LINKS
    }


class WebhookBody(Answer):
    """What is posted to a webhook, whatever the type."""

    timestamp: MomentJson
    sequence: int = Field(ge=0, examples=[2])


def _body(name: str, type_: str, data: type[BaseModel]) -> type[BaseModel]:
    only: Any = Literal[type_]
    made: type[BaseModel] = create_model(
        name,
        __base__=WebhookBody,
        __doc__=f"What a webhook is told under the type `{type_}`.",
        type=(only, ...),
        data=(data, ...),
    )
    return made


BODIES: dict[str, tuple[str, type[BaseModel]]] = {
    name: (story_of(event), _body(f"{event.__name__}Webhook", name, subject_model(event)))
    for event, name in WEBHOOK_TYPES.items()
}
"""Of each webhook type: what it says, the model of its body."""
BODIES[PING] = (
    "Its owner wants to know whether the webhook answers.",
    _body("PingWebhook", PING, Pinged),
)


def webhooks(models: Models) -> Schema:
    """The path items of all webhook types."""
    return {
        name: {
            "post": {
                "operationId": "on" + model.__name__.removesuffix("Webhook"),
                "summary": summary,
                "description": "Signed after Standard Webhooks; told at least once, `webhook-id` says which it is.",
                "tags": [TAG],
                "security": [],
                "parameters": [_header(*one) for one in WEBHOOK_HEADERS_EXAMPLE.items()],
                "requestBody": {
                    "required": True,
                    "content": {"application/json": models.media(model)},
                },
                "responses": {
                    "200": {"description": "It has been heard; any 2xx says so."},
                    "410": {"description": "The receiver is gone: the webhook is disabled."},
                },
            }
        }
        for name, (summary, model) in BODIES.items()
    }


def _header(name: str, example: str) -> Schema:
    return {
        "name": name,
        "in": "header",
        "required": True,
        "schema": {"type": "string"},
        "example": example,
    }
