"""Buys with openapi-generator's Python client (package `openapi_client`). In: URL, ticket type. Out: JSON."""

import json
import sys
import uuid

import openapi_client as hub

PREFER = "wait=20, handling=strict"


def main(url: str, ticket_type: int) -> dict[str, object]:
    email, password = f"{uuid.uuid4().hex}@example.com", "correct horse battery"
    settings = hub.Configuration(host=url)
    with hub.ApiClient(settings) as client:
        accounts = hub.AccountsApi(client)
        accounts.register(hub.Register(email=email, password=password))
        tokens = accounts.login(hub.Login(email=email, password=password))
        page = hub.EventsApi(client).list_events(limit=100)
        assert ticket_type in [one.id for event in page.data for one in event.ticket_types]
        settings.access_token = tokens.access_token
        orders, payments = hub.OrdersApi(client), hub.PaymentApi(client)
        item = hub.OrderItemBody(ticketTypeId=ticket_type, quantity=2)
        order = orders.place_order(
            hub.PlaceOrderBody(items=[item]), prefer=PREFER, idempotency_key=str(uuid.uuid4())
        )
        quote = payments.create_quote(
            hub.CreateQuoteBody(orderId=order.id, asset="BTC"), prefer=PREFER
        )
        hash_ = hub.ConfirmPaymentBody(txHash="0x" + uuid.uuid4().hex * 2)
        payments.confirm_payment(quote.id, hash_, prefer=PREFER)
        shown = orders.show_order(order.id)
        command = hub.CommandsApi(client).show_command(_command_of(orders, order.id))
        assert command.status == "REJECTED"
        many = hub.OrderItemBody(ticketTypeId=ticket_type, quantity=500)
        try:
            orders.place_order(hub.PlaceOrderBody(items=[many]), prefer=PREFER)
        except hub.exceptions.ConflictException as refused:
            code = refused.data.code
    return {
        "order": shown.id,
        "status": shown.status,
        "year": shown.expires_at.year,
        "refused": code,
    }


def _command_of(orders: "hub.OrdersApi", order_id: int) -> str:
    """The id of a command: cancelling a paid order is refused, and says which command that was."""
    try:
        orders.cancel_order(order_id, prefer=PREFER)
    except hub.exceptions.ConflictException as refused:
        return str(refused.headers["X-Command-Id"])
    raise AssertionError("a paid order was cancelled")


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1], int(sys.argv[2]))))
