"""Is it ready? One question per kind of server, one for EventHub's own processes.

In: a URL or a port. Out: None when it is ready, else in a few words what is missing. Must stay
true: asking changes nothing, takes at most seconds, and never repeats a password.
"""

import base64
import http.client
import json
import socket
import time
import urllib.parse
from collections.abc import Callable

Check = Callable[[], str | None]
ASK_SECONDS = 3.0


def mysql(url: str) -> str | None:
    """Ready when the server greets: it does so after it has run its init file."""
    host, port = _address(url, 3306)
    with socket.create_connection((host, port), ASK_SECONDS) as connection:
        greeting = connection.recv(5)
    # Protocol::HandshakeV10: 3 bytes length, sequence, protocol version 10 (0xff: an error).
    return None if len(greeting) == 5 and greeting[4] == 10 else "no greeting from the database"


def amqp(url: str) -> str | None:
    """Ready when the broker answers the protocol header (AMQP 0-9-1, 4.2.2) with a method frame."""
    host, port = _address(url, 5672)
    with socket.create_connection((host, port), ASK_SECONDS) as connection:
        connection.sendall(b"AMQP\x00\x00\x09\x01")
        return None if connection.recv(1) == b"\x01" else "the broker does not speak AMQP 0-9-1"


def amqp_management(url: str) -> str | None:
    """Ready when the management API knows us."""
    parts = urllib.parse.urlsplit(url)
    host, port = _address(url, 15672)
    account = (
        f"{urllib.parse.unquote(parts.username or '')}:{urllib.parse.unquote(parts.password or '')}"
    )
    token = base64.b64encode(account.encode()).decode()
    path = parts.path.rstrip("/").removesuffix("/api")
    status, _ = get(host, port, f"{path}/api/whoami", {"Authorization": f"Basic {token}"})
    return None if status == 200 else f"the management API answers {status}"


def redis(url: str) -> str | None:
    """Ready when PING is answered with PONG, after AUTH where the URL has a password."""
    parts = urllib.parse.urlsplit(url)
    host, port = _address(url, 6379)
    words = [urllib.parse.unquote(word) for word in (parts.username, parts.password) if word]
    asked = [["AUTH", *words]] if words else []
    with socket.create_connection((host, port), ASK_SECONDS) as connection:
        answers = connection.makefile("rb")
        for command in [*asked, ["PING"]]:
            bulk = "".join(f"${len(word.encode())}\r\n{word}\r\n" for word in command)
            connection.sendall(f"*{len(command)}\r\n{bulk}".encode())
            answer = answers.readline().decode(errors="replace").strip()
            if not answer.startswith("+"):
                return f"Redis says {answer or 'nothing'}"
    return None


def process(port: int) -> str | None:
    """Ready when GET /readyz on the port answers 200."""
    status, body = get("127.0.0.1", port, "/readyz", {})
    if status == 200:
        return None
    return f"/readyz answers {status}: {_missing(body)}"


def get(host: str, port: int, path: str, headers: dict[str, str]) -> tuple[int, bytes]:
    """Return status and body of one GET. Raises OSError or HTTPException when there is no answer."""
    connection = http.client.HTTPConnection(host, port, timeout=ASK_SECONDS)
    try:
        connection.request("GET", path, headers=headers)
        answer = connection.getresponse()
        return answer.status, answer.read(10_000)
    finally:
        connection.close()


def wait_for(
    checks: dict[str, Check], seconds: float, doomed: Callable[[str], str | None]
) -> dict[str, str]:
    """Ask until all are ready; return what is not, with the reason, when the time is over.

    `doomed` says for a name why waiting is of no use (None: go on); the waiting then ends at once.
    """
    deadline = time.monotonic() + seconds
    missing = dict.fromkeys(checks, "not asked yet")
    while True:
        missing = {name: why for name in missing if (why := _ask(checks[name]))}
        hopeless = {name: why for name in missing if (why := doomed(name))}
        if hopeless or not missing or time.monotonic() > deadline:
            return hopeless or missing
        time.sleep(0.1)


def _ask(check: Check) -> str | None:
    try:
        return check()
    except (OSError, http.client.HTTPException) as error:
        return f"no answer ({type(error).__name__})"


def _address(url: str, default_port: int) -> tuple[str, int]:
    parts = urllib.parse.urlsplit(url)
    return parts.hostname or "127.0.0.1", parts.port or default_port


def _missing(body: bytes) -> str:
    """Return what a /readyz body says, on one line."""
    try:
        return json.dumps(json.loads(body))[:300]
    except ValueError:
        return body[:300].decode(errors="replace").strip()
