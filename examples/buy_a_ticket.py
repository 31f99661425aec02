"""Buy tickets: `python buy_a_ticket.py TICKET_TYPE_ID [QUANTITY]`.

In: EVENTHUB_URL; EVENTHUB_EMAIL and EVENTHUB_PASSWORD of an account that is made when there is none (without them a new
one is made up). Out: the confirmed order as JSON. Needs nothing but Python.

Every command is sent with an Idempotency-Key of its own and repeated under that key until its answer is known: it is
done once, whatever is lost on the way.
"""

import json
import os
import secrets
import sys
import time
import urllib.error
import urllib.request
import uuid
from typing import Any

URL = os.environ.get("EVENTHUB_URL", "http://127.0.0.1:8080")
EMAIL = os.environ.get("EVENTHUB_EMAIL", f"buyer-{secrets.token_hex(4)}@example.com")
PASSWORD = os.environ.get("EVENTHUB_PASSWORD", secrets.token_urlsafe(18))
TRIES = 20


class Refused(Exception):
    """EventHub said no; `problem` says why (decide by its `code`)."""

    def __init__(self, problem: dict[str, Any]) -> None:
        super().__init__(f"{problem['code']}: {problem['detail']}")
        self.problem = problem


def call(method: str, path: str, body: object = None, *, token: str = "", key: str = "") -> Any:
    """One call, repeated while EventHub asks to be asked again; the JSON of its answer. Raises Refused."""
    headers = {"Content-Type": "application/json", "Prefer": "wait=10"}
    if token:
        headers["Authorization"] = f"Bearer {token}"
    if key:
        headers["Idempotency-Key"] = key
    data = None if body is None else json.dumps(body).encode()
    for _ in range(TRIES):
        request = urllib.request.Request(URL + path, data, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                if answer.status != 202:
                    return json.load(answer)
                pause = 1.0  # It is not decided yet: ask again under the same key.
        except urllib.error.HTTPError as error:
            problem = json.load(error)
            if error.code not in (429, 503):
                raise Refused(problem) from None
            pause = float(error.headers.get("Retry-After", 1))
        time.sleep(pause)
    raise TimeoutError(f"{method} {path}: no decision after {TRIES} tries")


def sign_in() -> str:
    """An access token; the account is made when there is none."""
    account = {"email": EMAIL, "password": PASSWORD}
    try:
        call("POST", "/api/auth/register", account)
    except Refused as refused:
        if refused.problem["code"] != "EMAIL_TAKEN":
            raise
    return str(call("POST", "/api/auth/login", account)["accessToken"])


def command(token: str, path: str, body: object) -> Any:
    """One thing that EventHub is to do exactly once."""
    return call("POST", path, body, token=token, key=str(uuid.uuid4()))


def buy(type_id: int, quantity: int) -> Any:
    """Order, quote, pay; the order at the end."""
    token = sign_in()
    items = [{"ticketTypeId": type_id, "quantity": quantity}]
    order = command(token, "/api/orders", {"items": items})
    if order["status"] == "PENDING_PAYMENT":  # Free tickets are confirmed at once.
        wanted = {"orderId": order["id"], "asset": "BTC"}
        payment = command(token, "/api/public/payment/create-quote", wanted)
        # Here a wallet sends payment["amountCrypto"]; payments are simulated, so any well-formed hash will do.
        sent = {"txHash": f"0x{secrets.token_hex(32)}"}
        command(token, f"/api/public/payment/confirm-payment/{payment['id']}", sent)
    return call("GET", f"/api/orders/{order['id']}", token=token)


if __name__ == "__main__":
    try:
        bought = buy(int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 1)
    except Refused as no:
        sys.exit(str(no))
    print(json.dumps(bought, indent=2))
