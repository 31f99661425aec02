"""What a soak reads: memory, files and threads of every process, connections, depths and memory of the servers.

In: the running system. Out: a `Sample` each time it is asked; series of them by name; the outbox's lag every second.
Must stay true: reading costs next to nothing and changes nothing; what could not be read is missing, never zero.

Source: proc(5): /proc/[pid]/statm (resident pages), /fd, /task, /task/[tid]/children.
"""

import asyncio
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit, urlunsplit

import aiohttp
from redis.asyncio import Redis
from redis.exceptions import RedisError

from db.messages import outbox
from db.mysql.database import Database, DatabaseAway, is_away
from scripts.benching.measurement.cpu import read_cpu
from scripts.benching.systems.system import System
from scripts.soaking.trends import Allowance, Point

PAGE = os.sysconf("SC_PAGE_SIZE")
MIB = 1024 * 1024
LAG_SECONDS = 1.0
SERVERS = ("mysql", "rabbitmq", "redis")
ALLOWED: Mapping[str, Allowance] = {
    "memory": Allowance(0.05, 6),
    "files": Allowance(0.05, 8),
    "threads": Allowance(0.05, 2),
    "connections": Allowance(0.05, 6),
    "waiting": Allowance(0.05, 50),
}
"""By kind of series; memory in MiB."""


@dataclass(slots=True)
class Series:
    """Readings by name, and how often each process was found to be another one than before."""

    points: dict[str, list[Point]] = field(default_factory=dict)
    cpu: dict[str, list[Point]] = field(default_factory=dict)
    lag: list[float] = field(default_factory=list)
    backlog: int = 0
    """The most events that waited in the outbox at once."""
    restarts: int = 0
    missed: int = 0
    """Readings of a server that failed."""
    _pids: dict[str, int] = field(default_factory=dict)

    def add(self, at: float, values: Mapping[str, float]) -> None:
        """Note readings that were taken `at` seconds after the start."""
        for name, value in values.items():
            self.points.setdefault(name, []).append((at, value))

    def seen(self, pids: Mapping[str, int]) -> None:
        """Note which processes run."""
        changed = [name for name, pid in pids.items() if self._pids.get(name, pid) != pid]
        self.restarts += len(changed) + len(set(self._pids) - set(pids))
        self._pids = dict(pids)


class Sampler:
    """Reads the system. Close it at the end."""

    def __init__(self, system: System, database: Database) -> None:
        self._system, self._database = system, database
        self._redis = Redis.from_url(system.redis_url, socket_timeout=3)
        self._http = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=5))
        self.series = Series()

    async def close(self) -> None:
        await self._redis.aclose()
        await self._http.close()

    async def sample(self, at: float) -> dict[str, float]:
        """Read everything once."""
        pids = await asyncio.to_thread(self._system.pids)
        self.series.seen(pids)
        values = dict(await asyncio.to_thread(_processes, pids))
        used: dict[str, float] = {}
        for (name, _, _), seconds in (await asyncio.to_thread(read_cpu, pids)).seconds.items():
            used[name] = used.get(name, 0.0) + seconds
        for name, seconds in used.items():
            self.series.cpu.setdefault(name, []).append((at, seconds))
        for reading in (self._read_database(), self._read_redis(), self._read_broker()):
            try:
                values |= await reading
            except (aiohttp.ClientError, DatabaseAway, RedisError, OSError, TimeoutError):
                # A server that is away is what a soak may find: the sample goes on without it.
                self.series.missed += 1
        self.series.add(at, values)
        return values

    async def watch_lag(self) -> None:
        """Read the outbox's lag every second, until cancelled."""
        while True:
            try:
                waiting, seconds = await outbox.lag(self._database)
                self.series.lag.append(seconds)
                self.series.backlog = max(self.series.backlog, waiting)
            except Exception as error:
                if not is_away(error):
                    raise
                self.series.missed += 1
            await asyncio.sleep(LAG_SECONDS)

    async def _read_database(self) -> dict[str, float]:
        rows = await self._database.read("SHOW GLOBAL STATUS LIKE 'Threads_connected'")
        dead = await self._database.read("SELECT COUNT(*) FROM dead_letters")
        return {"connections database": float(rows[0][1]), "waiting dead": float(dead[0][0])}

    async def _read_redis(self) -> dict[str, float]:
        told: Any = await self._redis.info()
        return {
            "connections redis": float(told["connected_clients"]),
            "memory redis-data": told["used_memory"] / MIB,
        }

    async def _read_broker(self) -> dict[str, float]:
        url = self._system.amqp_management_url
        if not url:
            return {}
        totals = (await self._ask(url, "overview"))["object_totals"]
        vhost = unquote(urlsplit(self._system.amqp_url).path.removeprefix("/")) or "/"
        queues = await self._ask(url, "queues?columns=vhost,messages")
        mine = sum(queue.get("messages", 0) for queue in queues if queue["vhost"] == vhost)
        return {
            "connections broker": float(totals["connections"]),
            "connections broker-channels": float(totals["channels"]),
            "waiting broker": float(mine),
        }

    async def _ask(self, url: str, what: str) -> Any:
        parts = urlsplit(url)
        bare = urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
        sign_in = aiohttp.encode_basic_auth(
            unquote(parts.username or "guest"), unquote(parts.password or "guest")
        )
        headers = {"Authorization": sign_in}
        async with self._http.get(f"{bare}/api/{what}", headers=headers) as answer:
            answer.raise_for_status()
            return await answer.json()


def _processes(pids: Mapping[str, int]) -> dict[str, float]:
    """Memory (MiB), open files and threads of each process with its descendants."""
    roots = set(pids.values())
    values: dict[str, float] = {}
    for name, root in pids.items():
        found = [_process(pid) for pid in _family(root, roots)]
        for kind, amounts in zip(
            ("memory", "files", "threads"), zip(*found, strict=True), strict=False
        ):
            values[f"{kind} {name}"] = sum(amounts)
    return values


def _family(root: int, roots: set[int]) -> list[int]:
    """A process and its descendants, those left out that have a name of their own."""
    found, waiting = [], [root]
    while waiting:
        pid = waiting.pop()
        found.append(pid)
        try:
            lists = [path.read_text() for path in Path(f"/proc/{pid}/task").glob("*/children")]
        except OSError:
            continue  # It ended while we looked.
        children = [int(word) for text in lists for word in text.split()]
        waiting += [child for child in children if child not in roots]
    return found


def _process(pid: int) -> tuple[float, float, float]:
    folder = Path(f"/proc/{pid}")
    try:
        resident = int((folder / "statm").read_text().split()[1]) * PAGE / MIB
        return resident, len(os.listdir(folder / "fd")), len(os.listdir(folder / "task"))
    except OSError:
        return 0.0, 0.0, 0.0  # It ended while we looked.


async def table_rows(database: Database) -> dict[str, int]:
    """Rows of every table, counted."""
    names = await database.read(
        "SELECT TABLE_NAME FROM information_schema.TABLES "
        "WHERE TABLE_SCHEMA = DATABASE() AND TABLE_TYPE = 'BASE TABLE' ORDER BY TABLE_NAME"
    )
    counted = {}
    async with (
        database.session() as cursor
    ):  # Without the time limit of a transaction: there may be millions.
        for [name] in names:
            # Names come from the database's own list.
            await cursor.execute(f"SELECT COUNT(*) FROM `{name}`")  # noqa: S608
            counted[name] = int((await cursor.fetchone())[0])
    return counted
