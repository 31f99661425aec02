"""Which servers something ran on, as they say themselves.

In: their URLs. Out: a version each. Must stay true: no name, address or account in it.
"""

import aio_pika

from db.mysql.database import Database
from db.redis.clients import quick_client


async def server_versions(mysql_url: str, amqp_url: str, redis_url: str) -> dict[str, str]:
    """Versions of database, broker and Redis. Raises their errors."""
    return {
        "database": await _database_version(mysql_url),
        "rabbitmq": await _broker_version(amqp_url),
        "redis": await _redis_version(redis_url),
    }


async def _database_version(url: str) -> str:
    database = await Database.connect(url, size=1)
    try:
        [[version]] = await database.read("SELECT VERSION()")
    finally:
        await database.close()
    return str(version)


async def _broker_version(url: str) -> str:
    # What it greets with: its management API is not there yet when it has just started.
    async with await aio_pika.connect(url) as connection:
        assert connection.transport is not None, "it is open"
        greeting = connection.transport.connection.server_properties
    return str(greeting["version"])


async def _redis_version(url: str) -> str:
    redis = quick_client(url)
    try:
        info = await redis.info("server")
    finally:
        await redis.aclose()
    return str(info["redis_version"])
