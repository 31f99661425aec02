"""MariaDB may refuse to write over what has changed since it was read (1020): the transaction is run again."""

from db.mysql.database import (
    CHANGED_SINCE_READ,
    Database,
    Transaction,
    error_code,
)
from tests.harness.scratch import Scratch

# Where the server knows the setting it is switched on; the newest do so by themselves.
REFUSE = "SET @asked = 1 /*M!101108 , innodb_snapshot_isolation = ON */"
COUNT = "UPDATE login_decoys SET attempts = attempts + 1 WHERE id = 3"


async def test_a_change_since_the_snapshot_costs_another_run(
    scratch: Scratch, database: Database
) -> None:
    """Both writers count, whether the server says 1020 or lets the second one write at once."""
    met: list[int | None] = []
    mine = await Database.connect(scratch.mysql_url, size=1)
    await mine.write(REFUSE)
    [[before]] = await database.read("SELECT attempts FROM login_decoys WHERE id = 3")
    rival = iter([COUNT])

    async def work(transaction: Transaction) -> None:
        await transaction.fetch("SELECT attempts FROM login_decoys WHERE id = 3")
        if (sql := next(rival, None)) is not None:
            await database.write(sql)
        try:
            await transaction.execute(COUNT)
        except Exception as error:
            met.append(error_code(error))
            raise

    await mine.run(work)
    await mine.close()
    [[after]] = await database.read("SELECT attempts FROM login_decoys WHERE id = 3")
    [[version]] = await database.read("SELECT VERSION()")
    assert after == before + 2
    assert met == ([CHANGED_SINCE_READ] if "MariaDB" in version else [])
