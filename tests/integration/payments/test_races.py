"""A confirmation against whatever else may happen to its order in the same moment: one winner, no money lost.

Each seed shuffles who comes first; two payment workers, inventory and order run side by side.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

import pytest

from contracts.commands import Command
from contracts.outcomes import Outcome
from contracts.problems import Code
from db.mysql.database import Database
from tests.harness.accounts import Person, person
from tests.harness.command_client import CommandClient, place, result
from tests.harness.seeds import seeds
from tests.harness.waiting import eventually
from tests.integration.payments.payment_client import (
    add,
    body,
    cancel,
    cancel_event,
    confirm,
    fresh_hash,
    order_row,
    payment_status,
    quote,
    receipts,
    set_rate,
)

ORDERS = 5
SEEDS = [
    *range(18),
    *seeds()[1:],
    *(pytest.param(seed, marks=pytest.mark.full) for seed in range(18, 200)),
]


@dataclass(frozen=True, slots=True)
class Entry:
    """One order of the race, its quote, the hash that is shown for it."""

    buyer: Person
    event_id: int
    ticket_type: int
    order_id: int
    payment_id: int
    tx_hash: str


@pytest.fixture(autouse=True)
async def clean(database: Database) -> None:
    """An asset whose rate no other test touches, new for each: a full run takes longer than a rate lives."""
    await set_rate(database, "RACE", "64000")


async def start(client: CommandClient) -> tuple[Person, list[Entry]]:
    """An event with some unpaid, quoted orders of different buyers."""
    organizer = await person(client.database, "ORGANIZER")
    event_id, (ticket_type,) = await client.sale(organizer, 100)
    buyers = [await person(client.database) for _ in range(ORDERS)]
    placed = await ask_all(client, [place(one, event_id, (ticket_type, 1)) for one in buyers])
    ids = [int(str(result(one)["id"])) for one in placed]
    pairs = list(zip(buyers, ids, strict=True))
    quoted = await ask_all(client, [quote(buyer, order_id, "RACE") for buyer, order_id in pairs])
    return organizer, [
        Entry(buyer, event_id, ticket_type, order_id, int(body(one)["id"]), fresh_hash())
        for (buyer, order_id), one in zip(pairs, quoted, strict=True)
    ]


async def ask_all(client: CommandClient, commands: Sequence[Command]) -> list[Outcome]:
    """Send all at once; their outcomes in order."""
    return [await client.outcome(uuid) for uuid in await send_all(client, commands)]


async def send_all(client: CommandClient, commands: Sequence[Command]) -> list[bytes]:
    """Publish all at once; their UUIDs in order."""
    return await asyncio.gather(*(client.send(command) for command in commands))


async def race(
    client: CommandClient, seed: int, entries: Sequence[Entry], rivals: Sequence[Command]
) -> tuple[list[Outcome], list[Outcome]]:
    """Confirm every entry and send the rivals, in an order that the seed decides; (confirmed, rivals).

    Every other seed gives the confirmations a head start of one publish: they have more to look at than a cancel.
    """
    commands = [confirm(one.buyer, one.payment_id, one.tx_hash) for one in entries] + list(rivals)
    order = random.Random(seed).sample(range(len(commands)), len(commands))
    ahead = [n for n in order if n < len(entries)] if seed % 2 else order
    behind = [n for n in order if n not in ahead]
    sent = dict(zip(ahead, await send_all(client, [commands[n] for n in ahead]), strict=True))
    sent |= zip(behind, await send_all(client, [commands[n] for n in behind]), strict=True)
    outcomes = [await client.outcome(sent[n]) for n in range(len(commands))]
    return outcomes[: len(entries)], outcomes[len(entries) :]


async def settled(client: CommandClient, entry: Entry, confirmed: Outcome) -> bool:
    """Whether the entry was paid; asserts that payment, receipt and order agree on it."""
    database = client.database
    status, (shown,) = (
        await payment_status(database, entry.payment_id),
        [one for one in await receipts(database, entry.payment_id) if one[0] == entry.tx_hash],
    )
    order_status = (await order_row(database, entry.order_id))[0]
    if confirmed.status_code == 200:
        assert (status, shown[1], order_status) == ("CONFIRMED", "APPLIED", "CONFIRMED")
        return True
    assert confirmed.code in (Code.ORDER_NOT_PENDING, Code.QUOTE_EXPIRED)
    assert body(confirmed)["paymentStatus"] == "LATE"
    assert shown[1] == "LATE"
    return False


@pytest.mark.parametrize("seed", SEEDS)
async def test_confirm_against_cancel(client: CommandClient, seed: int) -> None:
    """Paid and not cancelled, or cancelled and the money late."""
    _, entries = await start(client)
    rivals = [cancel(one.buyer, one.order_id) for one in entries]
    for entry, confirmed, other in zip(
        entries, *await race(client, seed, entries, rivals), strict=True
    ):
        paid = await settled(client, entry, confirmed)
        assert (other.code == Code.ORDER_NOT_PENDING) == paid
        assert paid or confirmed.code == Code.ORDER_NOT_PENDING
        assert paid or (await order_row(client.database, entry.order_id))[0] == "CANCELLED"


@pytest.mark.parametrize("seed", SEEDS)
async def test_confirm_against_a_second_confirm(client: CommandClient, seed: int) -> None:
    """Two hashes for one quote: one buys, the other is owed back."""
    _, entries = await start(client)
    rivals = [confirm(one.buyer, one.payment_id, fresh_hash()) for one in entries]
    for entry, first, second in zip(
        entries, *await race(client, seed, entries, rivals), strict=True
    ):
        assert sorted((first.status_code, second.status_code)) == [200, 409]
        late = first if first.status_code == 409 else second
        assert (late.code, body(late)["paymentStatus"]) == (Code.ORDER_NOT_PENDING, "LATE")
        found = await receipts(client.database, entry.payment_id)
        assert sorted(status for _, status in found) == ["APPLIED", "LATE"]
        assert await payment_status(client.database, entry.payment_id) == "CONFIRMED"


@pytest.mark.parametrize("seed", SEEDS)
async def test_confirm_against_another_quote_of_the_order(client: CommandClient, seed: int) -> None:
    """Two quotes of one order, both paid: one buys, the other's money is late."""
    _, entries = await start(client)
    await set_rate(client.database, "RIVAL", "3000")
    asked = [quote(one.buyer, one.order_id, "RIVAL") for one in entries]
    others = [int(body(one)["id"]) for one in await ask_all(client, asked)]
    rivals = [confirm(e.buyer, o, fresh_hash()) for e, o in zip(entries, others, strict=True)]
    confirmed, second = await race(client, seed, entries, rivals)
    for entry, other, first, last in zip(entries, others, confirmed, second, strict=True):
        assert sorted((first.status_code, last.status_code)) == [200, 409]
        await settled(client, entry, first)
        statuses = [await payment_status(client.database, p) for p in (entry.payment_id, other)]
        assert sorted(statuses) == ["CONFIRMED", "LATE"]


@pytest.mark.parametrize("seed", SEEDS)
async def test_confirm_against_added_items(client: CommandClient, seed: int) -> None:
    """Paid for the old total and nothing added, or added and the old quote's money late."""
    _, entries = await start(client)
    rivals = [add(one.buyer, one.event_id, one.order_id, one.ticket_type) for one in entries]
    for entry, confirmed, added in zip(
        entries, *await race(client, seed, entries, rivals), strict=True
    ):
        paid = await settled(client, entry, confirmed)
        assert added.status_code == (409 if paid else 201)
        assert paid or confirmed.code == Code.QUOTE_EXPIRED
        assert paid or (await order_row(client.database, entry.order_id))[0] == "PENDING_PAYMENT"


@pytest.mark.parametrize("seed", SEEDS)
async def test_confirm_against_expiry(client: CommandClient, seed: int) -> None:
    """The deadline falls into the race: paid in time, or expired and the money late.

    Order and quote end in the same moment, and two sweeps say so: the confirmation may meet either first.
    """
    _, entries = await start(client)
    chance = random.Random(seed)
    for entry in entries:
        await client.database.write(
            "UPDATE orders o JOIN payments p ON p.order_id = o.id SET "
            "o.expires_at = UTC_TIMESTAMP(6) + INTERVAL %s MICROSECOND, p.expires_at = o.expires_at "
            "WHERE o.id = %s",
            chance.randrange(1_000, 50_000),
            entry.order_id,
        )
    confirmed, _ = await race(client, seed, entries, [])
    for entry, outcome in zip(entries, confirmed, strict=True):
        if not await settled(client, entry, outcome):
            assert outcome.code in (Code.ORDER_NOT_PENDING, Code.QUOTE_EXPIRED)
            await eventually(_ended(client, entry, "EXPIRED"))


@pytest.mark.parametrize("seed", SEEDS)
async def test_confirm_against_the_event_s_cancellation(client: CommandClient, seed: int) -> None:
    """The event stays because somebody paid, or it goes, nobody paid and all orders end."""
    organizer, entries = await start(client)
    rival = cancel_event(organizer, entries[0].event_id)
    confirmed, (cancelled,) = await race(client, seed, entries, [rival])
    paid = [await settled(client, e, one) for e, one in zip(entries, confirmed, strict=True)]
    if cancelled.status_code == 200:
        assert not any(paid)
        assert {one.code for one in confirmed} == {Code.ORDER_NOT_PENDING}
        for entry in entries:
            await eventually(_ended(client, entry, "CANCELLED"))
    else:
        assert cancelled.code == Code.EVENT_HAS_SALES
        assert any(paid)


def _ended(client: CommandClient, entry: Entry, status: str) -> Callable[[], Awaitable[bool]]:
    async def look() -> bool:
        return (await order_row(client.database, entry.order_id))[0] == status

    return look
