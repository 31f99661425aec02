"""Time on the wire: RFC 3339 in UTC, ending in `Z`, and naive UTC in MySQL's DATETIME(6) columns.

Must stay true: a datetime inside EventHub is always aware and in UTC; naive values exist only in SQL.
"""

from datetime import UTC, datetime
from functools import lru_cache

import orjson

MOMENTS = 64
"""Texts kept: the rows of a batch share their few moments."""


@lru_cache(MOMENTS)
def to_wire(moment: datetime) -> str:
    """`2026-01-31T12:00:00.123456Z`, always with six decimals so that text order is time order."""
    if moment.tzinfo is not UTC:
        moment = moment.astimezone(UTC)
    # A quarter of isoformat()'s time, and every message holds several; a whole second is written without decimals.
    text = orjson.dumps(moment, option=orjson.OPT_UTC_Z)[1:-1].decode()
    return text if moment.microsecond else text[:-1] + ".000000Z"


def from_wire(text: str) -> datetime:
    """The moment behind an RFC 3339 text with any offset. Raises ValueError for anything else."""
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError("a time needs an offset")
    return moment if moment.tzinfo is UTC else moment.astimezone(UTC)


@lru_cache(MOMENTS)
def to_sql(moment: datetime) -> str:
    """Naive UTC with microseconds, as the DATETIME(6) columns take it.

    A text, because the driver escapes a datetime five times slower than a text, and a batch of
    orders holds hundreds.
    """
    return moment.astimezone(UTC).isoformat(" ", "microseconds")[:26]


def from_sql(moment: datetime) -> datetime:
    """Aware UTC from a DATETIME(6) column."""
    return moment.replace(tzinfo=UTC)
