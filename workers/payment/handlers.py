"""What the payment worker deals with: message -> function."""

from collections.abc import Mapping

from contracts.commands import ConfirmPayment, CreateQuote
from contracts.events import OrderCancelled, OrderExpired, OrderItemsAdded
from workers.payment.confirming import confirm_payments
from workers.payment.creating import create_quotes
from workers.payment.quote_expiry import end_quotes
from workers.runtime.handlers import CommandHandler, EventHandler, Handler

HANDLERS: Mapping[str, Handler] = {
    CreateQuote.TYPE: CommandHandler(CreateQuote, create_quotes),
    ConfirmPayment.TYPE: CommandHandler(ConfirmPayment, confirm_payments),
    OrderItemsAdded.TYPE: EventHandler(OrderItemsAdded, end_quotes),
    OrderCancelled.TYPE: EventHandler(OrderCancelled, end_quotes),
    OrderExpired.TYPE: EventHandler(OrderExpired, end_quotes),
}
