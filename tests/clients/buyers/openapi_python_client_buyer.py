"""Buys with the client that openapi-python-client made (package `eventhub_client`). In: URL, ticket type. Out: JSON."""

import json
import sys
import uuid

from eventhub_client import AuthenticatedClient, Client
from eventhub_client.api.accounts import login, register
from eventhub_client.api.events import list_events
from eventhub_client.api.orders import place_order, show_order
from eventhub_client.api.payment import confirm_payment, create_quote
from eventhub_client.models import (
    ConfirmPaymentBody,
    CreateQuoteBody,
    EventPage,
    Login,
    Order,
    OrderItemBody,
    Payment,
    PlaceOrderBody,
    ProblemDocument,
    Register,
    TokenPair,
)

PREFER = "wait=20, handling=strict"


def main(url: str, ticket_type: int) -> dict[str, object]:
    email, password = f"{uuid.uuid4().hex}@example.com", "correct horse battery"
    nobody = Client(base_url=url)
    register.sync(client=nobody, body=Register(email=email, password=password))
    tokens = login.sync(client=nobody, body=Login(email=email, password=password))
    assert isinstance(tokens, TokenPair)
    page = list_events.sync(client=nobody, limit=100)
    assert isinstance(page, EventPage)
    assert ticket_type in [one.id for event in page.data for one in event.ticket_types]
    with AuthenticatedClient(base_url=url, token=tokens.access_token) as client:
        wanted = PlaceOrderBody(items=[OrderItemBody(quantity=2, ticket_type_id=ticket_type)])
        key = str(uuid.uuid4())
        order = place_order.sync(client=client, body=wanted, prefer=PREFER, idempotency_key=key)
        assert isinstance(order, Order), order
        quote = create_quote.sync(
            client=client, body=CreateQuoteBody(order_id=order.id, asset="BTC"), prefer=PREFER
        )
        assert isinstance(quote, Payment), quote
        paid = confirm_payment.sync(
            quote.id,
            client=client,
            body=ConfirmPaymentBody(tx_hash="0x" + uuid.uuid4().hex * 2),
            prefer=PREFER,
        )
        assert isinstance(paid, Payment), paid
        shown = show_order.sync(order.id, client=client)
        assert isinstance(shown, Order)
        many = PlaceOrderBody(items=[OrderItemBody(quantity=500, ticket_type_id=ticket_type)])
        refused = place_order.sync(client=client, body=many, prefer=PREFER)
        assert isinstance(refused, ProblemDocument), refused
    return {
        "order": shown.id,
        "status": shown.status,
        "year": shown.expires_at.year,
        "refused": refused.code,
    }


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1], int(sys.argv[2]))))
