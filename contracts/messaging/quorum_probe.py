"""Whether the broker behind a connection still decides anything.

In: a connection. Out: nothing, or an error. Must stay true: the probe disturbs nobody: it has a channel of its own, a
queue that nobody publishes to, and no publish, since under an alarm the broker stops reading from who publishes; a
process that is itself starved does not blame the broker.

A node that is cut off from the majority of its cluster may keep its clients' connections, confirm nothing they publish
and deliver nothing to them (RabbitMQ 4.3; with `pause_minority` 3.10 closes them). Even to purge an empty quorum queue
is an entry of that queue's log, which only a majority can make. (So is a get, but those are never cleared out of the
log: 20,000 of them left 20,000 entries on 4.3; after as many purges the log is empty.)

Source: "Quorum Queues", rabbitmq.com/docs; D. Ongaro, J. Ousterhout, "In Search of an Understandable Consensus
Algorithm", 2014, section 8 (reading needs a majority as well); measured on RabbitMQ 4.3.6.
"""

import asyncio
from dataclasses import dataclass
from typing import Any

import aiormq.abc
from aio_pika.abc import AbstractConnection, AbstractQueue

from contracts.runtime.timeouts import loop_fair_timeout

PROBE_QUEUE = "pulse"
PROBE_ARGUMENTS: dict[str, Any] = {"x-queue-type": "quorum"}
QUIET_SECONDS = 2.0
"""After so long without a word from the broker it is probed."""
ANSWER_SECONDS = 5.0
"""As long as a confirm is waited for."""


@dataclass(frozen=True, slots=True)
class QuorumProbe:
    """What asks one connection's broker."""

    queue: AbstractQueue
    wire: aiormq.abc.AbstractConnection

    @classmethod
    async def of(cls, connection: AbstractConnection) -> "QuorumProbe":
        """Ready to ask. Raises what `contracts.messaging.link.LINK_ERRORS` names."""
        async with loop_fair_timeout(ANSWER_SECONDS):
            channel = await connection.channel(publisher_confirms=False)
            queue = await channel.declare_queue(
                PROBE_QUEUE, durable=True, arguments=PROBE_ARGUMENTS
            )
            underlay = await channel.get_underlay_channel()
        return cls(queue, underlay.connection)

    async def check(self) -> None:
        """Return once a majority has answered. Raises what `contracts.messaging.link.LINK_ERRORS` names."""
        if await self._is_blocked():
            return
        try:
            async with loop_fair_timeout(ANSWER_SECONDS):
                await self.queue.purge(timeout=None)
        except TimeoutError:
            # An alarm that began in between: the broker had stopped reading before it could hear the question.
            if not await self._is_blocked():
                raise TimeoutError(f"no pulse within {ANSWER_SECONDS} s") from None

    async def _is_blocked(self) -> bool:
        """Whether an alarm is on and the broker has said that it reads nothing from this connection."""
        try:
            async with asyncio.timeout(0):
                await self.wire.ready()
        except TimeoutError:
            return True
        return False
