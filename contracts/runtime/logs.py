"""Logs of every process: one JSON object per line on standard output, with ids from the request to its last event.

In: structlog calls (and the standard library's loggers of aiohttp, aio-pika …). Out: lines with `timestamp`, `level`,
`event`, `process`, whatever is bound (`request_id`, `command_id`, `correlation_id`) and the call's own members.
Must stay true: no secret reaches a line; members named like one are masked even when somebody passes them.
"""

import asyncio
import atexit
import logging
import sys
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, BinaryIO

import orjson
import structlog
from structlog.types import EventDict, WrappedLogger

SECRET_WORDS = (
    "password",
    "passwd",
    "secret",
    "token",
    "authorization",
    "cookie",
    "hash",
    "credential",
)
MASKED = "[masked]"
_LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40}


def mask_secrets(logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
    """A structlog processor: the last net under careless callers, by the member's name."""
    for name in event:
        if _is_secret(name):
            event[name] = MASKED
    return event


@lru_cache(maxsize=1024)
def _is_secret(name: str) -> bool:
    return any(word in name for word in SECRET_WORDS)


def _dump(event: EventDict, **_: Any) -> bytes:
    return orjson.dumps(event, default=repr, option=orjson.OPT_NON_STR_KEYS)


def _shared_processors() -> list[Any]:
    return [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        mask_secrets,
    ]


def configure(process: str, level: str = "info") -> None:
    """Set up structlog and the standard library for this process. `level`: debug, info, warning, error."""

    def named(logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
        event["process"] = process
        return event

    processors = [*_shared_processors(), named]
    structlog.configure(
        processors=[
            *processors,
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(serializer=_dump),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(_LEVELS[level]),
        logger_factory=structlog.BytesLoggerFactory(sys.stdout.buffer),
        cache_logger_on_first_use=True,
    )
    _route_standard_library(processors, level)


def _route_standard_library(processors: list[Any], level: str) -> None:
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[*processors, structlog.stdlib.add_logger_name],
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(serializer=lambda event, **_: _dump(event).decode()),
        ],
    )
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(formatter)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    # Libraries speak up only when something is wrong: their INFO is not ours.
    root.setLevel(max(_LEVELS[level], logging.WARNING))


FLUSH_SECONDS = 0.02
_LINE = orjson.OPT_UTC_Z | orjson.OPT_APPEND_NEWLINE


class LineLog:
    """Lines of one kind, many a second: the same JSON as structlog's at a tenth of its cost.

    Lines are written together `FLUSH_SECONDS` after the first of them, and at the process's end; only SIGKILL can
    take that much.
    """

    def __init__(self, event: str, process: str, stream: BinaryIO | None = None) -> None:
        self._event = event
        self._process = process
        self._stream = stream
        self._lines: list[bytes] = []
        atexit.register(self.flush)

    def write(self, members: dict[str, Any]) -> None:
        """One line; `members` are plain values and named by our own code, never like a secret."""
        members["event"] = self._event
        members["level"] = "info"
        members["timestamp"] = datetime.now(UTC)
        members["process"] = self._process
        if not self._lines:
            asyncio.get_running_loop().call_later(FLUSH_SECONDS, self.flush)
        self._lines.append(orjson.dumps(members, option=_LINE))

    def flush(self) -> None:
        """Write what waits."""
        if not self._lines:
            return
        lines, self._lines = self._lines, []
        stream = self._stream or sys.stdout.buffer
        stream.write(b"".join(lines))
        stream.flush()
