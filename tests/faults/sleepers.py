"""Processes that fall asleep (SIGSTOP) at a failpoint, and wake when somebody else has done their work.

In: two names of a kind, a point, something to do. Out: what was given, and the one that slept, living on alone.
Must stay true: nobody wakes before the other has done it all, by leases that have lapsed, and before the database has
ended the sessions it had; a point that never fired is a failure, and so is a sleeper that dies of waking.
"""

import contextlib
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

from db.mysql.database import Database
from scripts.proving.proxy import Proxy
from tests.faults.deaths import Give, T
from tests.faults.proof import END_SECONDS
from tests.harness.processes import Process, Processes
from tests.harness.waiting import eventually

Done = Callable[[T], Awaitable[object]]
"""Returns once what was given is done."""


@contextlib.asynccontextmanager
async def outslept(
    processes: Processes,
    database: Database,
    kind: str,
    *,
    point: str,
    give: Give[T],
    done: Done[T],
    cut: bool = True,
) -> AsyncIterator[T]:
    """`{kind}-1` falls asleep over what is given, `{kind}-2` does it; the first wakes, and is alone in the block.

    `cut`: the broker lets go of the sleeper, and its messages go to the other. Heartbeats would do it after half a
    minute.
    """
    async with Proxy(processes.scratch.amqp_url) as broker:
        by_way = {"AMQP_URL": broker.address}
        sleeper = await processes.start(f"{kind}-1", failpoints=f"{point}=stop", environment=by_way)
        given = await give()
        await _asleep(sleeper, point)
        sessions = await _sessions(database, sleeper)
        deputy = await processes.start(f"{kind}-2")
        if cut:
            broker.cut()
        await done(given)
        await _ended(database, sessions)
        assert _state(sleeper) == "T", "it woke too early"
        sleeper.send(signal.SIGCONT)
        assert await deputy.stop() == 0
        yield given
        assert await sleeper.stop() == 0, sleeper.tail


async def _asleep(process: Process, point: str) -> None:
    async def look() -> bool:
        return process.reached() == [point] and _state(process) == "T"

    await eventually(look, within=END_SECONDS)


def _state(process: Process) -> str:
    """The kernel's letter for it: T is stopped (proc(5))."""
    text = Path(f"/proc/{process.child.pid}/stat").read_text()
    return text.rpartition(")")[2].split()[0]


async def _sessions(database: Database, process: Process) -> set[int]:
    """The database's numbers of this process's sessions."""
    ports = _ports(process.child.pid)
    found = {
        number for number, host in await _all(database) if int(host.rpartition(":")[2]) in ports
    }
    assert found, "it has no session"
    return found


async def _all(database: Database) -> list[tuple[int, str]]:
    rows = await database.read(
        "SELECT id, host FROM information_schema.processlist WHERE db = DATABASE()"
    )
    return [(int(row[0]), str(row[1])) for row in rows]


async def _ended(database: Database, sessions: set[int]) -> None:
    async def look() -> bool:
        return sessions.isdisjoint({number for number, _ in await _all(database)})

    await eventually(look, within=END_SECONDS, every=0.1)


def _ports(pid: int) -> set[int]:
    """Our ends of a process's TCP connections (proc(5): /proc/net/tcp, local address and inode)."""
    sockets = {os.readlink(file) for file in Path(f"/proc/{pid}/fd").iterdir()}
    lines = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return {int(one[1].rpartition(":")[2], 16) for one in lines if f"socket:[{one[9]}]" in sockets}
