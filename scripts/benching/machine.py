"""The machine and the servers that a figure was measured on.

In: the running system. Out: plain JSON. Must stay true: no name, address or account in it.
"""

import base64
import os
import platform
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit, urlunsplit

import aiohttp

from contracts.times import to_wire
from db.mysql import Database
from db.redis import quick_client
from scripts.benching.system import System


def machine() -> dict[str, Any]:
    """Cores, model, memory, kernel, Python, and how busy it was before."""
    model = [
        line.partition(":")[2].strip()
        for line in Path("/proc/cpuinfo").read_text().splitlines()
        if line.startswith("model name")
    ]
    memory = Path("/proc/meminfo").read_text().split()[1]
    return {
        "cores": len(os.sched_getaffinity(0)),
        "model": model[0] if model else platform.machine(),
        "memoryGiB": round(int(memory) / 1024**2, 1),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "loadBefore": round(os.getloadavg()[0], 2),
    }


async def heading(bench: str, system: System) -> dict[str, Any]:
    """What every result begins with: the bench, when, on what machine and servers."""
    return {
        "bench": bench,
        "at": to_wire(datetime.now(UTC)),
        "machine": machine(),
        "servers": await server_versions(system),
    }


async def server_versions(system: System) -> dict[str, str]:
    """Versions of database, broker and Redis, as they say themselves."""
    database = await Database.connect(system.mysql_url, size=1)
    redis = quick_client(system.redis_url)
    try:
        mysql = (await database.read("SELECT VERSION()"))[0][0]
        info = await redis.info("server")
    finally:
        await database.close()
        await redis.aclose()
    versions = {"database": str(mysql), "redis": str(info["redis_version"])}
    if system.amqp_management_url:
        versions["rabbitmq"] = await _broker_version(system.amqp_management_url)
    return versions


async def _broker_version(url: str) -> str:
    parts = urlsplit(url)
    account = f"{unquote(parts.username or '')}:{unquote(parts.password or '')}"
    headers = {"Authorization": f"Basic {base64.b64encode(account.encode()).decode()}"}
    bare = urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
    async with (
        aiohttp.ClientSession(headers=headers) as session,
        session.get(f"{bare}/api/overview") as answer,
    ):
        return str((await answer.json())["rabbitmq_version"])
