"""Whether the broker behind a connection still decides anything.

In: a connection. Out: nothing, or an error. Must stay true: feeling the pulse disturbs nobody: a channel of its own, a
queue that nobody publishes to, and a get instead of a publish, since under an alarm the broker stops reading from who
publishes.

A node that is cut off from the majority of its cluster may keep its clients' connections, confirm nothing they publish
and deliver nothing to them (RabbitMQ 4.3; with `pause_minority` 3.10 closes them). Even a get from an empty quorum
queue is an entry of that queue's log, which only a majority can make.

Source: "Quorum Queues", rabbitmq.com/docs; D. Ongaro, J. Ousterhout, "In Search of an Understandable Consensus
Algorithm", 2014, section 8 (reading needs a majority as well).
"""

import asyncio
from dataclasses import dataclass
from typing import Any

from aio_pika.abc import AbstractChannel, AbstractConnection, AbstractQueue

PULSE_QUEUE = "pulse"
PULSE_ARGUMENTS: dict[str, Any] = {"x-queue-type": "quorum"}
QUIET_SECONDS = 2.0
"""After so long without a word from the broker its pulse is felt."""
ANSWER_SECONDS = 5.0
"""As long as a confirm is waited for."""


@dataclass(frozen=True, slots=True)
class Pulse:
    """The pulse of one connection's broker."""

    channel: AbstractChannel
    queue: AbstractQueue

    @classmethod
    async def of(cls, connection: AbstractConnection) -> "Pulse":
        """Ready to be felt. Raises what `contracts.broker.LINK_ERRORS` names."""
        async with asyncio.timeout(ANSWER_SECONDS):
            channel = await connection.channel(publisher_confirms=False)
            queue = await channel.declare_queue(
                PULSE_QUEUE, durable=True, arguments=PULSE_ARGUMENTS
            )
        return cls(channel, queue)

    async def feel(self) -> None:
        """Return once a majority has answered. Raises what `contracts.broker.LINK_ERRORS` names."""
        if await self._is_blocked():
            return
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                await self.queue.get(no_ack=True, fail=False)
        except TimeoutError:
            raise TimeoutError(f"no pulse within {ANSWER_SECONDS} s") from None

    async def _is_blocked(self) -> bool:
        """Whether an alarm is on and the broker has said that it reads nothing from this connection."""
        underlay = await self.channel.get_underlay_channel()
        try:
            async with asyncio.timeout(0):
                await underlay.connection.ready()
        except TimeoutError:
            return True
        return False
