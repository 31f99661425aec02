"""Keys of ticket codes are made in time: the next one is published an hour before it signs.

In: the table of keys, the database's clock, EVENTHUB_TICKET_KEY_TTL. Out: the next key when it is due.
Must stay true: one process at a time looks (whoever else does at the same moment agrees, `db.tickets.keys`); a gateway
makes the very first key itself.
"""

from db.tickets.keys import key_sealer, rotate
from workers.runtime.services import Services
from workers.runtime.sweeps import Sweeper


async def look(services: Services) -> int:
    """Rotate if it is time."""
    settings = services.settings
    sealer = key_sealer(settings.secret.get_secret_value())
    await rotate(services.database, sealer, settings.ticket_key_ttl)
    return 0


KEY_ROTATION = Sweeper("ticket keys", look, 1, idle_seconds=60.0, alone=True)
