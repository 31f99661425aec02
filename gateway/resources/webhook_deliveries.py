"""What was sent to a webhook, over HTTP: look at it, ask for it again, try the webhook out.

In: an account's wishes. Out: rows of webhook_deliveries; the notify worker sends.
Must stay true: an account reaches the deliveries of its own webhooks only (404 otherwise); a delivery that is asked
for again keeps its id.
"""

import uuid
from datetime import UTC, datetime

from aiohttp import web

from contracts.webhooks.messages import PING, webhook_body
from contracts.webhooks.resources import (
    DeliveryResource,
    DeliveryWithAttempts,
    Endpoint,
    LoggedDelivery,
    attempt_resource,
    delivery_resource,
)
from db.webhooks import delivery_log
from db.webhooks.deliveries import NewDelivery
from gateway.http.keys import DATABASE, path_id, query
from gateway.http.models import PageQuery
from gateway.http.paging import Page, from_cursor, page
from gateway.http.problems import not_found
from gateway.http.replies import json_reply
from gateway.http.routing import SIGNED_IN, Ownership, Route, RouteAnswer
from gateway.resources.webhooks import PATH, own_webhook


class DeliveryPage(Page):
    """A page of deliveries, newest first."""

    data: list[DeliveryResource]


async def ping_webhook(request: web.Request) -> web.Response:
    """POST /api/webhooks/{webhookId}/ping."""
    webhook = await own_webhook(request)
    event_id = str(uuid.uuid4())
    text = webhook_body(PING, datetime.now(UTC), {"webhookId": webhook.id}, 0)
    new = NewDelivery(webhook.id, event_id, PING, f"ping:{event_id}", 0, text, ordered=False)
    logged = await delivery_log.ping(request.app[DATABASE], webhook.id, new)
    return _accepted(webhook, logged)


async def list_deliveries(request: web.Request) -> web.Response:
    """GET /api/webhooks/{webhookId}/deliveries."""
    webhook, wanted = await own_webhook(request), query(request, PageQuery)
    before = int(from_cursor(wanted.cursor, int)[0]) if wanted.cursor else None
    rows = await delivery_log.page(request.app[DATABASE], webhook.id, before, wanted.limit + 1)
    return json_reply(page(rows, wanted.limit, lambda row: (row.id,), delivery_resource))


async def show_delivery(request: web.Request) -> web.Response:
    """GET /api/webhooks/{webhookId}/deliveries/{deliveryId}."""
    webhook, database = await own_webhook(request), request.app[DATABASE]
    logged = await delivery_log.by_id(database, webhook.id, path_id(request, "deliveryId"))
    if logged is None:
        raise not_found("This webhook has no such delivery.")
    attempts = await delivery_log.attempts(database, logged.id)
    return json_reply(
        delivery_resource(logged) | {"attemptLog": [attempt_resource(one) for one in attempts]}
    )


async def resend_delivery(request: web.Request) -> web.Response:
    """POST /api/webhooks/{webhookId}/deliveries/{deliveryId}/resend."""
    webhook = await own_webhook(request)
    logged = await delivery_log.resend(
        request.app[DATABASE], webhook.id, path_id(request, "deliveryId")
    )
    if logged is None:
        raise not_found("This webhook has no such delivery.")
    return _accepted(webhook, logged)


def _accepted(webhook: Endpoint, logged: LoggedDelivery) -> web.Response:
    location = f"/api/webhooks/{webhook.id}/deliveries/{logged.id}"
    return json_reply(delivery_resource(logged), 202, {"Location": location})


ROUTES = (
    Route(
        method="POST",
        path=PATH + "/ping",
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
        method="GET",
        path=PATH + "/deliveries",
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
        path=PATH + "/deliveries/{deliveryId}",
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
        path=PATH + "/deliveries/{deliveryId}/resend",
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
