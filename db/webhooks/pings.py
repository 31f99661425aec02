"""Pings: how a receiver is asked whether it agrees, and how often it may be asked.

In: an endpoint and its owner. Out: a delivery of type `webhook.ping`, or `PingsUsedUp`.
Must stay true: in no hour an endpoint is pinged more than ten times, whoever asks and for whatever reason (it was made,
its URL changed, its owner tries it out, a ping is sent again); nor do an account's endpoints, those it has deleted
since included, get more than sixty: making webhooks in a loop is no cannon.
"""

import uuid

from contracts.runtime.times import to_sql
from contracts.webhooks.messages import PING, webhook_body
from db.mysql.database import Transaction
from db.webhooks.deliveries import NewDelivery, add

PINGS_PER_HOUR = 10
PINGS_OF_ACCOUNT_PER_HOUR = 60


class PingsUsedUp(Exception):
    """The hour's pings are used up. `retry_after`: seconds until the next one may go."""

    def __init__(self, retry_after: int) -> None:
        super().__init__(retry_after)
        self.retry_after = max(1, retry_after)


async def lock_account(transaction: Transaction, user_id: int) -> None:
    """The account's row orders its requests: two at once cannot both be the last allowed one."""
    await transaction.fetch("SELECT id FROM users WHERE id = %s FOR UPDATE", user_id)


async def reserve_ping(transaction: Transaction, user_id: int, endpoint_id: int) -> None:
    """Count one ping. Raises PingsUsedUp."""
    await lock_account(transaction, user_id)
    rows = await transaction.fetch(
        "SELECT endpoint_id, "
        "TIMESTAMPDIFF(SECOND, UTC_TIMESTAMP(6), created_at + INTERVAL 1 HOUR) + 1 "
        "FROM webhook_pings WHERE user_id = %s AND created_at > UTC_TIMESTAMP(6) - INTERVAL 1 HOUR "
        "ORDER BY created_at, id",
        user_id,
    )
    of_account = [left for _, left in rows]
    of_endpoint = [left for endpoint, left in rows if endpoint == endpoint_id]
    for counted, most in ((of_endpoint, PINGS_PER_HOUR), (of_account, PINGS_OF_ACCOUNT_PER_HOUR)):
        if len(counted) >= most:
            raise PingsUsedUp(int(counted[-most]))
    at = to_sql(await transaction.now())
    columns = ("user_id", "endpoint_id", "created_at")
    await transaction.insert("webhook_pings", columns, [(user_id, endpoint_id, at)])


async def add_ping(transaction: Transaction, endpoint_id: int) -> NewDelivery:
    """Write a ping down, due before all other deliveries."""
    event_id = str(uuid.uuid4())
    text = webhook_body(PING, await transaction.now(), {"webhookId": endpoint_id}, 0)
    new = NewDelivery(endpoint_id, event_id, PING, f"ping:{event_id}", 0, text, ordered=False)
    await add(transaction, [new])
    return new
