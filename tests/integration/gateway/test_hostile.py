"""What attackers send: refused with the right code as problem+json, nothing changed, the process alive."""

import asyncio
import gzip
import json
from urllib.parse import urlsplit

import pytest

from db.mysql.database import Database
from tests.harness.accounts import Person, person
from tests.harness.sales import items, sale
from tests.harness.system import System
from tests.harness.waiting import eventually
from tests.integration.gateway.raw import Raw, post, send

LOGIN = "/api/auth/login"
BODIES = {
    "duplicate keys": b'{"email": "a@example.com", "password": "x", "password": "y"}',
    "NaN": b'{"email": NaN}',
    "Infinity": b'{"email": -Infinity}',
    "huge exponent": b'{"email": 1e999}',
    "5,000 digits": b'{"email": ' + b"9" * 5000 + b"}",
    "nested brackets": b"[" * 60_000,
    "nested objects": b'{"a":' * 10_000 + b"1" + b"}" * 10_000,
    "lone surrogate": b'{"email": "\\ud800"}',
    "NUL": b'{"email": "a\\u0000b", "password": "x"}',
    "raw NUL": b'{"email": "a\x00b"}',
    "two BOMs": b"\xef\xbb\xbf\xef\xbb\xbf{}",
    "a BOM alone": b"\xef\xbb\xbf",
    "UTF-16": '{"email": "x"}'.encode("utf-16"),
    "bad UTF-8": b'{"email": "\xff\xfe"}',
    "nothing": b"",
    "two documents": b"{}{}",
    "a list": b"[]",
    "a number": b"1",
    "XML": b"<?xml version='1.0'?><!DOCTYPE x [<!ENTITY a SYSTEM 'file:///etc/passwd'>]><x>&a;</x>",
}


@pytest.mark.parametrize("name", BODIES)
async def test_bodies_that_are_no_strict_json_are_400(system: System, name: str) -> None:
    """Each of them at a call that takes a body."""
    answer = await send(system.url, post(LOGIN, BODIES[name]))
    assert (answer.status, answer.problem["code"]) == (400, "INVALID")


async def test_a_byte_order_mark_in_front_is_no_part_of_the_body(system: System) -> None:
    """What some clients and editors put there: the same answer as without it."""
    body = b'{"email": "a@example.com", "password": "nobody has it"}'
    answer = await send(system.url, post(LOGIN, b"\xef\xbb\xbf" + body))
    assert (answer.status, answer.problem["code"]) == (401, "UNAUTHENTICATED")


@pytest.mark.parametrize(
    "content_type",
    [
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data",
        "",
        "application/jsonx",
        "text/json",
        "application/json; charset=utf-16",
        "application/json, text/html",
        "*/*",
    ],
)
async def test_what_does_not_call_itself_json_is_415(system: System, content_type: str) -> None:
    """Also without a Content-Type at all."""
    body = b'{"email": "a@example.com", "password": "x"}'
    answer = await send(system.url, post(LOGIN, body, content_type=content_type))
    assert (answer.status, answer.problem["code"]) == (415, "NOT_JSON")
    bare = (
        f"POST {LOGIN} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body
    )
    assert (await send(system.url, bare)).problem["code"] == "NOT_JSON"


@pytest.mark.parametrize(
    "content_type",
    ["application/json", "Application/JSON; charset=UTF-8", "application/problem+json"],
)
async def test_what_calls_itself_json_is_read(system: System, content_type: str) -> None:
    """Names of types have no case; `+json` is JSON."""
    body = b'{"email": "a@example.com", "password": "x"}'
    assert (await send(system.url, post(LOGIN, body, content_type=content_type))).status == 401


async def test_over_64_kib_is_413(system: System) -> None:
    """Announced, chunked and packed: never read further than that."""
    big = b'{"email": "' + b"a" * 70_000 + b'"}'
    answers = [
        await send(system.url, post(LOGIN, big)),
        await send(system.url, post(LOGIN, b"", "Content-Length: 99999999999")[:-4] + b"\r\n\r\n"),
        await send(system.url, chunked(LOGIN, [big[:40_000], big[40_000:]])),
        await send(
            system.url, post(LOGIN, gzip.compress(b" " * 50_000_000), "Content-Encoding: gzip")
        ),
    ]
    assert [one.status for one in answers[:1] + answers[2:]] == [413, 413, 413]
    assert all(one.problem["code"] in ("TOO_LARGE", "INVALID") for one in answers)


async def test_64_kib_are_read(system: System) -> None:
    """The last byte that fits, plain, in chunks and packed: a sign-in like any other."""
    body = b'{"email": "a@example.com", "password": "x"}'
    full = body + b" " * (64 * 1024 - len(body))
    for sent in (
        post(LOGIN, full),
        chunked(LOGIN, [full[:100], full[100:]]),
        post(LOGIN, gzip.compress(full), "Content-Encoding: gzip"),
    ):
        assert (await send(system.url, sent)).status == 401
    for sent in (post(LOGIN, full + b" "), chunked(LOGIN, [full, b" "])):
        assert (await send(system.url, sent)).status == 413


def chunked(path: str, chunks: list[bytes]) -> bytes:
    """A POST in chunks."""
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    body = b"".join(b"%x\r\n%s\r\n" % (len(one), one) for one in [*chunks, b""])
    return head.encode() + b"Transfer-Encoding: chunked\r\n\r\n" + body


async def test_packed_bodies_are_read_and_broken_ones_refused(system: System) -> None:
    """gzip is fine; what only says so is 400; codings nobody asked for are 415."""
    body = b'{"email": "a@example.com", "password": "x"}'
    packed = gzip.compress(body)
    for sent, coding, status in (
        (packed, "gzip", 401),
        (body, "gzip", 400),
        (packed[:-9], "gzip", 400),
        (packed, "br", 415),
        (packed, "gzip, gzip", 415),
    ):
        answer = await send(system.url, post(LOGIN, sent, f"Content-Encoding: {coding}"))
        assert answer.status == status, (coding, answer.problem)


@pytest.mark.parametrize(
    "bytes_",
    [
        b"GARBAGE\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET /livez HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 9000 + b"\r\n\r\n",
        b"GET /livez HTTP/1.1\r\nHost: x\r\n" + b"X: y\r\n" * 500 + b"\r\n",
        b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /livez HTTP/1.1\r\nHost: x\r\nX-A: b\r\n c: d\x00\r\n\r\n",
        b"GET /livez HTTP/1.1\r\nHost: x\r\nBad Header: 1\r\n\r\n",
        b"POST /api/auth/login HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        b"POST /api/auth/login HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"POST /api/auth/login HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n"
        b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST /api/auth/login HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n"
        b"Content-Type: application/json\r\n\r\nzz\r\n",
        b"GET http://[::1 HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /%zz%00/../../etc/passwd HTTP/1.1\r\nHost: x\r\n\r\n",
        b"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n",
        b"CONNECT x:443 HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /livez HTTP/1.1\r\nHost: x\r\nExpect: banana\r\n\r\n",
        b"GET /nowhere HTTP/1.1\r\nHost: x\r\nExpect: banana\r\n\r\n",
        b"TRACE /livez HTTP/1.1\r\nHost: x\r\n\r\n",
    ],
)
async def test_bytes_that_are_no_request_of_ours_get_a_problem(
    system: System, bytes_: bytes
) -> None:
    """No page, no trace, no name of the framework: a problem document, or the answer the method has."""
    answer = await send(system.url, bytes_)
    assert answer.status < 500
    assert "aiohttp" not in str(answer.headers).lower() + answer.body.decode().lower()
    assert "python" not in str(answer.headers).lower() + answer.body.decode().lower()
    if answer.status >= 400:
        assert answer.problem["code"] in ("INVALID", "NOT_FOUND", "METHOD_NOT_ALLOWED", "NOT_JSON")
    assert (await send(system.url, b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")).status == 200


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/api/orders/0", 400),
        ("/api/orders/-1", 400),
        ("/api/orders/1e3", 400),
        ("/api/orders/%31%00", 400),
        ("/api/orders/1%2F..%2F..%2Fadmin", 400),
        ("/api/orders/9223372036854775808", 400),
        ("/api/orders/٣", 400),
        ("/api/orders/1;drop%20table", 400),
        ("/api/orders/1/", 404),
        ("//api/orders", 404),
        ("/api//orders", 404),
        ("/api/orders/../admin/users", 404),
        ("/API/ORDERS", 404),
        ("/api/orders/1/../../../etc/passwd", 404),
        ("/.git/config", 404),
        ("/api/orders?limit=0", 400),
        ("/api/orders?limit=1&limit=1", 400),
        ("/api/orders?cursor=%00", 400),
        ("/api/orders?cursor=../../x", 400),
        ("/api/orders?status=PAID", 400),
    ],
)
async def test_paths_and_queries_are_taken_literally(
    system: System, own_database: Database, path: str, status: int
) -> None:
    """No normalising, no decoding twice, no number but a number."""
    somebody = await person(own_database)
    head = f"GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {somebody.token}\r\n\r\n"
    answer = await send(system.url, head.encode())
    if path == "/api/orders/../admin/users":
        # Some HTTP parsers resolve the dots before anybody sees them: then the role decides.
        assert answer.status in (403, 404)
    else:
        assert answer.status == status, answer
    assert answer.problem["code"] in ("INVALID", "NOT_FOUND", "FORBIDDEN")


@pytest.mark.parametrize(
    "given",
    ["short", "x" * 65, "a b c d e f", "<script>alert(1)</script>", "äöüäöüäöü", "a" * 8 + "\t"],
)
async def test_a_request_id_of_anything_else_is_replaced(system: System, given: str) -> None:
    """Only `[A-Za-z0-9._-]{8,64}` comes back; the rest never reaches a header or a log line."""
    head = f"GET /nowhere HTTP/1.1\r\nHost: x\r\nX-Request-Id: {given}\r\n\r\n"
    answer = await send(system.url, head.encode())
    assert answer.problem["instance"] != given
    assert given not in str(answer.headers)


async def test_a_request_id_is_kept(system: System) -> None:
    """In the header and in the problem."""
    head = b"GET /nowhere HTTP/1.1\r\nHost: x\r\nX-Request-Id: my.request_id-1\r\n\r\n"
    assert (await send(system.url, head)).problem["instance"] == "my.request_id-1"


async def test_a_body_that_never_ends_is_cut(
    system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One byte and then silence: 400 after the time a body has, and the connection is gone."""
    monkeypatch.setattr("gateway.http.parsing.BODY_SECONDS", 0.3)
    head = (
        f"POST {LOGIN} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 50"
    )
    answer = await send(system.url, head.encode() + b"\r\n\r\n{")
    assert answer.problem["code"] == "INVALID"


async def test_a_connection_that_never_asks_is_closed(
    system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half a header and then silence."""
    monkeypatch.setattr("contracts.runtime.overrides.http_connections.FIRST_REQUEST_SECONDS", 0.3)
    with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
        await send(system.url, b"GET /livez HTTP/1.1\r\nHost: x\r\nX-Slow: ")


async def test_nobody_assigns_what_is_the_servers(system: System, own_database: Database) -> None:
    """Roles, owners, prices, status, versions, ids in a body: 400, and the row is as it was."""
    owner = await person(own_database, "USER", "ORGANIZER")
    api = system.api(owner)
    sold = await sale(system, owner, 10)
    event, ticket_type = f"/api/events/{sold.event_id}", f"/api/ticket-types/{sold.ticket_type}"
    before = (await api.get(event)).body
    times = {"startTime": "2030-01-01T18:00:00Z", "endTime": "2030-01-01T23:00:00Z"}
    order = items((sold.ticket_type, 1))
    for method, path, body in (
        ("PATCH", event, {"organizerId": 1}),
        ("PATCH", event, {"status": "CANCELLED"}),
        ("PATCH", event, {"version": 9}),
        ("PATCH", event, {"id": 1}),
        ("PATCH", ticket_type, {"available": 99}),
        ("PATCH", ticket_type, {"eventId": 1}),
        ("POST", "/api/events", {"name": "x", **times, "organizerId": 1}),
        ("POST", "/api/orders", order | {"totalCost": "0.01"}),
        ("POST", "/api/orders", order | {"userId": 1}),
        ("POST", "/api/orders", order | {"status": "CONFIRMED"}),
        (
            "POST",
            "/api/orders",
            {"items": [{"ticketTypeId": 1, "quantity": 1, "unitPrice": "0.01"}]},
        ),
        ("POST", "/api/orders/1/cancel", {"status": "CONFIRMED"}),
        ("POST", "/api/webhooks", {"url": "https://x.example", "eventTypes": ["*"], "secret": "x"}),
        (
            "POST",
            "/api/public/payment/create-quote",
            {"orderId": 1, "asset": "BTC", "quoteRate": "1"},
        ),
    ):
        answer = await api.call(method, path, body)
        assert (answer.status, answer.code) == (400, "INVALID"), (path, body, answer.body)
    assert (await api.get(event)).body == before


async def test_numbers_are_numbers_and_money_is_text(system: System, admin: Person) -> None:
    """ "1", 1.0, true and 10^30 are no integers; 5.5, "1e3", "NaN" and "-1" are no money."""
    api = system.api(admin)
    for value in ("1", 1.0, True, None, 10**30, -1, 0, [1]):
        body = json.dumps({"items": [{"ticketTypeId": value, "quantity": 1}]})
        raw = post("/api/orders", body.encode(), f"Authorization: Bearer {admin.token}")
        assert (await send(system.url, raw)).status == 403
        event = {"name": "x", "price": "1.00", "quota": value}
        refused = await api.post("/api/events/1/ticket-types", event)
        assert refused.code == "INVALID", value
    for price in (
        5.5,
        5,
        "1e3",
        "NaN",
        "-1",
        "+1",
        "0.001",
        ".5",
        "5.",
        "١",
        " 5",
        "",
        "9" * 30,
    ):
        refused = await api.post(
            "/api/events/1/ticket-types", {"name": "x", "price": price, "quota": 1}
        )
        assert refused.code == "INVALID", price


async def test_an_expectation_is_met_or_ignored(system: System) -> None:
    """100-continue lets the body come; the answer is one, not two."""
    body = b'{"email": "a@example.com", "password": "x"}'
    answer: Raw = await send(system.url, post(LOGIN, body, "Expect: 100-continue"))
    assert answer.status == 401


async def test_a_client_that_hangs_up_is_no_fault_of_ours(system: System) -> None:
    """Half a body and gone: counted as a bad request, not as a server's failure."""

    async def counted(status: str) -> float:
        text: str = (await system.api().get("/metrics")).body
        start = f'eventhub_http_requests_total{{operation="refresh",status="{status}'
        return sum(float(one.split()[-1]) for one in text.splitlines() if one.startswith(start))

    refused, failed = await counted("400"), await counted("5")
    parts = urlsplit(system.url)
    _, writer = await asyncio.open_connection(parts.hostname, parts.port)
    writer.write(post("/api/auth/refresh", b'{"refreshToken": "x"}')[:-5])
    await writer.drain()
    writer.close()

    async def seen() -> bool:
        return await counted("400") > refused

    assert await eventually(seen)
    assert await counted("5") == failed
