"""Put tickets on sale: `python put_on_sale.py [QUOTA]`, on the machine on which `scripts/up` was run.

In: `.run/eventhub.json` (address, the first admin's account), or EVENTHUB_URL, EVENTHUB_ADMIN_EMAIL and
EVENTHUB_ADMIN_PASSWORD. Out: the id of a new ticket type on standard output, the organizer's account on standard error.
Needs nothing but Python.
"""

import json
import os
import secrets
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

RUN = Path(__file__).resolve().parents[1] / ".run" / "eventhub.json"


def told(variable: str, member: str) -> str:
    """A setting of the environment, else what `scripts/up` wrote down."""
    return os.environ.get(variable) or str(json.loads(RUN.read_text())[member])


URL = told("EVENTHUB_URL", "gatewayUrl")


def call(method: str, path: str, body: object, token: str = "") -> Any:
    """One call; the JSON of its answer. Ends the program when EventHub says no."""
    headers = {"Content-Type": "application/json", "Prefer": "wait=10"}
    if token:
        headers["Authorization"] = f"Bearer {token}"
    request = urllib.request.Request(URL + path, json.dumps(body).encode(), headers, method=method)
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as error:
        problem = json.load(error)
        sys.exit(f"{method} {path}: {problem['code']}: {problem['detail']}")


def sign_in(email: str, password: str) -> str:
    """An access token."""
    body = {"email": email, "password": password}
    return str(call("POST", "/api/auth/login", body)["accessToken"])


def new_organizer() -> str:
    """The access token of a new account to which the admin gave the role ORGANIZER."""
    email, password = f"organizer-{secrets.token_hex(4)}@example.com", secrets.token_urlsafe(18)
    user = call("POST", "/api/auth/register", {"email": email, "password": password})
    admin = sign_in(
        told("EVENTHUB_ADMIN_EMAIL", "adminEmail"), told("EVENTHUB_ADMIN_PASSWORD", "adminPassword")
    )
    roles = {"roles": ["USER", "ORGANIZER"]}
    call("PUT", f"/api/admin/users/{user['id']}/roles", roles, admin)
    print(f"organizer {email}, password {password}", file=sys.stderr)
    # Roles are part of the token: sign in after they were given.
    return sign_in(email, password)


def put_on_sale(quota: int) -> int:
    """An event with one ticket type; the type's id."""
    organizer = new_organizer()
    times = {"startTime": "2099-05-01T18:00:00Z", "endTime": "2099-05-01T23:00:00Z"}
    event = call(
        "POST", "/api/events", {"name": "Concert", "venue": "Town Hall", **times}, organizer
    )
    wanted = {"name": "Floor", "price": "49.90", "currency": "USD", "quota": quota}
    made = call("POST", f"/api/events/{event['id']}/ticket-types", wanted, organizer)
    return int(made["id"])


if __name__ == "__main__":
    print(put_on_sale(int(sys.argv[1]) if len(sys.argv) > 1 else 100))
