"""Which servers something ran on, as they say themselves.

In: their URLs. Out: a version each. Must stay true: no name, address or account in it.
"""

from urllib.parse import unquote, urlsplit, urlunsplit

import aiohttp

from db.mysql import Database
from db.redis import quick_client


async def server_versions(
    mysql_url: str, redis_url: str, management_url: str | None
) -> dict[str, str]:
    """Versions of database, Redis and broker (without its management API: unknown). Raises their errors."""
    database = await Database.connect(mysql_url, size=1)
    redis = quick_client(redis_url)
    try:
        mysql = (await database.read("SELECT VERSION()"))[0][0]
        info = await redis.info("server")
    finally:
        await database.close()
        await redis.aclose()
    versions = {"database": str(mysql), "redis": str(info["redis_version"])}
    if management_url:
        versions["rabbitmq"] = await _broker_version(management_url)
    return versions


async def _broker_version(url: str) -> str:
    parts = urlsplit(url)
    account = aiohttp.BasicAuth(unquote(parts.username or ""), unquote(parts.password or ""))
    bare = urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
    async with (
        aiohttp.ClientSession(auth=account) as session,
        session.get(f"{bare}/api/overview") as answer,
    ):
        return str((await answer.json())["rabbitmq_version"])
