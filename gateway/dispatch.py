"""Commands onto the broker: the envelope, the queue, the confirm, and what a failure means to a client.

In: a command model and its id. Out: a return means that the broker holds it on a durable queue.
Must stay true: nothing is said to be accepted before its confirm; a command whose publish failed for
sure was never accepted; one whose publish ended in the dark is given out with its id, to poll.
"""

import asyncio
import hashlib
import re
import time
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import orjson
import structlog

from contracts import failpoints
from contracts.broker import BrokerAway
from contracts.command_ids import CommandId, CommandIds
from contracts.commands import KINDS, Command, CreateEvent
from contracts.envelope import Codec, Envelope
from contracts.publisher import Coalescer, PublishUnknown, Refused, Unroutable
from contracts.topology import inventory_queue, shard_of
from gateway.command_metrics import CommandMetrics

log = structlog.get_logger(__name__)

CONFIRMED_KEPT = 20_000
_TRACEPARENT = re.compile(
    r"(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}"
)


def fingerprint(method: str, path: str, body: Mapping[str, Any]) -> str:
    """32 hex digits for what a request asks: method, path with its ids, validated body.

    The body's JSON is canonical (sorted names), so that spelling does not matter, only meaning.
    """
    text = orjson.dumps([method, path, body], option=orjson.OPT_SORT_KEYS)
    return hashlib.blake2b(text, digest_size=16).hexdigest()


def valid_traceparent(value: str | None) -> str | None:
    """A W3C Trace Context `traceparent` as it came, None when it is missing or malformed."""
    return value if value and _TRACEPARENT.fullmatch(value) else None


def queue_of(command: Command, uuid: bytes, shards: int) -> str:
    """The queue of the command's owner; inventory has one per shard of events."""
    if command.OWNER != "inventory":
        return command.OWNER
    event_id = getattr(command, "event_id", None)
    if event_id is None:
        # A new event has no id yet: any shard will do, the same for each attempt to publish it.
        assert isinstance(command, CreateEvent), "inventory commands name their event"
        event_id = int.from_bytes(uuid[:4], "big")
    return inventory_queue(shard_of(event_id, shards))


def partition_of(command: Command) -> str | None:
    """What the command's effects must keep their order in; None: nothing else is about the same."""
    for kind in ("order", "payment", "event"):
        id_ = getattr(command, f"{kind}_id", None)
        if id_ is not None:
            return f"{kind}:{id_}"
    return None


@dataclass(frozen=True, slots=True)
class Origin:
    """The request behind a command: whom it concerns and what follows it through logs and events."""

    user_id: int
    request_id: str
    traceparent: str | None


class Dispatcher:
    """Publishes commands for one gateway instance."""

    def __init__(
        self,
        coalescer: Coalescer,
        codec: Codec,
        ids: CommandIds,
        metrics: CommandMetrics,
        *,
        instance: str,
        shards: int,
        deadline: float,
    ) -> None:
        self._coalescer = coalescer
        self._codec = codec
        self._ids = ids
        self._metrics = metrics
        self._instance = instance
        self._shards = shards
        self._deadline = timedelta(seconds=deadline)
        self._publishing: dict[bytes, asyncio.Task[None]] = {}
        self._confirmed: OrderedDict[bytes, None] = OrderedDict()

    def command_id(self, command: type[Command], uuid: bytes, accepted_at: datetime) -> CommandId:
        """The id of a command of this type."""
        return CommandId(uuid, accepted_at, KINDS[command.TYPE])

    def queue_of(self, command: Command, uuid: bytes) -> str:
        """Where this deployment sends the command."""
        return queue_of(command, uuid, self._shards)

    async def publish(self, id_: CommandId, command: Command, origin: Origin) -> None:
        """Publish and wait for the confirm.

        Raises contracts.publisher.Unroutable, Refused or PublishUnknown, or broker.BrokerAway.
        """
        envelope = Envelope(
            id=self._ids.seal(id_, origin.user_id),
            type=command.TYPE,
            source="/eventhub/gateway",
            time=id_.accepted_at,
            data=command.to_json(),
            correlationid=origin.request_id,
            traceparent=origin.traceparent,
            expirytime=id_.accepted_at + self._deadline,
            partitionkey=partition_of(command),
            replyto=self._instance,
        )
        queue = self.queue_of(command, id_.uuid)
        started = time.perf_counter()
        failpoints.reach("gateway.before_publish")
        try:
            await self._coalescer.submit(queue, self._codec.encode(envelope))
        except (Refused, Unroutable, PublishUnknown, BrokerAway) as error:
            self._metrics.publish_failures.labels(type(error).__name__).inc()
            if isinstance(error, Unroutable):
                log.error("command reaches no queue", queue=queue, error=str(error))
            raise
        failpoints.reach("gateway.after_confirm")
        self._metrics.confirm_seconds.observe(time.perf_counter() - started)
        self._metrics.accepted.labels(command.TYPE).inc()

    async def publish_once(self, id_: CommandId, command: Command, origin: Origin) -> None:
        """As `publish`, for keyed commands: whoever comes meanwhile or later shares the one confirm.

        Publishing a UUID again would be safe (one outcome), only wasteful.
        """
        if id_.uuid in self._confirmed:
            return
        task = self._publishing.get(id_.uuid)
        if task is None:
            task = asyncio.create_task(self._publish_noted(id_, command, origin))
            # Whoever asked may be gone when it fails: that is no news then.
            task.add_done_callback(lambda done: done.cancelled() or done.exception())
            self._publishing[id_.uuid] = task
        await asyncio.shield(task)

    async def _publish_noted(self, id_: CommandId, command: Command, origin: Origin) -> None:
        try:
            await self.publish(id_, command, origin)
        finally:
            del self._publishing[id_.uuid]
        self._confirmed[id_.uuid] = None
        if len(self._confirmed) > CONFIRMED_KEPT:
            self._confirmed.popitem(last=False)
