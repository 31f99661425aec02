"""Report a rate over HTTP: `python report_rate_over_http.py ASSET CURRENCY RATE`.

In: EVENTHUB_URL; EVENTHUB_EMAIL and EVENTHUB_PASSWORD as `scripts/provider add` printed them. Out: the rate as it is
used now, or why it was put aside. Needs nothing but Python.
"""

import json
import os
import sys
import urllib.error
import urllib.request
from datetime import UTC, datetime
from typing import Any

URL = os.environ.get("EVENTHUB_URL", "http://127.0.0.1:8080")


def post(path: str, body: object, token: str = "") -> Any:
    """One call; the JSON of its answer. Ends the program when EventHub says no."""
    headers = {"Content-Type": "application/json", "Prefer": "wait=10"}
    if token:
        headers["Authorization"] = f"Bearer {token}"
    request = urllib.request.Request(URL + path, json.dumps(body).encode(), headers)
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as error:
        problem = json.load(error)
        # RATE_QUARANTINED says in `reason` why the report was put aside.
        why = problem.get("reason", "")
        sys.exit(f"{problem['code']} {why}: {problem['detail']}")


def report(asset: str, currency: str, rate: str) -> Any:
    """Sign in, report; the rate in use. A provider that reports often keeps its token (15 minutes)."""
    who = {"email": os.environ["EVENTHUB_EMAIL"], "password": os.environ["EVENTHUB_PASSWORD"]}
    token = post("/api/auth/login", who)["accessToken"]
    body = {
        "asset": asset,
        "currency": currency,
        "rate": rate,  # A decimal text: a float would not say what was meant.
        "observedAt": datetime.now(UTC).isoformat(),
    }
    return post("/api/provider/rates", body, token)


if __name__ == "__main__":
    print(json.dumps(report(*sys.argv[1:4])))
