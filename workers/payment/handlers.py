"""What the payment worker deals with: message -> function."""

from collections.abc import Mapping

from contracts.commands import ConfirmPayment, CreateQuote
from contracts.events import OrderCancelled, OrderExpired, OrderItemsAdded
from workers.payment.confirming import confirm_payments
from workers.payment.creating import create_quotes
from workers.payment.quote_expiry import end_quotes
from workers.runtime.handlers import Decides, Handler, Reacts

HANDLERS: Mapping[str, Handler] = {
    CreateQuote.TYPE: Decides(CreateQuote, create_quotes),
    ConfirmPayment.TYPE: Decides(ConfirmPayment, confirm_payments),
    OrderItemsAdded.TYPE: Reacts(OrderItemsAdded, end_quotes),
    OrderCancelled.TYPE: Reacts(OrderCancelled, end_quotes),
    OrderExpired.TYPE: Reacts(OrderExpired, end_quotes),
}
