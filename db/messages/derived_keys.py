"""Keys that stay the same while master secrets come and go. All SQL of `derived_keys`.

In: a purpose and the master secrets of the settings. Out: the deployment's key for that purpose.
Must stay true: there is one key per purpose for ever: the first process that asks derives it from the oldest master
secret that it was given (which is what every release before this table derived it from), all others read it. It tells
nothing of the secret, and by itself it opens and signs nothing.
"""

from contracts.messaging.signing import derived_keys
from db.mysql.database import Database


async def derived_key(database: Database, secret: str, purpose: str) -> bytes:
    """The key for this purpose, kept from now on if it was not."""
    oldest = derived_keys(secret, purpose)[-1]
    read = "SELECT derived FROM derived_keys WHERE purpose = %s"
    if not (rows := await database.read(read, purpose)):
        await database.write(
            "INSERT IGNORE INTO derived_keys (purpose, derived, created_at) "
            "VALUES (%s, %s, UTC_TIMESTAMP(6))",
            purpose,
            oldest,
        )
        rows = await database.read(read, purpose)
    return bytes(rows[0][0])
