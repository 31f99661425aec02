"""A crowd that buys while something breaks: the load client on real gateways, and the verdict afterwards.

In: running processes, how many buyers, a seed. Out: the history, checked against the database, and the audit.
Must stay true: the verdict is only given once every command has an end; progress, not time, says when to break things.
"""

import asyncio
import contextlib
import itertools
import json
import os
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

from db.mysql.database import Database
from gateway.accounts.tokens import Tokens, parse_keys
from scripts.benching.loads.many_accounts import add_accounts
from scripts.proving.buyers import Buyer, BuyerLoad, More, Plan
from scripts.proving.checking import check
from scripts.proving.history import History
from tests.faults.proof import END_SECONDS, proven
from tests.harness.accounts import person
from tests.harness.command_client import CommandClient
from tests.harness.processes import Process, Processes
from tests.harness.scratch import JWT_KEYS
from tests.harness.seeds import seeds
from tests.harness.waiting import eventually
from tests.harness.workers import running_workers
from tests.integration.payments.payment_client import set_rate

EVERYBODY = (
    "inventory-1",
    "inventory-2",
    "order-1",
    "payment-1",
    "quote-1",
    "admission-1",
    "notify-1",
    "relay-1",
)
"""Every worker. The feed of `quote` is the fake one (contracts/runtime/settings.py): no request leaves this machine."""
GATEWAYS = ("gateway-1", "gateway-2")
SEED = seeds()[0]
"""Of what runs once; tests that take `seed` run once for each of the run's."""
FEED_SECONDS = 5
"""How often the fake feed is asked where servers break: the quote worker is at work then as well."""
GRACE_SECONDS = 10.0
"""How long after the last deadline the verdict is given at the latest."""


async def start_processes(processes: Processes, names: Sequence[str]) -> dict[str, Process]:
    """Start processes side by side and wait until all are ready."""
    started = await asyncio.gather(*(processes.start(name, ready=False) for name in names))
    await asyncio.gather(*(one.ready() for one in started))
    return {one.name: one for one in started}


async def ticket_types_on_sale(
    client: CommandClient, database: Database, *quotas: tuple[int, ...]
) -> list[list[int]]:
    """Ticket types on sale, one event per tuple of quotas, and a rate to pay by: near the fake feed's own."""
    organizer = await person(database, "ORGANIZER")
    await set_rate(database, "BTC", "64000")
    async with running_workers(client.settings, "inventory-9"):
        return [(await client.sale(organizer, *event))[1] for event in quotas]


async def buyers(database: Database, count: int, name: str) -> list[Buyer]:
    """So many accounts of their own, with tokens."""
    emails = [f"{name}-{number}@example.test" for number in range(count)]
    ids, since = await add_accounts(database, emails, "!", ("USER",))
    tokens = Tokens(parse_keys(JWT_KEYS), 3600)
    return [Buyer(user_id, tokens.issue(user_id, ("USER",), since)) for user_id in ids]


def newcomers(database: Database, name: str) -> More:
    """Buyers without end, a thousand accounts at a time: `BuyerLoad.enough` is the end."""
    numbers = itertools.count()
    return lambda: buyers(database, 1000, f"{name}-{next(numbers)}")


@contextlib.asynccontextmanager
async def crowd(
    plan: Plan, accounts: Sequence[Buyer], folder: Path, more: More | None = None
) -> AsyncIterator[BuyerLoad]:
    """Let them buy beside the block, and whoever `more` sends; when it ends, wait for the last of them."""
    with (folder / "history.jsonl").open("w") as file:
        history = History(file)
        load = BuyerLoad(plan, accounts, history, more)
        task = asyncio.create_task(load.run())
        try:
            yield load
            await task
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


async def progress(load: BuyerLoad, done: int) -> None:
    """Wait until so many buyers are through."""

    async def look() -> bool:
        return load.done >= done

    await eventually(look, within=END_SECONDS, every=0.02)


async def rates_go_on(database: Database) -> None:
    """Wait until the quote worker has stored what the feed says now."""
    newest = "SELECT MAX(received_at) FROM rates"
    before = await database.read(newest)

    async def look() -> bool:
        return await database.read(newest) != before

    await eventually(look, within=END_SECONDS, every=0.2)


async def verdict(
    database: Database,
    load: BuyerLoad,
    what: str,
    seed: int = SEED,
    *,
    deadline: float | None = None,
) -> None:
    """The books add up, nothing is under way, nobody was told a lie.

    deadline: of commands, in seconds, where messages are lost on purpose: what was accepted may have come to nothing.
    """
    await proven(database)
    history = load.history

    async def look() -> bool:
        lies = await check(database, history.operations, deadline=deadline)
        assert not lies, "\n".join(lies)
        return True

    # Until then a command that is lost cannot be told from one that will still be decided.
    await eventually(
        look, within=deadline + GRACE_SECONDS if deadline is not None else 0, every=0.5
    )
    counts = history.counts()
    assert counts.get("ok", 0) > 0, f"nobody bought anything: {counts}"
    note(what, counts, seed)


def note(what: str, counts: dict[str, int], seed: int = SEED) -> None:
    """A line for the report of scripts/prove, when it runs us."""
    report = os.environ.get("EVENTHUB_PROVE_NOTES")
    if report:
        with open(report, "a", encoding="utf-8") as lines:
            lines.write(json.dumps({"what": what, "seed": seed, **counts}) + "\n")
