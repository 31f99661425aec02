"""The database's disk is full during a sale: nothing is lost, and the sale goes on by itself once there is room.

On a private database whose files are on a small disk.
"""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from db.migrate import migrate
from db.mysql.database import UNWRITABLE, Database, error_code
from scripts.proving.buyers import Plan
from tests.faults.crowd import (
    EVERYBODY,
    GATEWAYS,
    SEED,
    buyers,
    crowd,
    newcomers,
    progress,
    start_processes,
    ticket_types_on_sale,
    verdict,
)
from tests.harness.command_client import command_client
from tests.harness.disks import Disk, small_disk
from tests.harness.processes import running_processes
from tests.harness.servers import Machines, machines
from tests.harness.waiting import eventually

pytestmark = [pytest.mark.full, pytest.mark.timeout(300)]

ENOUGH_MIB = 1024
"""What a new server of either generation writes, and a sale."""
QUOTAS = ((60, 20), (30_000, 30_000))
PAGEFUL = "(REPEAT('x', 4000))"
STILL = 8
"""So many looks, half a second apart, at a number that does not change."""


@pytest.fixture
async def cramped(tmp_path: Path) -> AsyncIterator[tuple[Machines, Disk]]:
    """Three servers, and the disk of the database."""
    home = tmp_path / "servers"
    (home / "mysql").mkdir(parents=True)
    async with small_disk(home / "mysql", ENOUGH_MIB) as disk, machines(home) as own_servers:
        await migrate(own_servers.scratch.mysql_url)
        yield own_servers, disk


async def refuses(database: Database) -> bool:
    """Whether the database takes rows no more."""
    try:
        await database.write(f"INSERT INTO ballast (body) VALUES {', '.join([PAGEFUL] * 100)}")
    except Exception as error:
        if error_code(error) not in UNWRITABLE:
            raise
        return True
    return False


async def stands_still(database: Database) -> None:
    """Wait until no order is stored any more: what was left of the files is used up."""
    counts: list[int] = []

    async def look() -> bool:
        [[count]] = await database.read("SELECT COUNT(*) FROM orders")
        counts.append(int(count))
        return len(counts) > STILL and len(set(counts[-STILL:])) == 1

    await eventually(look, within=120, every=0.5)


async def test_the_databases_disk_is_full(cramped: tuple[Machines, Disk], tmp_path: Path) -> None:
    """No lie and no dead letter; who waits is told in time, and buys again when there is room."""
    own_servers, disk = cramped
    database = await Database.connect(own_servers.scratch.mysql_url)
    await database.write(
        "CREATE TABLE ballast (id INT AUTO_INCREMENT PRIMARY KEY, body VARCHAR(4000) CHARACTER SET ascii)"
    )
    async with (
        command_client(own_servers.scratch, database) as client,
        running_processes(own_servers.scratch, tmp_path, command_deadline=20) as processes,
    ):
        types = await ticket_types_on_sale(client, database, *QUOTAS)
        # Nobody can be added while the disk is full.
        accounts = await buyers(database, 4000, "disk")
        running = await start_processes(processes, EVERYBODY + GATEWAYS)
        plan = Plan([running[name].url for name in GATEWAYS], types, SEED, cancels=0.2, pays=0.3)
        async with crowd(plan, accounts, tmp_path, newcomers(database, "more")) as load:
            await progress(load, 60)
            disk.fill()
            await eventually(lambda: refuses(database), within=60)
            before = load.history.counts().get("ok", 0)
            await stands_still(database)
            disk.clear()
            await progress(load, load.done + 60)
            load.enough()
        await verdict(database, load, "the database's disk is full")
        assert load.history.counts()["ok"] > before
        assert [one.name for one in processes.started if one.child.returncode is not None] == []
    await database.close()
