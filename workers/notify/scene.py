"""Notify's self-test: a delivery is written down, found, tried and closed."""

import secrets
from datetime import UTC, datetime

from contracts.events import EVENTS
from db.webhooks import deliveries, endpoints
from db.webhooks.deliveries import Closing, DueDelivery, NewDelivery
from db.webhooks.endpoints import Health
from workers.runtime.self_test import NAME, Stage, made_up_id


async def scene(stage: Stage) -> None:
    """What becomes of any event: all types take one way."""
    stage.asked += EVENTS
    database, transaction = stage.services.database, stage.transaction
    owner, endpoint = stage.account("USER"), made_up_id()
    await endpoints.listeners(database, [owner.user_id])
    await endpoints.listening_holders(database, made_up_id(), void=False)
    await endpoints.targets(database, [endpoint])
    await deliveries.due_endpoints(database)
    await deliveries.due(database, endpoint, [], 1)
    new = NewDelivery(endpoint, secrets.token_hex(16), NAME, NAME, 1, "{}")
    await deliveries.add(transaction, [new])
    [[delivery_id]] = await transaction.fetch("SELECT LAST_INSERT_ID()")
    await deliveries.load(database, [delivery_id])
    delivery = DueDelivery(
        delivery_id, endpoint, new.event_id, NAME, NAME, 1, True, "{}", 0, 0, None, stage.now
    )
    began = datetime.now(UTC)
    for status, delay, code in (("PENDING", 1.0, 500), ("DELIVERED", None, 200)):
        closing = Closing(delivery, status, delay, began, 1, code, None)
        await deliveries.close(transaction, [closing])
    await endpoints.note_health(
        transaction, Health(endpoint, 0, 0.0, True, True, "https://eventhub.invalid/", None)
    )
