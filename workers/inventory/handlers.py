"""Every message that inventory deals with, and the function that does it."""

from contracts.commands import AddItems, PlaceOrder
from contracts.events import OrderCancelled, OrderExpired
from workers.inventory.adding import add_items
from workers.inventory.catalogue import CATALOGUE_HANDLERS
from workers.inventory.placing import place_orders, reads, seats
from workers.inventory.returns import give_back
from workers.runtime.handlers import CommandHandler, EventHandler, Handler

HANDLERS: dict[str, Handler] = {
    PlaceOrder.TYPE: CommandHandler(PlaceOrder, place_orders, seats, reads),
    AddItems.TYPE: CommandHandler(AddItems, add_items, seats),
    OrderCancelled.TYPE: EventHandler(OrderCancelled, give_back),
    OrderExpired.TYPE: EventHandler(OrderExpired, give_back),
    **CATALOGUE_HANDLERS,
}
