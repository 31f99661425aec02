"""Receive webhooks: `python receive_webhooks.py PORT` (`pip install standardwebhooks`).

In: WEBHOOK_SECRET, the `whsec_…` that was shown when the webhook was made. Out: one line for each new message.

What a receiver owes: it verifies the signature over the raw bytes before it reads them (which also refuses messages
that are older than five minutes), it answers within 15 seconds and works afterwards, and it knows a message that comes
again.
"""

import os
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from standardwebhooks.webhooks import Webhook, WebhookVerificationError

LONGEST = 1_000_000
WEBHOOK = Webhook(os.environ["WEBHOOK_SECRET"])
seen: set[str] = set()
"""The ids that were dealt with. A real receiver keeps them in its database, in the transaction of its own work."""


class Receiver(BaseHTTPRequestHandler):
    """Answers 204 to what EventHub signed, 400 to everything else."""

    def do_POST(self) -> None:
        """Take one message."""
        length = int(self.headers.get("Content-Length") or 0)
        if not 0 < length <= LONGEST:
            self._answer(413)
            return
        body = self.rfile.read(length)
        try:
            message = WEBHOOK.verify(
                body, {name.lower(): text for name, text in self.headers.items()}
            )
        except WebhookVerificationError as error:
            print(f"refused: {error}", file=sys.stderr, flush=True)
            self._answer(400)
            return
        self._answer(204)
        id_ = self.headers["webhook-id"]
        if id_ not in seen:  # Delivery is at least once: the same id is the same message.
            seen.add(id_)
            print(id_, message["type"], message["data"], flush=True)

    def _answer(self, status: int) -> None:
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()
        self.wfile.flush()

    def log_message(self, *_: object) -> None:
        """Print nothing for a request: the messages are the output."""


if __name__ == "__main__":
    ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Receiver).serve_forever()
