"""A whole run's log lines: JSON with the request's id, and not one secret of all that went through."""

import json
from collections.abc import Mapping
from urllib.parse import urlsplit

import aiohttp

from contracts.messaging.signing import to_text
from db.mysql.database import Database
from tests.harness.accounts import person
from tests.harness.scratch import JWT_KEYS, SECRET, Scratch
from tests.integration.gateway.processes import Process, gateway_process
from tests.integration.gateway.raw import post, send

PASSWORDS = ("a-password-that-is-right", "a-password-that-is-wrong", "short-pw")
EMAIL = "logged@example.com"


async def whole_run(one: Process, own_database: Database) -> set[str]:
    """Sign-ins that work and fail, rotations, malformed bodies, forged tokens; every secret that was used."""
    secrets = {*PASSWORDS, SECRET, JWT_KEYS.partition(":")[2]}
    right, wrong, short = PASSWORDS
    async with aiohttp.ClientSession(one.url) as session:

        async def call(path: str, body: Mapping[str, object], token: str = "") -> dict[str, object]:
            headers = {"Authorization": f"Bearer {token}"} if token else {}
            async with session.post(path, json=body, headers=headers) as answer:
                found: dict[str, object] = await answer.json(content_type=None) or {}
                return found

        await call("/api/auth/register", {"email": EMAIL, "password": right})
        await call("/api/auth/register", {"email": EMAIL, "password": right})
        await call("/api/auth/register", {"email": EMAIL, "password": short})
        await call("/api/auth/register", {"email": EMAIL, "password": right, "roles": [wrong]})
        await call("/api/auth/login", {"email": EMAIL, "password": wrong})
        await call("/api/auth/login", {"email": EMAIL, "password": {"x": right}})
        pair = await call("/api/auth/login", {"email": EMAIL, "password": right})
        fresh = await call("/api/auth/refresh", {"refreshToken": pair["refreshToken"]})
        await call("/api/auth/refresh", {"refreshToken": pair["refreshToken"]})
        for given in (pair, fresh):
            secrets |= {str(given["accessToken"]), str(given["refreshToken"])}
        token = str(pair["accessToken"])
        hook = {"url": "https://example.com/hook", "eventTypes": ["*"]}
        made = await call("/api/webhooks", hook, token)
        secrets.add(str(made.get("secret") or "no webhook secret"))
        await call("/api/orders", {"items": [{"ticketTypeId": 1, "quantity": 1}]}, token)
        await call("/api/orders", {"items": right}, token + "x")
        await call("/api/auth/logout", {"refreshToken": fresh["refreshToken"]}, token)
        async with session.get(f"/api/events?q={right}", headers={"X-Api-Key": wrong}) as answer:
            assert answer.status == 200
        await session.get(f"/api/auth/me?access_token={token}")
        admin = await person(own_database, "ADMIN")
        secrets.add(admin.token)
        await session.get("/api/admin/users", headers={"Authorization": f"Bearer {admin.token}"})
    raw = post("/api/auth/login", f'{{"email": "{EMAIL}", "password": "{right}", '.encode())
    assert (await send(one.url, raw)).status == 400
    broken = f"GET /livez HTTP/1.1\r\nHost: x\r\nAuthorization Bearer {token}\r\n\r\n"
    assert (await send(one.url, broken.encode())).status == 400
    rows = await own_database.read("SELECT password_hash FROM users WHERE email = %s", EMAIL)
    tokens = await own_database.read("SELECT token_hash FROM refresh_tokens")
    return (
        secrets | {rows[0][0]} | {row[0].hex() for row in tokens} | {to_text(r[0]) for r in tokens}
    )


async def test_no_secret_reaches_a_line(own_scratch: Scratch, own_database: Database) -> None:
    """Passwords right and wrong, tokens, hashes, keys, the servers' passwords: in no line of a whole run."""
    async with gateway_process(own_scratch, EVENTHUB_LOG_LEVEL="debug") as one:
        secrets = await whole_run(one, own_database)
        for url in (own_scratch.mysql_url, own_scratch.amqp_url, own_scratch.redis_url):
            parts = urlsplit(url)
            # A server whose password is its user's name (some are, in tests) cannot be told from it.
            if parts.password and parts.password != (parts.username or "eventhub"):
                secrets.add(parts.password)
        one.terminate()
        await one.process.wait()
    text = one.output.decode()
    assert '"operation":"login"' in text
    found = {secret[:6] for secret in secrets if secret in text}
    assert not found
    for token in (s for s in secrets if s.count(".") == 2):
        assert token.rpartition(".")[2] not in text


async def test_a_line_that_cannot_fail_is_none(
    own_scratch: Scratch, own_database: Database
) -> None:
    """Control: the address of a request is logged, so a secret put there would be seen by the search above.

    Not all of it, when it is long: lines of 8 KB would rotate the others away.
    """
    async with gateway_process(own_scratch) as one:
        async with aiohttp.ClientSession(one.url) as session:
            await session.get("/api/a-secret-in-the-path", headers={"X-Request-Id": "request-17"})
            await session.get("/" + "x" * 8000, headers={"X-Request-Id": "request-18"})
        one.terminate()
        await one.process.wait()
    lines = [json.loads(line) for line in one.output.decode().splitlines()]
    line = next(line for line in lines if line.get("request_id") == "request-17")
    assert (line["path"], line["status"]) == ("/api/a-secret-in-the-path", 404)
    long = next(line for line in lines if line.get("request_id") == "request-18")
    assert long["path"] == "/" + "x" * 199
    assert {"timestamp", "level", "event", "process", "method", "operation", "ms"} <= set(line)
