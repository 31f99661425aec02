"""The relay's self-test: the outbox is read and cleared, a dead letter kept."""

import secrets

from db.messages import dead_letters, outbox
from db.messages.dead_letters import DeadLetter
from workers.runtime.self_test import NAME, Stage


async def scene(stage: Stage) -> None:
    """What the relay does to the database."""
    database = stage.services.database
    await outbox.lag(database)
    await outbox.pending(database, range(outbox.STREAMS), 1)
    # No row has this id.
    await outbox.published(database, [0])
    letter = DeadLetter(NAME, NAME, secrets.token_bytes(16), headers={NAME: True})
    await dead_letters.store(stage.transaction, letter)
