"""CreateQuote: a price in an asset for an unpaid order.

In: commands in the order they came. Out: a decision each; QuoteCreated per new quote.
Must stay true: rows are locked in the one order (events, orders, payments) for the whole batch first; each
command is decided on the state that those before it left; a new quote and its order's later end are committed
together.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from contracts.commands import CreateQuote
from contracts.events import QuoteCreated
from contracts.orders import PaymentStatus
from contracts.problems import Code, Problem
from contracts.rates import Rate, RateLimits, quotable
from contracts.resources import OrderRow, PaymentRow, payment_resource
from db import orders, payments, rates
from db import stock as stocks
from db.messages.outbox import NewEvent
from db.orders import LockedOrder
from db.payments import NewQuote
from db.stock import EventState
from workers.payment.quoting import PendingQuote, Priced, Reused, outdated, over, price, reusable
from workers.runtime.handlers import (
    Context,
    Decision,
    Received,
    not_found,
    rejected,
    succeeded,
)

_CLOSED = rejected(Problem(Code.SALES_CLOSED, "The event is cancelled or over."))


@dataclass(slots=True)
class _QuotingState:
    """What the batch has locked, as the commands so far have left it.

    A quote that is to be stored has a negative key until it has its id.
    """

    events: dict[int, EventState]
    locked: dict[int, LockedOrder]
    orders: dict[int, OrderRow]
    pending: dict[int, list[PendingQuote]]
    rates: dict[rates.Pair, list[Rate]]
    rows: dict[int, PaymentRow]
    new: list[NewQuote] = field(default_factory=list)
    ended: set[int] = field(default_factory=set)
    later: dict[int, datetime] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Quoted:
    """The answer to a command, its quote by key; `anew` makes it a 201 and an event."""

    key: int
    anew: bool


async def create_quotes(
    context: Context, commands: Sequence[Received[CreateQuote]]
) -> list[Decision]:
    """Decide a batch of quotes, one after the other on locked rows, then write them all."""
    state = await _lock(context, commands)
    answers = [_decide(context, one, state) for one in commands]
    await _write(context, state)
    return [
        answer if isinstance(answer, Decision) else _decision(answer, state) for answer in answers
    ]


async def _lock(context: Context, commands: Sequence[Received[CreateQuote]]) -> _QuotingState:
    transaction = context.transaction
    asked = {one.message.order_id for one in commands}
    event_of = await payments.events_of(transaction, asked)
    events = await stocks.share_events(transaction, event_of.values()) if event_of else {}
    locked = await orders.lock(transaction, event_of)
    pending = await payments.pending_of(transaction, locked) if locked else {}
    quotes = await payments.lock(transaction, pending)
    currency = {order_id: one.row.currency for order_id, one in locked.items()}
    pairs = {
        (one.message.asset, currency[one.message.order_id])
        for one in commands
        if one.message.order_id in currency
    }
    by_order: dict[int, list[PendingQuote]] = {order_id: [] for order_id in locked}
    for quote in quotes.values():
        row = quote.row
        by_order[row.order_id].append(
            PendingQuote(
                row.id, row.asset, row.status, quote.total_cost, quote.items_version, row.expires_at
            )
        )
    return _QuotingState(
        events=events,
        locked=locked,
        orders={order_id: one.row for order_id, one in locked.items()},
        pending=by_order,
        rates=await rates.of_pairs(transaction, pairs),
        rows={payment_id: quote.row for payment_id, quote in quotes.items()},
    )


def _decide(
    context: Context, one: Received[CreateQuote], state: _QuotingState
) -> Decision | _Quoted:
    command = one.message
    order = state.orders.get(command.order_id)
    if order is None or order.user_id != command.principal.user_id:
        return not_found("order")
    if refusal := over(order, context.now):
        return rejected(refusal)
    event = state.events[order.event_id]
    if event.cancelled or event.end_time <= context.now:
        return _CLOSED
    quotes = state.pending[order.id]
    found = reusable(order, quotes, command.asset, context.now)
    if isinstance(found, Reused):
        return _Quoted(found.key, anew=False)
    return _price(context, one, order, state)


def _price(
    context: Context, one: Received[CreateQuote], order: OrderRow, state: _QuotingState
) -> Decision | _Quoted:
    settings, asset = context.settings, one.message.asset
    rate = quotable(
        state.rates[asset, order.currency],
        context.now,
        RateLimits.of(settings),
    )
    priced = price(
        order,
        asset,
        rate,
        context.now,
        quote_ttl=settings.quote_ttl,
        max_hold=settings.max_hold,
    )
    if isinstance(priced, Problem):
        return rejected(priced)
    return _Quoted(_add(context, one, order, priced, state), anew=True)


def _add(
    context: Context,
    one: Received[CreateQuote],
    order: OrderRow,
    priced: Priced,
    state: _QuotingState,
) -> int:
    """Note the new quote and all that it changes; its key until it has an id."""
    quotes = state.pending[order.id]
    gone = set(outdated(order, quotes, context.now))
    state.ended |= gone
    state.new.append(
        NewQuote(
            order_id=order.id,
            asset=one.message.asset,
            quote_rate=priced.rate.rate,
            amount_crypto=priced.amount_crypto,
            total_cost=order.total_cost,
            items_version=order.items_version,
            expires_at=priced.expires_at,
            rate_source=priced.rate.source,
            rate_observed_at=priced.rate.observed_at,
            command=one.uuid,
        )
    )
    key = -len(state.new)
    added = PendingQuote(
        key,
        one.message.asset,
        PaymentStatus.PENDING,
        order.total_cost,
        order.items_version,
        priced.expires_at,
    )
    state.pending[order.id] = [quote for quote in quotes if quote.key not in gone] + [added]
    if priced.order_expires_at > order.expires_at:
        state.later[order.id] = priced.order_expires_at
        state.orders[order.id] = replace(order, expires_at=priced.order_expires_at)
    return key


async def _write(context: Context, state: _QuotingState) -> None:
    """Orders, then what ended, then the new quotes; `state` ends up with the rows as stored."""
    transaction, now = context.transaction, context.now
    changes = [(state.locked[order_id].row, end) for order_id, end in state.later.items()]
    for order in orders.extend(transaction, changes, "quoted", now):
        state.orders[order.id] = order
    await payments.end(transaction, state.ended, now)
    stored = await payments.insert(transaction, state.new, now)
    state.rows.update({-n: row for n, row in enumerate(stored, 1)})


def _decision(quoted: _Quoted, state: _QuotingState) -> Decision:
    row = state.rows[quoted.key]
    # Nothing was shown for it yet: money that comes too late makes a pending payment LATE.
    resource = payment_resource(row, ())
    if not quoted.anew:
        return succeeded(200, resource)
    order = state.orders[row.order_id]
    event = QuoteCreated(
        payment=resource,
        user_id=order.user_id,
        event_id=order.event_id,
        organizer_id=state.locked[order.id].organizer_id,
    )
    happened = NewEvent(event, f"order:{order.id}", order.version, order.event_id)
    location = f"/api/payments/{row.id}"
    return succeeded(201, resource, location=location, events=(happened,))
