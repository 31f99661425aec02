"""Short ways to a dead letter: put a message to the dead, find its row."""

import secrets

from contracts.messaging.publisher import Properties
from contracts.messaging.topology import DEAD_EXCHANGE
from db.messages import dead_letters
from db.messages.dead_letters import Stored
from db.mysql.database import Database
from tests.harness.command_client import CommandClient
from tests.harness.waiting import eventually
from workers.runtime.processing import QUEUE_HEADER, REASON_HEADER


def mark() -> str:
    """A message id that is nobody else's."""
    return f"m-{secrets.token_hex(8)}"


async def publish_dead(
    client: CommandClient,
    body: bytes,
    content_type: str = "",
    *,
    queue: str = "notify",
    message_id: str = "",
) -> str:
    """Publish as message processing does with a message nobody could deal with; its message id."""
    chosen = message_id or mark()
    headers = {QUEUE_HEADER: queue, REASON_HEADER: "because"}
    properties = Properties(content_type, message_id=chosen, headers=headers)  # type: ignore[arg-type]  # plain texts
    await client.publisher.publish(DEAD_EXCHANGE, queue, body, properties)
    return chosen


async def found(database: Database, message_id: str, seen: int = 1) -> Stored:
    """The row of a message once it was seen so often; ended, so that no other test meets it as waiting."""

    async def look() -> Stored | None:
        rows = await database.read(
            "SELECT id FROM dead_letters WHERE message_id = %s AND seen >= %s", message_id, seen
        )
        return await dead_letters.find(database, rows[0][0]) if rows else None

    letter = await eventually(look)
    assert letter is not None
    return letter
