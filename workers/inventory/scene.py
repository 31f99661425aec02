"""Inventory's self-test: an event on sale, sold, given back, taken off again."""

from datetime import timedelta
from typing import Any

from contracts.commands import (
    AddItems,
    CancelEvent,
    CreateEvent,
    CreateTicketType,
    DeleteTicketType,
    OrderItem,
    PlaceOrder,
    UpdateEvent,
    UpdateTicketType,
)
from contracts.events import OrderCancelled, OrderExpired
from contracts.orders import OrderStatus
from contracts.runtime.times import to_wire
from db import orders
from workers.runtime.self_test import NAME, Stage


async def scene(stage: Stage) -> None:
    """Everything that inventory is asked for, once."""
    organizer, buyer = stage.account("ORGANIZER"), stage.account("USER")
    start, end = (to_wire(stage.now + timedelta(days=days)) for days in (1, 2))
    event = await stage.grant(CreateEvent, organizer, name=NAME, start_time=start, end_time=end)
    about = {"event_id": event["id"]}
    await stage.grant(UpdateEvent, organizer, **about, patch={"venue": NAME})
    await stage.grant(UpdateEvent, organizer, **about, patch={"salesPaused": True})
    await stage.grant(UpdateEvent, organizer, **about, patch={"salesPaused": False})
    fields: dict[str, Any] = {"price": "49.90", "currency": "USD", "quota": 10, "max_per_order": 5}
    seats = await stage.grant(CreateTicketType, organizer, **about, name=NAME, **fields)
    one = about | {"ticket_type_id": seats["id"]}
    await stage.grant(UpdateTicketType, organizer, **one, patch={"quota": 11})
    items = (OrderItem(ticket_type_id=seats["id"], quantity=1),)
    order = await stage.grant(PlaceOrder, buyer, **about, items=items)
    await stage.grant(AddItems, buyer, **about, order_id=order["id"], items=items)
    await _give_back(stage, order, organizer.user_id)
    await stage.grant(DeleteTicketType, organizer, **one)
    await stage.grant(CancelEvent, organizer, **about)


async def _give_back(stage: Stage, order: dict[str, Any], organizer_id: int) -> None:
    """The order ends as the order worker would end it, and its tickets come back."""
    locked = await orders.lock(stage.transaction, [order["id"]])
    rows = [one.row for one in locked.values()]
    orders.end(stage.transaction, rows, OrderStatus.CANCELLED, "buyer", stage.now)
    await stage.react(OrderCancelled(order=order, organizer_id=organizer_id))
    await stage.react(OrderExpired(order=order, organizer_id=organizer_id))
