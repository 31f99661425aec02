"""How full the command queues are and how fast they drain: the Retry-After of a 429 BUSY.

In: the broker's management API, sampled in the background. Out: seconds until the backlog is gone.
Must stay true: no request waits for a sample; a number we tell is at least 1 and at most
`RETRY_SECONDS_MAX`, and is computed from what was measured last.
"""

import asyncio
import math
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, unquote, urlsplit

import aiohttp
import structlog

from contracts.problems import Code, Problem
from contracts.runtime.tasks import end
from gateway.http.problems import Refusal

log = structlog.get_logger(__name__)

SAMPLE_SECONDS = 5.0
SAMPLE_SECONDS_BUSY = 1.0
REQUEST_SECONDS = 3.0
RETRY_SECONDS_MAX = 60
RETRY_SECONDS_STUCK = 15
"""When nothing drains (no worker) or nothing is known: soon enough, and no stampede."""
_COLUMNS = "name,messages,message_stats.ack_details.rate"


@dataclass(frozen=True, slots=True)
class Backlog:
    """One queue: messages in it, messages acknowledged per second."""

    depth: int
    drain_rate: float


def retry_seconds(backlog: Backlog | None) -> int:
    """Whole seconds until the backlog will be gone at the rate it drains."""
    if backlog is None or backlog.drain_rate <= 0:
        return RETRY_SECONDS_STUCK
    return max(1, min(math.ceil(backlog.depth / backlog.drain_rate), RETRY_SECONDS_MAX))


def backlogs(document: Any) -> dict[str, Backlog]:
    """The answer of GET /api/queues/{vhost} as backlogs by queue; what is no queue is left out."""
    found: dict[str, Backlog] = {}
    for queue in document if isinstance(document, list) else ():
        rate = queue.get("message_stats", {}).get("ack_details", {}).get("rate", 0.0)
        found[queue["name"]] = Backlog(int(queue.get("messages", 0)), float(rate))
    return found


class Pressure:
    """The last sample, and the refusal that it makes."""

    def __init__(self) -> None:
        self._backlogs: Mapping[str, Backlog] = {}
        self._refused = asyncio.Event()

    def sampled(self, sample: Mapping[str, Backlog]) -> None:
        """Take a new sample."""
        self._backlogs = sample

    def refusal(self, queue: str) -> Refusal:
        """429 for a command that a full queue did not take; the next sample comes sooner."""
        self._refused.set()
        problem = Problem(
            Code.BUSY,
            "More is being asked for than can be decided right now; nothing was done.",
            retry_after=retry_seconds(self._backlogs.get(queue)),
        )
        return Refusal(problem)

    async def next_sample(self) -> None:
        """Return when it is time for a sample: every 5 s, after a refusal within one."""
        await asyncio.sleep(SAMPLE_SECONDS_BUSY)
        try:
            async with asyncio.timeout(SAMPLE_SECONDS - SAMPLE_SECONDS_BUSY):
                await self._refused.wait()
        except TimeoutError:
            pass  # nobody was refused: the regular sample
        self._refused.clear()


@asynccontextmanager
async def sampling(
    pressure: Pressure, management_url: str | None, amqp_url: str
) -> AsyncIterator[None]:
    """Sample for the length of the block; without a management URL nothing is ever known."""
    if management_url is None:
        yield
        return
    task = asyncio.create_task(_sample(pressure, management_url, amqp_url), name="pressure")
    try:
        yield
    finally:
        await end(task)


async def _sample(pressure: Pressure, management_url: str, amqp_url: str) -> None:
    parts = urlsplit(management_url)
    user, password = unquote(parts.username or ""), unquote(parts.password or "")
    headers = {"Authorization": aiohttp.encode_basic_auth(user, password)}
    vhost = quote(unquote(urlsplit(amqp_url).path.removeprefix("/")) or "/", safe="")
    address = f"{parts.scheme}://{parts.hostname}:{parts.port or 15672}/api/queues/{vhost}"
    timeout = aiohttp.ClientTimeout(total=REQUEST_SECONDS)
    async with aiohttp.ClientSession(headers=headers, timeout=timeout) as session:
        while True:
            try:
                async with session.get(address, params={"columns": _COLUMNS}) as response:
                    response.raise_for_status()
                    pressure.sampled(backlogs(await response.json()))
            except (aiohttp.ClientError, TimeoutError, ValueError) as error:
                log.info("queues not sampled", error=type(error).__name__)
            await pressure.next_sample()
