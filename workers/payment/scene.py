"""The payment worker's self-test: a quote at a made-up rate, paid; another one that ends unpaid."""

from decimal import Decimal

from contracts.commands import ConfirmPayment, CreateQuote
from contracts.events import OrderCancelled, OrderExpired, OrderItemsAdded
from contracts.rates import Rate
from db import payments, rates
from workers.runtime.made_up import MadeUp, unpaid_order
from workers.runtime.self_test import NAME, Stage, made_up_hash

ASSET = "SELFTEST"
"""An asset of its own: real rates are read and written by others at any time."""


async def scene(stage: Stage) -> None:
    """Everything that the payment worker is asked for, once."""
    made = await unpaid_order(stage)
    rate = Rate(ASSET, made.row.currency, NAME, Decimal("1.25"), stage.now, stage.now)
    await rates.store(stage.transaction, [(rate, None)])
    quote = await stage.grant(CreateQuote, made.buyer, order_id=made.row.id, asset=ASSET)
    hashed = made_up_hash()
    await stage.grant(ConfirmPayment, made.buyer, payment_id=quote["id"], tx_hash=hashed)
    await _end_quotes(stage, await unpaid_order(stage))


async def _end_quotes(stage: Stage, made: MadeUp) -> None:
    quote = await stage.grant(CreateQuote, made.buyer, order_id=made.row.id, asset=ASSET)
    organizer = made.organizer.user_id
    for event in (OrderItemsAdded, OrderCancelled, OrderExpired):
        await stage.react(event(order=made.resource, organizer_id=organizer))
    await payments.past_their_time(stage.services.database, 1)
    await payments.end_past_their_time(stage.transaction, [quote["id"]])
