"""AddItems: more tickets for unpaid orders.

In: commands in the order they came. Out: a decision each; OrderItemsAdded per order, StockChanged per step.
Must stay true: rows are locked in the one order (events, ticket types, orders), for the whole batch first; then each
command is decided on the state that those before it left; the order's end does not move.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from decimal import Decimal

from contracts.commands import AddItems
from contracts.events import OrderItemsAdded
from contracts.orders import OrderStatus
from contracts.problems import Code, Problem
from contracts.resources import OrderDetailRow, OrderRow, order_resource
from db import holdings, orders
from db import stock as stocks
from db.holdings import Holding, Person
from db.messages.outbox import NewEvent
from db.stock import EventState, Stock
from workers.inventory.allocation import (
    AllocationGranted,
    AllocationRefused,
    AllocationRequest,
    allocate,
)
from workers.inventory.placing import (
    NOT_A_USER,
    holding_queries,
    new_lines,
    refusal_decisions,
    stock_events,
)
from workers.runtime.handlers import (
    Context,
    Decision,
    Received,
    not_found,
    rejected,
    succeeded,
)


class _AddingState:
    """What the batch has locked, as the commands so far have left it."""

    def __init__(
        self,
        events: dict[int, EventState],
        stock: dict[int, Stock],
        locked: dict[int, orders.LockedOrder],
        details: Mapping[int, Sequence[OrderDetailRow]],
        held: dict[Person, Holding],
    ) -> None:
        self.events, self.stock, self.held = events, stock, held
        self.orders = {order_id: one.row for order_id, one in locked.items()}
        self.details: dict[int, list[OrderDetailRow]] = {
            order_id: list(lines) for order_id, lines in details.items()
        }


async def add_items(context: Context, commands: Sequence[Received[AddItems]]) -> list[Decision]:
    """Decide a batch of additions, one after the other on locked rows."""
    transaction = context.transaction
    messages = [one.message for one in commands]
    events = await stocks.share_events(transaction, (one.event_id for one in messages))
    types = {item.ticket_type_id for one in messages for item in one.items}
    stock = await stocks.read(transaction, types, lock=True)
    locked = await orders.lock(transaction, (one.order_id for one in messages))
    details = await orders.details(transaction, locked)
    # After the locks: what others hold of these types cannot change before this transaction ends.
    _, tickets = holding_queries(map(_asked, messages), context.settings)
    held = await holdings.read(transaction, None, tickets)
    state = _AddingState(events, stock, locked, details, held)
    return [await _add(context, one, state) for one in commands]


async def _add(context: Context, one: Received[AddItems], state: _AddingState) -> Decision:
    command = one.message
    if not command.principal.has(("USER",)):
        return NOT_A_USER
    order = state.orders.get(command.order_id)
    if order is None or order.user_id != command.principal.user_id:
        return not_found("order")
    if order.event_id != command.event_id:
        detail = "The ticket types of an order belong to one event."
        return rejected(Problem(Code.INVALID, detail))
    if order.status != OrderStatus.PENDING_PAYMENT or order.expires_at <= context.now:
        return rejected(
            Problem(Code.ORDER_NOT_PENDING, f"Order {order.id} is not waiting for payment.")
        )
    answer = _allocate(context, command, order, state)
    if isinstance(answer, AllocationRefused):
        return (await refusal_decisions(context.transaction, [answer]))[answer]
    return await _store(context, one, order, answer, state)


def _allocate(
    context: Context, command: AddItems, order: OrderRow, state: _AddingState
) -> AllocationGranted | AllocationRefused:
    already: dict[int, int] = {}
    for line in state.details[order.id]:
        already[line.ticket_type_id] = already.get(line.ticket_type_id, 0) + line.quantity
    request = replace(_asked(command), already=already, total_before=order.total_cost)
    held = state.held
    answers = allocate(state.stock, state.events, [request], context.now, holdings=held).answers
    return answers[0]


def _asked(command: AddItems) -> AllocationRequest:
    items = tuple((item.ticket_type_id, item.quantity) for item in command.items)
    who = command.principal
    return AllocationRequest(
        command.event_id, items, who.user_id, is_admin=who.has(("ADMIN",)), adds=True
    )


async def _store(
    context: Context,
    one: Received[AddItems],
    order: OrderRow,
    grant: AllocationGranted,
    state: _AddingState,
) -> Decision:
    transaction = context.transaction
    quantities = {type_id: quantity for type_id, quantity, _ in grant.lines}
    after = stocks.take(transaction, state.stock, quantities, context.now)
    total: Decimal = order.total_cost + grant.cost
    row = orders.change(transaction, order, context.now, "items_added", total_cost=total)
    added_lines = new_lines(grant, after, row.items_version)
    lines = [(order.id, one.uuid, line) for line in added_lines]
    orders.insert_lines(transaction, lines, context.now)
    state.stock.update(after)
    person = (order.user_id, order.event_id)
    holding = state.held.setdefault(person, Holding())
    for type_id, quantity in quantities.items():
        holding.tickets[type_id] = holding.tickets.get(type_id, 0) + quantity
    state.orders[order.id] = replace(row)
    state.details[order.id] += [line.detail for line in added_lines]
    resource = order_resource(row, state.details[order.id])
    organizer = state.events[order.event_id].organizer_id
    added = OrderItemsAdded(order=resource, organizer_id=organizer, items_version=row.items_version)
    happened = NewEvent(added, f"order:{row.id}", row.version, row.event_id)
    location = f"/api/orders/{row.id}"
    return succeeded(201, resource, location=location, events=(happened, *stock_events(after)))
