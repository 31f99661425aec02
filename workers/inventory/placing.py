"""PlaceOrder: a batch of new orders in one transaction.

In: commands in the order they came. Out: a decision each; OrderPlaced per order (and OrderConfirmed and TicketsIssued
when it costs nothing: there is nothing to pay), one StockChanged per ticket type.
Must stay true: ticket types are read without a lock and taken by version (the guard); the event's
row is shared first, so that it cannot be cancelled meanwhile; an order that is CONFIRMED here gets its tickets here.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from itertools import compress

from contracts.commands import AddItems, PlaceOrder
from contracts.events import (
    DomainEvent,
    OrderConfirmed,
    OrderPlaced,
    StockChanged,
    TicketsIssued,
)
from contracts.orders import OrderStatus
from contracts.problems import Code, Problem
from contracts.resources import OrderRow, order_resource
from contracts.runtime.settings import Settings
from contracts.sales import shortage_members
from contracts.tickets.ticket import by_order, tickets_issued, tickets_of
from db import holdings, orders
from db import stock as stocks
from db.messages.outbox import NewEvent
from db.mysql.database import Statement, Transaction
from db.stock import EventState, Stock
from db.tickets import tickets
from workers.inventory.allocation import (
    AllocationGranted,
    AllocationRefused,
    AllocationRequest,
    PersonLimits,
    allocate,
)
from workers.runtime.handlers import (
    Context,
    Decision,
    Received,
    rejected,
    succeeded,
)

NOT_A_USER = rejected(Problem(Code.FORBIDDEN, "Orders are for accounts with the role USER."))


def seats(command: PlaceOrder | AddItems) -> Iterable[tuple[int, int]]:
    """The (ticket type, event) pairs a command needs the seat lock of."""
    return [(item.ticket_type_id, command.event_id) for item in command.items]


def reads(commands: Sequence[Received[PlaceOrder]], settings: Settings) -> list[Statement]:
    """The events and ticket types of a batch, as `place_orders` begins."""
    allowed = [one.message for one in commands if _may_order(one)]
    types = [item.ticket_type_id for command in allowed for item in command.items]
    if not types:
        return []
    return [
        stocks.share_query(command.event_id for command in allowed),
        stocks.read_query(types, lock=False),
        *filter(None, holding_queries(map(wanted, allowed), settings)),
    ]


def holding_queries(
    requests: Iterable[AllocationRequest], settings: Settings
) -> tuple[Statement | None, Statement]:
    """What the buyers of a batch hold already: orders (None: they are not limited), and tickets of limited types."""
    asked = list(requests)
    persons = [one.person for one in asked]
    limited = settings.unpaid_orders or settings.hold_cooldown
    orders_of = holdings.order_query(persons, settings.hold_cooldown) if limited else None
    types = [type_id for one in asked for type_id, _ in one.items]
    return orders_of, holdings.ticket_query(persons, types)


def wanted(command: PlaceOrder) -> AllocationRequest:
    """A command as the rule wants it."""
    items = tuple((item.ticket_type_id, item.quantity) for item in command.items)
    who = command.principal
    return AllocationRequest(command.event_id, items, who.user_id, is_admin=who.has(("ADMIN",)))


async def place_orders(
    context: Context, commands: Sequence[Received[PlaceOrder]]
) -> list[Decision]:
    """Decide a batch of new orders."""
    allowed = [_may_order(one) for one in commands]
    orders_of_users = list(compress(commands, allowed))
    decisions = iter(await _place(context, orders_of_users) if orders_of_users else [])
    return [next(decisions) if may else NOT_A_USER for may in allowed]


def _may_order(one: Received[PlaceOrder]) -> bool:
    return one.message.principal.has(("USER",))


async def _place(context: Context, commands: Sequence[Received[PlaceOrder]]) -> list[Decision]:
    transaction = context.transaction
    requests = [wanted(one.message) for one in commands]
    events = await stocks.share_events(transaction, (one.event_id for one in requests))
    types = {type_id for one in requests for type_id, _ in one.items}
    stock = await stocks.read(transaction, types, lock=False)
    held = await holdings.read(transaction, *holding_queries(requests, context.settings))
    limits = PersonLimits(context.settings.unpaid_orders, context.settings.hold_cooldown)
    allocation = allocate(stock, events, requests, context.now, holdings=held, limits=limits)
    after = stocks.take(transaction, stock, allocation.taken, context.now)
    granted = [
        (one, answer)
        for one, answer in zip(commands, allocation.answers, strict=True)
        if isinstance(answer, AllocationGranted)
    ]
    placed = await _store(context, granted, events, after)
    issued = await _issue(context, [row for row, _ in placed])
    told = iter(placed)
    refusals = await refusal_decisions(transaction, allocation.answers)
    steps = stock_events(after)
    decisions = []
    for answer in allocation.answers:
        if isinstance(answer, AllocationRefused):
            decisions.append(refusals[answer])
            continue
        row, lines = next(told)
        # The batch's stock steps travel with its first order.
        organizer = events[row.event_id].organizer_id
        decisions.append(_placed(row, lines, organizer, issued.get(row.id), steps))
        steps = []
    return decisions


async def _store(
    context: Context,
    granted: Sequence[tuple[Received[PlaceOrder], AllocationGranted]],
    events: Mapping[int, EventState],
    after: Mapping[int, Stock],
) -> list[tuple[OrderRow, tuple[orders.NewLine, ...]]]:
    if not granted:
        return []
    # However long an unpaid order may wait, no order lives longer than the longest hold.
    lifetime = min(context.settings.order_ttl, context.settings.max_hold)
    expires_at = context.now + timedelta(seconds=lifetime)
    new = [
        orders.NewOrder(
            user_id=one.message.principal.user_id,
            event_id=one.message.event_id,
            total_cost=grant.cost,
            currency=grant.currency,
            expires_at=expires_at,
            command=one.uuid,
            lines=new_lines(grant, after),
            event_name=events[one.message.event_id].name,
        )
        for one, grant in granted
    ]
    rows = await orders.insert(context.transaction, new, context.now)
    return list(zip(rows, (order.lines for order in new), strict=True))


async def _issue(context: Context, rows: Sequence[OrderRow]) -> dict[int, list[int]]:
    """The tickets of new orders that are CONFIRMED already: order id -> their ids."""
    free = {row.id: row for row in rows if row.status == OrderStatus.CONFIRMED}
    if not free:
        return {}
    lines = await orders.details(context.transaction, free)
    owed = [ticket for row in free.values() for ticket in tickets_of(row, lines[row.id])]
    return by_order(await tickets.issue(context.transaction, owed, context.now))


def new_lines(
    grant: AllocationGranted, after: Mapping[int, Stock], items_version: int = 1
) -> tuple[orders.NewLine, ...]:
    """A grant's lines with the version step that takes them, and the order's version that they bring."""
    return tuple(
        orders.NewLine(
            type_id, quantity, price, after[type_id].version, items_version, after[type_id].name
        )
        for type_id, quantity, price in grant.lines
    )


def _placed(
    row: OrderRow,
    lines: Sequence[orders.NewLine],
    organizer: int,
    issued: list[int] | None,
    steps: Sequence[NewEvent],
) -> Decision:
    resource = order_resource(row, [line.detail for line in lines])
    happened: list[tuple[int, DomainEvent]] = [
        (1, OrderPlaced(order=resource, organizer_id=organizer))
    ]
    if issued is not None:
        told = tickets_issued(row, issued)
        happened += [
            (row.version, OrderConfirmed(order=resource, organizer_id=organizer)),
            (row.version, TicketsIssued(tickets=told, organizer_id=organizer)),
        ]
    events = [NewEvent(one, f"order:{row.id}", version, row.event_id) for version, one in happened]
    location = f"/api/orders/{row.id}"
    return succeeded(201, resource, location=location, events=(*events, *steps))


def stock_events(after: Mapping[int, Stock]) -> list[NewEvent]:
    """One StockChanged per ticket type that stepped."""
    return [
        NewEvent(
            StockChanged(
                ticket_type_id=one.id,
                event_id=one.event_id,
                version=one.version,
                quota=one.quota,
                available=one.available,
            ),
            f"ticket_type:{one.id}",
            one.version,
            one.event_id,
        )
        for one in after.values()
    ]


async def refusal_decisions(
    transaction: Transaction, answers: Iterable[AllocationGranted | AllocationRefused]
) -> dict[AllocationRefused, Decision]:
    """The decision of each refusal; those that are sold out say what is held and until when."""
    refused = {answer for answer in answers if isinstance(answer, AllocationRefused)}
    short = {answer.ticket_type_id for answer in refused if answer.ticket_type_id is not None}
    shortages = await stocks.shortages(transaction, short)
    decisions = {}
    for answer in refused:
        extra: dict[str, object] = {}
        if answer.ticket_type_id is not None:
            shortage = shortages[answer.ticket_type_id]
            extra = shortage_members(answer.available, shortage.held, shortage.next_release_at)
        problem = Problem(answer.code, answer.detail, extra, retry_after=answer.retry_after)
        decisions[answer] = rejected(problem)
    return decisions
