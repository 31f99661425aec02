"""Connections to RabbitMQ that come back, and the declaration of our topology.

In: an AMQP URL. Out: an open channel while there is one, `BrokerAway` while there is none.
Must stay true: consuming and publishing use separate connections (a blocked publisher must not stop acks); a
`Link` never waits inside an operation for the broker to return: the caller decides; a link with a quorum probe is
connected to a broker that decides (`contracts.messaging.quorum_probe`), or not connected.

aio-pika's robust connection is left aside on purpose: it hides the moment of loss, a publish hangs while it
reconnects, and opening a channel meanwhile raises RuntimeError. A link that says "away" is simpler to reason about.
"""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Iterator

import aio_pika
import aiormq.exceptions
import structlog
from aio_pika.abc import AbstractChannel, AbstractConnection

from contracts.messaging.quorum_probe import QUIET_SECONDS, QuorumProbe
from contracts.messaging.topology import Topology
from contracts.runtime.overrides.amqp_decoding import read_anything
from contracts.runtime.tasks import end

log = structlog.get_logger(__name__)
read_anything()

CONNECT_SECONDS = 5
OPEN_SECONDS = 30
"""For all that is declared and consumed on a new connection."""
CLOSE_SECONDS = 2
HEARTBEAT_SECONDS = 10
RECONNECT_SECONDS = (0.1, 0.2, 0.5, 1.0)

LINK_ERRORS = (
    aiormq.exceptions.AMQPError,
    aiormq.exceptions.AMQPException,
    OSError,
    TimeoutError,
    RuntimeError,
    StopAsyncIteration,
)
"""What opening or using a dead connection raises.

RuntimeError: a channel on a closed connection. StopAsyncIteration: the server closed before it said a word, as
a load balancer without a living broker behind it does.
"""


class BrokerAway(Exception):
    """There is no connection to the broker: what was asked has surely not been sent."""


@contextlib.contextmanager
def library_endings() -> Iterator[None]:
    """Around calls of the library: what it ends without a reason is a ConnectionError, what we cancel is cancelled.

    A connection that closes ends the calls that wait on it with CancelledError when closing was cut short, and with a
    bare Exception when its reader came to a quiet end (aiormq 7.2). To whoever made the call the first looks like its
    own cancellation, the second like a defect: either ends a process that was never told to.
    """
    try:
        yield
    except asyncio.CancelledError:
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise
        raise ConnectionError("the connection was closed") from None
    except Exception as error:
        if type(error) is not Exception:
            raise
        raise ConnectionError("the connection was closed") from error


async def declare(channel: AbstractChannel, topology: Topology) -> None:
    """Declare everything. Raises ChannelPreconditionFailed (406) when something exists in another shape."""
    for exchange in topology.exchanges:
        await channel.declare_exchange(exchange.name, exchange.kind, durable=True)
    for queue in topology.queues:
        await channel.declare_queue(queue.name, durable=True, arguments=queue.arguments)
    for binding in topology.bindings:
        queue_object = await channel.get_queue(binding.queue, ensure=False)
        await queue_object.bind(binding.exchange, binding.key)


OnOpen = Callable[[AbstractChannel], Awaitable[None]]


class Link:
    """One connection with one channel, reopened in the background when it is lost.

    `on_open` runs on each new channel (declare, consume); `on_lost` after each loss. With `probe` it is open only
    while the broker speaks, or answers the quorum probe when it has been quiet.
    """

    def __init__(
        self,
        url: str,
        name: str,
        *,
        on_open: OnOpen | None = None,
        on_lost: Callable[[], None] | None = None,
        probe: bool = False,
        confirms: bool = True,
    ) -> None:
        """`confirms`: whether a publish waits for the broker's word."""
        self._url, self._name = url, name
        self._probes, self._confirms = probe, confirms
        self._probe: QuorumProbe | None = None
        self._heard_at = 0.0
        self._closing: set[asyncio.Future[None]] = set()
        self._on_open, self._on_lost = on_open, on_lost
        self._channel: AbstractChannel | None = None
        self._connection: AbstractConnection | None = None
        self._task: asyncio.Task[None] | None = None
        self._opened, self._lost = asyncio.Event(), asyncio.Event()
        self._stopped = False

    @property
    def channel(self) -> AbstractChannel:
        """The open channel. Raises BrokerAway."""
        if self._channel is None or self._channel.is_closed:
            raise BrokerAway(f"{self._name}: no connection to the broker")
        return self._channel

    @property
    def is_open(self) -> bool:
        """Whether there is a channel right now."""
        return self._channel is not None and not self._channel.is_closed

    async def start(self, *, wait: float | None = None) -> None:
        """Begin connecting; with `wait`, return once open or raise BrokerAway after that many seconds."""
        self._task = asyncio.create_task(self._keep_open(), name=f"link {self._name}")
        if wait is None:
            return
        try:
            async with asyncio.timeout(wait):
                await self._opened.wait()
        except TimeoutError:
            raise BrokerAway(f"{self._name}: not connected after {wait} s") from None

    async def stop(self) -> None:
        """Close the connection for good."""
        # Said as well as cancelled: the library turns a cancellation that meets it while connecting into an error.
        self._stopped = True
        if self._task is not None:
            await end(self._task)
        await self._close()

    def reset(self) -> None:
        """Give the present connection up (it is not to be trusted); a new one is opened."""
        self._lost.set()

    def heard(self) -> None:
        """The broker has confirmed or delivered something: no need to ask it how it is."""
        self._heard_at = time.monotonic()

    async def _keep_open(self) -> None:
        failures = 0
        while True:
            try:
                with library_endings():
                    await self._open()
                    failures = 0
                    self._opened.set()
                    await self._until_lost()
                log.warning("broker connection lost", link=self._name)
            except LINK_ERRORS as error:
                log.warning("broker not reached", link=self._name, error=repr(error))
            except Exception:
                # Nobody waits for this task: whatever the library raises, without it the process stays deaf for ever.
                log.exception("broker not reached, nobody knows why", link=self._name)
            self._opened.clear()
            if self._on_lost is not None:
                self._on_lost()
            await self._close()
            if self._stopped:
                return
            await asyncio.sleep(RECONNECT_SECONDS[min(failures, len(RECONNECT_SECONDS) - 1)])
            failures += 1

    async def _open(self) -> None:
        async with asyncio.timeout(CONNECT_SECONDS):
            self._connection = await aio_pika.connect(
                self._url,
                timeout=CONNECT_SECONDS,
                client_properties={"connection_name": self._name},
                heartbeat=HEARTBEAT_SECONDS,
            )
            channel = await self._connection.channel(
                publisher_confirms=self._confirms, on_return_raises=self._confirms
            )
        # A new one each time: what an earlier connection says late is not about this one.
        self._lost = lost = asyncio.Event()
        self._connection.close_callbacks.add(lambda *_: lost.set())
        channel.close_callbacks.add(lambda *_: lost.set())
        # A queue that was deleted takes its consumer along and leaves the channel open: begin anew, declare, consume.
        underlay = await channel.get_underlay_channel()
        underlay.on_consumer_cancel_callbacks.add(lambda *_: lost.set())
        if self._probes:
            # First: a node without a majority lets a declaration wait for half a minute.
            self._probe = await QuorumProbe.of(self._connection)
            await self._probe_quorum(self._probe)
        if self._on_open is not None:
            async with asyncio.timeout(OPEN_SECONDS):
                await self._on_open(channel)
        self._channel = channel

    async def _until_lost(self) -> None:
        """Return when the connection is lost. Raises one of LINK_ERRORS when the quorum probe fails."""
        while not self._lost.is_set():
            quiet = time.monotonic() - self._heard_at
            if self._probe is not None and quiet >= QUIET_SECONDS:
                await self._probe_quorum(self._probe)
                continue
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(None if self._probe is None else QUIET_SECONDS - quiet):
                    await self._lost.wait()

    async def _probe_quorum(self, probe: QuorumProbe) -> None:
        await probe.check()
        self.heard()

    async def _close(self) -> None:
        connection, self._connection, self._channel = self._connection, None, None
        self._probe = None
        if connection is None or connection.is_closed:
            return
        # Not cancelled and waited for: with bytes unsent the library's closing does not end before TCP gives up.
        closing = asyncio.ensure_future(connection.close())
        self._closing.add(closing)
        closing.add_done_callback(self._closed)
        done, _ = await asyncio.wait({closing}, timeout=CLOSE_SECONDS)
        if not done:
            closing.cancel()
            log.info("broker connection did not close in time", link=self._name)

    def _closed(self, closing: "asyncio.Future[None]") -> None:
        self._closing.discard(closing)
        if not closing.cancelled() and (error := closing.exception()) is not None:
            log.info("broker connection did not close cleanly", link=self._name, error=repr(error))
