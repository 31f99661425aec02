"""Webhooks over HTTP: make one, see it, try it, change its secret, look what was sent, ask for it again.

In: an account's wishes. Out: rows of webhook_endpoints and webhook_deliveries; the notify worker sends.
Must stay true: an account reaches its own webhooks only (404 otherwise); a secret is shown once, when it is made; a URL
that must not be called is refused here with its reason, and again at each connection.
"""

import uuid
from datetime import UTC, datetime
from typing import Any

import structlog
from aiohttp import web

from contracts.runtime.times import to_wire
from contracts.webhook_addresses import BadUrl, webhook_url
from contracts.webhook_secrets import SecretSealer, new_secret
from contracts.webhooks import PING, webhook_body
from db.webhooks import delivery_log, endpoints
from db.webhooks.deliveries import NewDelivery
from db.webhooks.delivery_log import LoggedAttempt, LoggedDelivery
from db.webhooks.endpoints import Endpoint
from gateway.http.keys import (
    DATABASE,
    SETTINGS,
    body,
    path_id,
    principal,
    query,
)
from gateway.http.models import PageQuery
from gateway.http.paging import from_cursor, page
from gateway.http.problems import invalid, not_found
from gateway.http.replies import json_reply, no_content
from gateway.http.routing import (
    SIGNED_IN,
    Ownership,
    Route,
    RouteAnswer,
)
from gateway.resources.requests_webhooks import NewWebhook
from gateway.resources.responses_webhooks import (
    CreatedWebhook,
    DeliveryPage,
    DeliveryResource,
    DeliveryWithAttempts,
    NewSecret,
    Webhook,
    WebhookPage,
)

ENDPOINTS_MAX = 20
"""Webhooks of one account."""

log = structlog.get_logger(__name__)


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
    return json_reply(page(rows, wanted.limit, lambda row: (row.id,), _webhook))


async def show_webhook(request: web.Request) -> web.Response:
    """GET /api/webhooks/{webhookId}."""
    return json_reply(_webhook(await _own(request)))


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


async def ping_webhook(request: web.Request) -> web.Response:
    """POST /api/webhooks/{webhookId}/ping."""
    webhook = await _own(request)
    event_id = str(uuid.uuid4())
    text = webhook_body(PING, datetime.now(UTC), {"webhookId": webhook.id}, 0)
    new = NewDelivery(webhook.id, event_id, PING, f"ping:{event_id}", 0, text, ordered=False)
    logged = await delivery_log.ping(request.app[DATABASE], webhook.id, new)
    return _accepted(webhook, logged)


async def list_deliveries(request: web.Request) -> web.Response:
    """GET /api/webhooks/{webhookId}/deliveries."""
    webhook, wanted = await _own(request), query(request, PageQuery)
    before = int(from_cursor(wanted.cursor, int)[0]) if wanted.cursor else None
    rows = await delivery_log.page(request.app[DATABASE], webhook.id, before, wanted.limit + 1)
    return json_reply(page(rows, wanted.limit, lambda row: (row.id,), _delivery))


async def show_delivery(request: web.Request) -> web.Response:
    """GET /api/webhooks/{webhookId}/deliveries/{deliveryId}."""
    webhook, database = await _own(request), request.app[DATABASE]
    logged = await delivery_log.by_id(database, webhook.id, path_id(request, "deliveryId"))
    if logged is None:
        raise not_found("This webhook has no such delivery.")
    attempts = await delivery_log.attempts(database, logged.id)
    return json_reply(_delivery(logged) | {"attemptLog": [_attempt(one) for one in attempts]})


async def resend_delivery(request: web.Request) -> web.Response:
    """POST /api/webhooks/{webhookId}/deliveries/{deliveryId}/resend."""
    webhook = await _own(request)
    logged = await delivery_log.resend(
        request.app[DATABASE], webhook.id, path_id(request, "deliveryId")
    )
    if logged is None:
        raise not_found("This webhook has no such delivery.")
    return _accepted(webhook, logged)


def _sealer(request: web.Request) -> SecretSealer:
    return SecretSealer(request.app[SETTINGS].secret.get_secret_value())


async def _own(request: web.Request) -> Endpoint:
    webhook = await endpoints.by_id(
        request.app[DATABASE], principal(request).user_id, path_id(request, "webhookId")
    )
    if webhook is None:
        raise _no_webhook()
    return webhook


def _no_webhook() -> Exception:
    return not_found("There is no such webhook, or it is not yours.")


def _accepted(webhook: Endpoint, logged: LoggedDelivery) -> web.Response:
    location = f"/api/webhooks/{webhook.id}/deliveries/{logged.id}"
    return json_reply(_delivery(logged), 202, {"Location": location})


def _webhook(row: Endpoint) -> dict[str, Any]:
    return {
        "id": row.id,
        "url": row.url,
        "eventTypes": list(row.event_types),
        "status": row.status,
        "disabledReason": row.disabled_reason,
        "createdAt": to_wire(row.created_at),
        "updatedAt": to_wire(row.updated_at),
    }


def _delivery(row: LoggedDelivery) -> dict[str, Any]:
    return {
        "id": row.id,
        "eventId": row.event_id,
        "eventType": row.event_type,
        "status": row.status,
        "attempts": row.attempts,
        "lastStatusCode": row.status_code,
        "lastError": row.error,
        "nextAttemptAt": _moment(row.next_attempt_at),
        "deliveredAt": _moment(row.delivered_at),
        "createdAt": to_wire(row.created_at),
    }


def _attempt(row: LoggedAttempt) -> dict[str, Any]:
    return {
        "number": row.number,
        "startedAt": to_wire(row.started_at),
        "durationMs": row.duration_ms,
        "statusCode": row.status_code,
        "error": row.error,
    }


def _moment(moment: datetime | None) -> str | None:
    return to_wire(moment) if moment is not None else None


_PATH = "/api/webhooks/{webhookId}"
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
        path=_PATH,
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
        path=_PATH,
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
        path=_PATH + "/ping",
        operation_id="pingWebhook",
        summary="Send a webhook.ping",
        handler=ping_webhook,
        access=SIGNED_IN,
        answers={202: RouteAnswer(DeliveryResource, "On its way; see Location.", ("Location",))},
        tag="Webhooks",
        ownership=Ownership.OWNER,
        description="Tried once. A disabled webhook that answers it with 2xx is active again.",
    ),
    Route(
        method="POST",
        path=_PATH + "/rotate-secret",
        operation_id="rotateWebhookSecret",
        summary="Change a webhook's secret",
        handler=rotate_secret,
        access=SIGNED_IN,
        answers={200: RouteAnswer(NewSecret, "The new secret.")},
        tag="Webhooks",
        ownership=Ownership.OWNER,
        description="For 24 hours each message carries two signatures, of the new secret and of the old.",
    ),
    Route(
        method="GET",
        path=_PATH + "/deliveries",
        operation_id="listDeliveries",
        summary="What was sent to a webhook",
        handler=list_deliveries,
        access=SIGNED_IN,
        answers={200: RouteAnswer(DeliveryPage, "A page of deliveries, newest first.")},
        tag="Webhooks",
        ownership=Ownership.OWNER,
        query=PageQuery,
    ),
    Route(
        method="GET",
        path=_PATH + "/deliveries/{deliveryId}",
        operation_id="showDelivery",
        summary="A delivery and its attempts",
        handler=show_delivery,
        access=SIGNED_IN,
        answers={200: RouteAnswer(DeliveryWithAttempts, "The delivery.")},
        tag="Webhooks",
        ownership=Ownership.OWNER,
    ),
    Route(
        method="POST",
        path=_PATH + "/deliveries/{deliveryId}/resend",
        operation_id="resendDelivery",
        summary="Send a delivery again",
        handler=resend_delivery,
        access=SIGNED_IN,
        answers={
            202: RouteAnswer(
                DeliveryResource, "On its way, under the same webhook-id.", ("Location",)
            )
        },
        tag="Webhooks",
        ownership=Ownership.OWNER,
    ),
)
