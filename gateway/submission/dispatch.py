"""Commands onto the broker: the envelope, the queue, the confirm, and what a failure means to a client.

In: a command model and its opened id. Out: a return means that the broker holds it on a durable queue.
Must stay true: nothing is said to be accepted before its confirm; a command whose publish failed for
sure was never accepted; one whose publish ended in the dark is given out with its id, to poll.
"""

import asyncio
import hashlib
import re
import time
from collections import OrderedDict
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import orjson
import structlog
from aiohttp import web

from contracts.commands import COMMANDS, Command
from contracts.messaging.envelope import Codec, Envelope
from contracts.messaging.link import BrokerAway
from contracts.messaging.publisher import (
    Coalescer,
    PublishRefused,
    PublishUnknown,
    Unroutable,
)
from contracts.messaging.topology import inventory_queue, shard_of
from contracts.runtime import failpoints
from gateway.submission.command_metrics import CommandMetrics
from gateway.submission.outcomes import Opened

log = structlog.get_logger(__name__)

CONFIRMED_KEPT = 10_000
_TRACEPARENT = re.compile(
    r"(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}"
)


def fingerprint(method: str, path: str, body: Mapping[str, Any]) -> str:
    """32 hex digits for what a request asks: method, path with its ids and its query, validated body.

    The body's JSON is canonical (sorted names), so that spelling does not matter, only meaning.
    """
    text = orjson.dumps([method, path, body], option=orjson.OPT_SORT_KEYS)
    return hashlib.blake2b(text, digest_size=16).hexdigest()


def asked_path(request: web.Request) -> str:
    """The path with its query, if there is one: a key that stands for one does not stand for another."""
    query = request.rel_url.raw_query_string
    return f"{request.path}?{query}" if query else request.path


def valid_traceparent(value: str | None) -> str | None:
    """A W3C Trace Context `traceparent` as it came, None when it is missing or malformed."""
    return value if value and _TRACEPARENT.fullmatch(value) else None


def queue_of(command: Command, shards: int) -> str:
    """The queue of the command's owner; inventory has one per shard of events."""
    if command.OWNER != "inventory":
        return command.OWNER
    event_id: int = command.event_id  # type: ignore[attr-defined]  # every command of inventory names it
    return inventory_queue(shard_of(event_id, shards))


def partition_of(command: Command) -> str | None:
    """What the command's effects must keep their order in; None: nothing else is about the same."""
    kind = _PARTITIONS[type(command)]
    return f"{kind}:{getattr(command, kind + '_id')}" if kind else None


def _partition_kind(command: type[Command]) -> str | None:
    kinds = (
        kind
        for kind in ("order", "payment", "event", "ticket")
        if f"{kind}_id" in command.model_fields
    )
    return next(kinds, None)


# Looked up once: asking a pydantic model for a field that it lacks is slow.
_PARTITIONS = {command: _partition_kind(command) for command in COMMANDS.values()}


class Dispatcher:
    """Publishes commands for one gateway instance."""

    def __init__(
        self,
        coalescer: Coalescer,
        codec: Codec,
        metrics: CommandMetrics,
        *,
        instance: str,
        shards: int,
        deadline: float,
    ) -> None:
        self._coalescer = coalescer
        self._codec = codec
        self._metrics = metrics
        self._instance = instance
        self._shards = shards
        self._deadline = timedelta(seconds=deadline)
        self._publishing: dict[bytes, asyncio.Task[None]] = {}
        self._confirmed: OrderedDict[bytes, None] = OrderedDict()

    def queue_of(self, command: Command) -> str:
        """Where this deployment sends the command."""
        return queue_of(command, self._shards)

    async def publish(self, opened: Opened, command: Command, traceparent: str | None) -> None:
        """Publish and wait for the confirm.

        Raises contracts.messaging.publisher.Unroutable, Refused or PublishUnknown, or broker.BrokerAway.
        """
        envelope = Envelope(
            id=opened.text,
            type=command.TYPE,
            source="/eventhub/gateway",
            time=opened.id.accepted_at,
            data=command.to_json(),
            correlationid=opened.request_id,
            traceparent=traceparent,
            expirytime=opened.id.accepted_at + self._deadline,
            partitionkey=partition_of(command),
            replyto=self._instance,
        )
        queue = self.queue_of(command)
        started = time.perf_counter()
        failpoints.reach("gateway.before_publish")
        try:
            await self._coalescer.submit(queue, self._codec.encode(envelope))
        except (PublishRefused, Unroutable, PublishUnknown, BrokerAway) as error:
            self._metrics.publish_failures.labels(type(error).__name__).inc()
            if isinstance(error, Unroutable):
                log.error("command reaches no queue", queue=queue, error=str(error))
            raise
        failpoints.reach("gateway.after_confirm")
        self._metrics.confirm_seconds.observe(time.perf_counter() - started)
        self._metrics.accepted(command.TYPE)

    async def publish_once(self, opened: Opened, command: Command, traceparent: str | None) -> None:
        """As `publish`, for keyed commands: whoever comes meanwhile or later shares the one confirm.

        Publishing a UUID again would be safe (one outcome), only wasteful.
        """
        uuid = opened.id.uuid
        if uuid in self._confirmed:
            return
        task = self._publishing.get(uuid)
        if task is None:
            task = asyncio.create_task(self._publish_noted(opened, command, traceparent))
            # Whoever asked may be gone when it fails: nobody is left to be told.
            task.add_done_callback(lambda done: done.cancelled() or done.exception())
            self._publishing[uuid] = task
        await asyncio.shield(task)

    async def _publish_noted(
        self, opened: Opened, command: Command, traceparent: str | None
    ) -> None:
        try:
            await self.publish(opened, command, traceparent)
        finally:
            del self._publishing[opened.id.uuid]
        self._confirmed[opened.id.uuid] = None
        if len(self._confirmed) > CONFIRMED_KEPT:
            self._confirmed.popitem(last=False)
