"""Several SQL statements in one packet, and their results one after the other.

In: a cursor of aiomysql, statements whose values are literals already. Out: each statement's result on the cursor.
Must stay true: aiomysql logs in with CLIENT.MULTI_STATEMENTS, which it does not promise; the server runs a list up to
its first error, whose exception comes when that result is asked for; no parameters are given to `execute`, so that no
percent sign in a text is taken for a placeholder.
"""

from collections.abc import Iterable
from typing import Any

from contracts.runtime.overrides.internals import LibraryInternals

INTERNALS = LibraryInternals(
    "aiomysql",
    ("0.3.2",),
    {
        "aiomysql.connection:Connection.__init__": "392740c7e75f23ab",
        "aiomysql.connection:Connection.query": "132961ac97334ead",
        "aiomysql.connection:Connection.next_result": "4be4ed2920bb1050",
        "aiomysql.cursors:Cursor.execute": "17251fc9efd49ade",
        "aiomysql.cursors:Cursor.nextset": "6210e478ecaea555",
        "aiomysql.cursors:Cursor._do_get_result": "76c6abf9e612c7bd",
    },
)


async def send_together(cursor: Any, statements: Iterable[str]) -> None:
    """Send them; the first one's result is on the cursor. Raises its error."""
    await cursor.execute(";".join(statements))


async def next_result(cursor: Any) -> None:
    """Put the next statement's result on the cursor. Raises its error."""
    await cursor.nextset()
