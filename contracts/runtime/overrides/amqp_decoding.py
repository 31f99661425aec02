"""Properties and headers that the AMQP library cannot read end no connection.

In: pamqp's decoders. Out: the same ones, which give a stand-in for what they cannot read.
Must stay true: what pamqp reads is read as before. Without this one message with a time beyond the year 9999, or a name
that is no UTF-8, ends the connection of whoever consumes it, comes again, and does so for ever on the dead letters:
whoever may publish at all, a provider too, could stop a queue. A stand-in is never longer than what it stands for:
the dead letter is published with the same properties.
"""

from datetime import UTC, datetime
from typing import Any

from pamqp import decode

from contracts.runtime.overrides.internals import LibraryInternals

INTERNALS = LibraryInternals(
    "pamqp",
    ("4.0.1",),
    {
        "pamqp.decode:by_type": "86cc65369330cf0a",
        "pamqp.decode:embedded_value": "705653404683d7d1",
        "pamqp.decode:field_table": "cd20672a04f9eaa4",
        "pamqp.decode:short_str": "6f535b7aaa125aec",
        "pamqp.decode:timestamp": "64d63c732623d534",
    },
)
_NO_TIME = datetime(1970, 1, 1, tzinfo=UTC)
UNREADABLE = (ValueError, OverflowError, OSError, RecursionError, IndexError)


def _short_str(value: bytes) -> tuple[int, str]:
    try:
        return decode.short_str(value)
    except UnicodeDecodeError:
        end = 1 + value[0]
        return end, value[1:end].decode("ascii", "replace").replace("\ufffd", "?")


def _timestamp(value: bytes) -> tuple[int, datetime]:
    try:
        return decode.timestamp(value)
    except UNREADABLE:
        return 8, _NO_TIME


def _table(value: bytes) -> tuple[int, dict[str, Any]]:
    try:
        return decode.field_table(value)
    except UNREADABLE:
        return 4 + int.from_bytes(value[:4]), {}


def read_anything() -> None:
    """Let pamqp read every message that a broker hands out. Calling it again changes nothing."""
    decode.METHODS |= {"shortstr": _short_str, "timestamp": _timestamp, "table": _table}
    decode.TABLE_MAPPING[b"T"] = _timestamp
