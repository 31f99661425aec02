"""A crowd of buyers who all want a ticket: each signs in with a token of their own, asks once and waits for the answer.

In: tokens, a ticket type, how long the crowd takes to arrive. Out: a `Tally`, up to date at every moment.
Must stay true: every buyer ends in exactly one of the tally's columns; a buyer whose connection failed counts as
unanswered, not as refused; the time of an answer runs from the moment the buyer wanted the ticket.
"""

import asyncio
import random
import resource
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import aiohttp

SPARE_FILES = 200
WAIT_SECONDS = 30
GIVE_UP_SECONDS = 60.0


@dataclass(slots=True)
class Tally:
    """How the crowd fares. times: seconds to the answer; accepted_at: seconds since the first buyer asked."""

    buyers: int
    offered: int = 0
    accepted: int = 0
    lost: Counter[str] = field(default_factory=Counter)
    """Buyers without an answer, by what they saw instead: an error of the line, or UNDECIDED (202)."""
    refused: Counter[str] = field(default_factory=Counter)
    times: list[float] = field(default_factory=list)
    accepted_at: list[float] = field(default_factory=list)
    order_ids: set[int] = field(default_factory=set)
    began: float = 0.0

    @property
    def sold_out(self) -> int:
        """Buyers who were told that nothing is left."""
        return self.refused["SOLD_OUT"]

    @property
    def unanswered(self) -> int:
        """Buyers who do not know."""
        return self.lost.total()

    @property
    def answered(self) -> int:
        """Buyers who know."""
        return self.accepted + self.refused.total()

    @property
    def done(self) -> int:
        """Buyers who need not wait any longer."""
        return self.answered + self.unanswered

    def percentile(self, share: float) -> float:
        """Milliseconds within which that share of the answers came; 0 without answers."""
        if not self.times:
            return 0.0
        ranked = sorted(self.times)
        return ranked[min(int(len(ranked) * share), len(ranked) - 1)] * 1000


def allow_connections(count: int) -> None:
    """Let this process open so many connections. Raises ValueError when the machine's limit is lower."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = count + SPARE_FILES
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(wanted, hard), hard))


async def rush(
    url: str, tokens: Sequence[str], ticket_type: int, tally: Tally, *, over: float
) -> None:
    """Send everybody, each at a moment of their own within `over` seconds, and wait until all are done."""
    allow_connections(len(tokens))
    loop = asyncio.get_running_loop()
    connector = aiohttp.TCPConnector(limit=0)
    timeout = aiohttp.ClientTimeout(total=GIVE_UP_SECONDS)
    async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:
        tally.began = loop.time()
        buyers = [
            _buy(session, url, token, ticket_type, tally, after=random.uniform(0, over))  # noqa: S311 - no secret in it
            for token in tokens
        ]
        await asyncio.gather(*buyers)


async def _buy(
    session: aiohttp.ClientSession,
    url: str,
    token: str,
    ticket_type: int,
    tally: Tally,
    *,
    after: float,
) -> None:
    await asyncio.sleep(after)
    loop = asyncio.get_running_loop()
    tally.offered += 1
    asked = loop.time()
    try:
        async with session.post(
            f"{url}/api/orders",
            json={"items": [{"ticketTypeId": ticket_type, "quantity": 1}]},
            headers={"Authorization": f"Bearer {token}", "Prefer": f"wait={WAIT_SECONDS}"},
        ) as answer:
            body = await answer.json(content_type=None)
            _note(tally, answer.status, body, loop.time() - asked)
    except (aiohttp.ClientError, TimeoutError) as error:
        tally.lost[type(error).__name__] += 1


def _note(tally: Tally, status: int, body: dict[str, object], seconds: float) -> None:
    if status == 202:
        tally.lost["UNDECIDED"] += 1
        return
    tally.times.append(seconds)
    if status == 201:
        tally.accepted += 1
        tally.accepted_at.append(asyncio.get_running_loop().time() - tally.began)
        tally.order_ids.add(int(str(body["id"])))
    else:
        tally.refused[str(body.get("code", status))] += 1
