"""Webhooks over HTTP: make one, see it, change its secret, delete it. What was sent stands in `webhook_deliveries`.

In: an account's wishes. Out: rows of webhook_endpoints; the notify worker sends.
Must stay true: an account reaches its own webhooks only (404 otherwise); a secret is shown once, when it is made; a URL
that must not be called is refused here with its reason, and again at each connection.
"""

from typing import Annotated, Literal

import structlog
from aiohttp import web
from pydantic import AfterValidator, Field, WithJsonSchema

from contracts.resources import IdNumber
from contracts.shapes import Answer
from contracts.webhooks.addresses import URL_LENGTH_MAX, BadUrl, webhook_url
from contracts.webhooks.messages import WebhookType
from contracts.webhooks.resources import Endpoint, Webhook, webhook_resource
from contracts.webhooks.secrets import SecretSealer, new_secret
from db.webhooks import endpoints
from gateway.http.keys import (
    DATABASE,
    SETTINGS,
    body,
    path_id,
    principal,
    query,
)
from gateway.http.models import Body, PageQuery
from gateway.http.paging import Page, from_cursor, page
from gateway.http.problems import invalid, not_found
from gateway.http.replies import json_reply, no_content
from gateway.http.routing import (
    SIGNED_IN,
    Ownership,
    Route,
    RouteAnswer,
)

ENDPOINTS_MAX = 20
"""Webhooks of one account."""

log = structlog.get_logger(__name__)


EventType = WebhookType | Literal["*"]


def _each_once(types: list[EventType]) -> list[EventType]:
    if len(set(types)) != len(types):
        raise ValueError("names a type twice")
    return types


class NewWebhook(Body):
    """A receiver, and what it wants to hear. `*` stands for every type."""

    url: Annotated[
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
    event_types: Annotated[
        list[EventType],
        Field(
            min_length=1,
            max_length=16,
            examples=[["order.confirmed", "payment.late"]],
            json_schema_extra={"uniqueItems": True},
        ),
        AfterValidator(_each_once),
    ]


Secret = Annotated[
    str, Field(pattern=r"^whsec_", examples=["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"])
]


class CreatedWebhook(Answer):
    """A new webhook. `secret` is shown here and never again."""

    id: IdNumber
    url: str
    event_types: list[WebhookType | Literal["*"]]
    secret: Secret


class NewSecret(Answer):
    """The secret that signs from now on; the one before it signs beside it for 24 hours."""

    secret: Secret


class WebhookPage(Page):
    """A page of webhooks."""

    data: list[Webhook]


async def create_webhook(request: web.Request) -> web.Response:
    """POST /api/webhooks."""
    wanted, user_id = body(request, NewWebhook), principal(request).user_id
    try:
        url = webhook_url(wanted.url, allow_private=request.app[SETTINGS].webhook_allow_private)
    except BadUrl as error:
        raise invalid("The URL cannot be a webhook's.", ("/url", str(error))) from None
    secret = new_secret()
    sealed = _sealer(request).seal(secret, user_id)
    try:
        webhook_id = await endpoints.create(
            request.app[DATABASE], user_id, url, wanted.event_types, sealed, limit=ENDPOINTS_MAX
        )
    except endpoints.TooManyEndpoints:
        raise invalid(
            f"An account has at most {ENDPOINTS_MAX} webhooks; delete one first."
        ) from None
    log.info("webhook.created", webhook_id=webhook_id, user_id=user_id)
    created = {"id": webhook_id, "url": url, "eventTypes": wanted.event_types, "secret": secret}
    return json_reply(created, 201, {"Location": f"/api/webhooks/{webhook_id}"})


async def list_webhooks(request: web.Request) -> web.Response:
    """GET /api/webhooks."""
    wanted = query(request, PageQuery)
    after = int(from_cursor(wanted.cursor, int)[0]) if wanted.cursor else 0
    rows = await endpoints.page(
        request.app[DATABASE], principal(request).user_id, after, wanted.limit + 1
    )
    return json_reply(page(rows, wanted.limit, lambda row: (row.id,), webhook_resource))


async def show_webhook(request: web.Request) -> web.Response:
    """GET /api/webhooks/{webhookId}."""
    return json_reply(webhook_resource(await own_webhook(request)))


async def delete_webhook(request: web.Request) -> web.Response:
    """DELETE /api/webhooks/{webhookId}."""
    webhook_id, user_id = path_id(request, "webhookId"), principal(request).user_id
    if not await endpoints.delete(request.app[DATABASE], user_id, webhook_id):
        raise _no_webhook()
    log.info("webhook.deleted", webhook_id=webhook_id, user_id=user_id)
    return no_content()


async def rotate_secret(request: web.Request) -> web.Response:
    """POST /api/webhooks/{webhookId}/rotate-secret."""
    webhook_id, user_id = path_id(request, "webhookId"), principal(request).user_id
    secret = new_secret()
    sealed = _sealer(request).seal(secret, user_id)
    if not await endpoints.rotate(request.app[DATABASE], user_id, webhook_id, sealed):
        raise _no_webhook()
    log.info("webhook.rotated", webhook_id=webhook_id, user_id=user_id)
    return json_reply({"secret": secret})


def _sealer(request: web.Request) -> SecretSealer:
    return SecretSealer(request.app[SETTINGS].secret.get_secret_value())


async def own_webhook(request: web.Request) -> Endpoint:
    """The caller's webhook that the address names. Raises Refusal (404)."""
    webhook = await endpoints.by_id(
        request.app[DATABASE], principal(request).user_id, path_id(request, "webhookId")
    )
    if webhook is None:
        raise _no_webhook()
    return webhook


def _no_webhook() -> Exception:
    return not_found("There is no such webhook, or it is not yours.")


PATH = "/api/webhooks/{webhookId}"
_RULES = (
    "A user hears about their own orders and payments, an organizer about their events', an admin about all. "
    "The URL must lead to a public address; it is checked at every connection."
)

ROUTES = (
    Route(
        method="POST",
        path="/api/webhooks",
        operation_id="createWebhook",
        summary="Make a webhook",
        handler=create_webhook,
        access=SIGNED_IN,
        answers={201: RouteAnswer(CreatedWebhook, "The webhook and its secret.", ("Location",))},
        tag="Webhooks",
        ownership=Ownership.SELF,
        body=NewWebhook,
        description=_RULES,
    ),
    Route(
        method="GET",
        path="/api/webhooks",
        operation_id="listWebhooks",
        summary="Your webhooks",
        handler=list_webhooks,
        access=SIGNED_IN,
        answers={200: RouteAnswer(WebhookPage, "A page of webhooks by rising id.")},
        tag="Webhooks",
        ownership=Ownership.SELF,
        query=PageQuery,
    ),
    Route(
        method="GET",
        path=PATH,
        operation_id="showWebhook",
        summary="A webhook",
        handler=show_webhook,
        access=SIGNED_IN,
        answers={200: RouteAnswer(Webhook, "The webhook.")},
        tag="Webhooks",
        ownership=Ownership.OWNER,
    ),
    Route(
        method="DELETE",
        path=PATH,
        operation_id="deleteWebhook",
        summary="Delete a webhook",
        handler=delete_webhook,
        access=SIGNED_IN,
        answers={204: RouteAnswer(None, "Gone, with what was still on its way.")},
        tag="Webhooks",
        ownership=Ownership.OWNER,
    ),
    Route(
        method="POST",
        path=PATH + "/rotate-secret",
        operation_id="rotateWebhookSecret",
        summary="Change a webhook's secret",
        handler=rotate_secret,
        access=SIGNED_IN,
        answers={200: RouteAnswer(NewSecret, "The new secret.")},
        tag="Webhooks",
        ownership=Ownership.OWNER,
        description="For 24 hours each message carries two signatures, of the new secret and of the old.",
    ),
)
