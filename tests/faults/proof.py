"""What a fault must leave behind: every command one end, and books that add up.

In: the UUIDs of commands that were sent. Out: their outcomes, once all have one and the audit agrees.
"""

from collections.abc import Sequence

from contracts.outcomes import Outcome
from db.audit import audit
from db.messages import outcomes
from db.mysql.database import Database
from tests.harness.waiting import eventually

END_SECONDS = 60.0
"""How long after a fault's end a command may take to its own (issue: at most 60 s)."""


async def ends(database: Database, sent: Sequence[bytes]) -> list[Outcome]:
    """The one outcome of each command sent, in order. Raises AssertionError naming how many have none."""

    async def look() -> dict[bytes, Outcome]:
        found = await outcomes.find(database, list(sent))
        missing = len(set(sent)) - len(found)
        assert not missing, f"{missing} of {len(sent)} commands have no end"
        return found

    found = await eventually(look, within=END_SECONDS, every=0.1)
    return [found[uuid] for uuid in sent]


async def proven(database: Database, *, quiet: bool = True) -> None:
    """Wait until the audit has nothing to say. Raises AssertionError with what it says to the last."""

    async def look() -> bool:
        report = await audit(database, quiet=quiet)
        assert report.ok, report.to_text()
        return True

    await eventually(look, within=END_SECONDS, every=0.25)
