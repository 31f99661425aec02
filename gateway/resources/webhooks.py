"""Webhooks over HTTP: make one, see it, change it, change its secret. What is sent to them: `webhook_deliveries`.

In: an account's wishes. Out: rows of webhook_endpoints, and first pings; the notify worker sends.
Must stay true: an account reaches its own webhooks only (404 otherwise); a secret is shown once, when it is made; a URL
that must not be called is refused here with its reason, and again at each connection.
"""

from typing import Annotated, Literal

import structlog
from aiohttp import web
from pydantic import AfterValidator, Field, WithJsonSchema

from contracts.catalogue import Patch
from contracts.problems import Code, Problem
from contracts.resources import IdNumber
from contracts.shapes import Answer
from contracts.webhooks.addresses import URL_LENGTH_MAX, BadUrl, webhook_url
from contracts.webhooks.messages import WebhookType
from contracts.webhooks.resources import Endpoint, Webhook, webhook_resource
from contracts.webhooks.secrets import SecretSealer, new_secret
from db.webhooks import changes, endpoints
from db.webhooks.changes import EndpointChange
from db.webhooks.pings import PingsUsedUp
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
from gateway.http.problems import Refusal, invalid, not_found
from gateway.http.replies import json_reply, no_content
from gateway.http.routing import (
    SIGNED_IN,
    Ownership,
    Route,
    RouteAnswer,
)
from gateway.submission.keyed_writes import KEYED_WRITES, Keep, WriteAnswer

ENDPOINTS_MAX = 20
"""Webhooks of one account."""

log = structlog.get_logger(__name__)


EventType = Literal[WebhookType, "*"]
"""One list of words, not a union of two: a wrong word is one error."""


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


class UpdateWebhook(Patch, Body):
    """What is to be different; what is not sent stays."""

    url: Url = ""
    event_types: EventTypes = Field(default_factory=list)
    status: Literal["ACTIVE", "DISABLED"] = "ACTIVE"


Secret = Annotated[
    str, Field(pattern=r"^whsec_", examples=["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"])
]


class CreatedWebhook(Answer):
    """A new webhook. `secret` is shown here and never again."""

    id: IdNumber
    url: str
    event_types: list[EventType]
    secret: Secret


class NewSecret(Answer):
    """The secret that signs from now on; those before it sign beside it, each for 24 hours after it was replaced."""

    secret: Secret


class WebhookPage(Page):
    """A page of webhooks."""

    data: list[Webhook]


async def create_webhook(request: web.Request) -> web.Response:
    """POST /api/webhooks."""
    wanted, user_id = body(request, NewWebhook), principal(request).user_id
    url = _checked_url(request, wanted.url)
    secret = new_secret()
    sealed = _sealer(request).seal(secret, user_id)

    def answer(webhook_id: int) -> WriteAnswer:
        made = {"id": webhook_id, "url": url, "eventTypes": wanted.event_types, "secret": secret}
        return WriteAnswer(201, made, f"/api/webhooks/{webhook_id}")

    async def write(keep: Keep) -> WriteAnswer:
        try:
            webhook_id = await changes.create(
                request.app[DATABASE],
                user_id,
                url,
                wanted.event_types,
                sealed,
                limit=ENDPOINTS_MAX,
                note=lambda transaction, id_: keep(transaction, answer(id_)),
            )
        except changes.TooManyEndpoints:
            raise invalid(
                f"An account has at most {ENDPOINTS_MAX} webhooks; delete one first."
            ) from None
        except PingsUsedUp as error:
            raise no_more_pings(error) from None
        log.info("webhook.created", webhook_id=webhook_id, user_id=user_id)
        return answer(webhook_id)

    asked = wanted.model_dump(by_alias=True)
    return await request.app[KEYED_WRITES].once(request, "CreateWebhook", asked, write)


async def update_webhook(request: web.Request) -> web.Response:
    """PATCH /api/webhooks/{webhookId}."""
    wanted, user_id = body(request, UpdateWebhook), principal(request).user_id
    said = wanted.model_fields_set
    change = EndpointChange(
        _checked_url(request, wanted.url) if "url" in said else None,
        wanted.event_types if "event_types" in said else None,
        wanted.status if "status" in said else None,
    )
    webhook_id = path_id(request, "webhookId")
    try:
        if not await changes.change(request.app[DATABASE], user_id, webhook_id, change):
            raise _no_webhook()
    except PingsUsedUp as error:
        raise no_more_pings(error) from None
    log.info("webhook.changed", webhook_id=webhook_id, user_id=user_id)
    return json_reply(webhook_resource(await own_webhook(request)))


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
    if not await changes.delete(request.app[DATABASE], user_id, webhook_id):
        raise _no_webhook()
    log.info("webhook.deleted", webhook_id=webhook_id, user_id=user_id)
    return no_content()


async def rotate_secret(request: web.Request) -> web.Response:
    """POST /api/webhooks/{webhookId}/rotate-secret."""
    webhook_id, user_id = path_id(request, "webhookId"), principal(request).user_id
    secret = new_secret()
    sealed, answer = _sealer(request).seal(secret, user_id), WriteAnswer(200, {"secret": secret})

    async def write(keep: Keep) -> WriteAnswer:
        database = request.app[DATABASE]
        try:
            found = await changes.rotate(
                database, user_id, webhook_id, sealed, lambda work, _: keep(work, answer)
            )
        except changes.TooManySecrets as error:
            detail = f"{changes.OLD_SECRETS_MAX} secrets that were replaced still sign; use one."
            raise _limited(detail, error.retry_after) from None
        if not found:
            raise _no_webhook()
        log.info("webhook.rotated", webhook_id=webhook_id, user_id=user_id)
        return answer

    return await request.app[KEYED_WRITES].once(request, "RotateWebhookSecret", {}, write)


def _checked_url(request: web.Request, text: str) -> str:
    try:
        return webhook_url(text, allow_private=request.app[SETTINGS].webhook_allow_private)
    except BadUrl as error:
        raise invalid("The URL cannot be a webhook's.", ("/url", str(error))) from None


def _limited(detail: str, retry_after: int) -> Refusal:
    return Refusal(Problem(Code.RATE_LIMITED, detail, retry_after=retry_after))


def no_more_pings(error: PingsUsedUp) -> Refusal:
    """429 until the next ping may go."""
    return _limited("A webhook is pinged at most ten times an hour; wait.", error.retry_after)


def _sealer(request: web.Request) -> SecretSealer:
    return SecretSealer(request.app[SETTINGS].secret.get_secret_value())


async def own_webhook(request: web.Request) -> Endpoint:
    """The caller's webhook of this path. Raises Refusal (404)."""
    webhook = await endpoints.by_id(
        request.app[DATABASE], principal(request).user_id, path_id(request, "webhookId")
    )
    if webhook is None:
        raise _no_webhook()
    return webhook


def _no_webhook() -> Exception:
    return not_found("There is no such webhook, or it is not yours.")


PATH = "/api/webhooks/{webhookId}"
"""One webhook."""
_RULES = (
    "A user hears about their own orders and payments, an organizer about their events', an admin about all. "
    "The URL must lead to a public address; it is checked at every connection. A new webhook is PENDING: a ping is "
    "sent, and nothing else before that (or a later one) was answered with 2xx."
)
_KEY = ("Idempotency-Key",)
_KEYED = frozenset({Code.IDEMPOTENCY_MISMATCH})

ROUTES = (
    Route(
        method="POST",
        path="/api/webhooks",
        operation_id="createWebhook",
        summary="Make a webhook",
        handler=create_webhook,
        access=SIGNED_IN,
        answers={
            201: RouteAnswer(
                CreatedWebhook,
                "The webhook and its secret.",
                ("Location", "Idempotent-Replayed"),
            )
        },
        tag="Webhooks",
        ownership=Ownership.SELF,
        body=NewWebhook,
        description=_RULES,
        request_headers=_KEY,
        problems=_KEYED,
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
        method="PATCH",
        path=PATH,
        operation_id="updateWebhook",
        summary="Change a webhook, switch it off or on",
        handler=update_webhook,
        access=SIGNED_IN,
        answers={200: RouteAnswer(Webhook, "The webhook as it is now.")},
        tag="Webhooks",
        ownership=Ownership.OWNER,
        body=UpdateWebhook,
        description="A merge patch. Another URL has to answer a ping first; so has one that answered 410.",
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
        answers={200: RouteAnswer(NewSecret, "The new secret.", ("Idempotent-Replayed",))},
        tag="Webhooks",
        ownership=Ownership.OWNER,
        description="Every secret signs for 24 hours after it was replaced, however often: a message carries a "
        "signature of each.",
        request_headers=_KEY,
        problems=_KEYED,
    ),
)
