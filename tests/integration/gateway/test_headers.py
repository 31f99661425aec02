"""Headers that every answer has or has not, HEAD, OPTIONS, CORS, and the probes."""

from db.mysql.database import Database
from tests.harness.accounts import Person, person
from tests.harness.sales import sale
from tests.harness.scratch import Scratch
from tests.harness.system import System, running
from tests.integration.gateway.raw import send


async def test_every_answer_has_the_security_headers(system: System) -> None:
    """Success, refusal, page, unknown address; and no server name with a version."""
    for path in ("/api/events", "/api/auth/me", "/docs", "/nowhere", "/livez", "/openapi.json"):
        answer = await system.api().get(path)
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Referrer-Policy"] == "no-referrer"
        assert "frame-ancestors 'none'" in answer.headers["Content-Security-Policy"]
        assert answer.headers["X-Request-Id"]
        assert answer.headers["Cache-Control"]
        assert "Server" not in answer.headers


async def test_public_answers_say_how_old_they_may_be(
    system: System, own_database: Database, admin: Person
) -> None:
    """List 30 s, event and ticket type 1 s, rates 5 s, 304s likewise; errors and everything else are not kept."""
    show = await sale(system, await person(own_database, "ORGANIZER"), 5)
    lasting = {
        "/api/events?limit=1": 30,
        f"/api/events/{show.event_id}": 1,
        f"/api/ticket-types/{show.ticket_type}": 1,
        "/api/market/rates": 5,
    }
    for path, seconds in lasting.items():
        answer = await system.api().get(path)
        assert (answer.status, answer.headers["Cache-Control"]) == (
            200,
            f"public, max-age={seconds}",
        )
        if tag := answer.headers.get("ETag"):
            same = await system.api().get(path, headers={"If-None-Match": tag})
            assert (same.status, same.headers["ETag"]) == (304, tag)
            assert same.headers["Cache-Control"] == f"public, max-age={seconds}"
        assert ("ETag" in answer.headers) == ("rates" not in path)
    assert 0 <= int((await system.api().get("/api/events")).headers["Age"]) <= 30
    for path in (
        "/livez",
        "/docs",
        "/openapi.json",
        "/api/events/999999999",
        "/api/market/rates/NO",
    ):
        assert (await system.api().get(path)).headers["Cache-Control"] == "no-store", path
    own = await system.api(await person(own_database, "ORGANIZER")).get("/api/events?mine=true")
    assert (own.status, own.headers["Cache-Control"]) == (200, "no-store")


async def test_large_answers_are_compressed_when_asked_for(system: System) -> None:
    """Documents, pages: gzip for who asks, whole for who does not, never for a small answer."""
    for path in ("/openapi.json", "/docs", "/asyncapi.json"):
        packed = await system.api().get(path, headers={"Accept-Encoding": "gzip"})
        whole = await system.api().get(path, headers={"Accept-Encoding": "identity"})
        assert packed.body == whole.body
        assert packed.headers["Content-Encoding"] == "gzip"
        assert "Content-Encoding" not in whole.headers
        assert "Accept-Encoding" in packed.headers["Vary"]
        assert int(packed.headers["Content-Length"]) < int(whole.headers["Content-Length"]) / 2
        head = await system.api().call("HEAD", path, headers={"Accept-Encoding": "gzip"})
        assert head.headers["Content-Length"] == packed.headers["Content-Length"]
    small = await system.api().get("/livez", headers={"Accept-Encoding": "gzip"})
    assert "Content-Encoding" not in small.headers


async def test_operators_find_all_messages_and_others_do_not(system: System, admin: Person) -> None:
    """The whole AsyncAPI document is for admins."""
    path = "/api/admin/asyncapi.json"
    whole = await system.api(admin).get(path)
    assert "commands-inventory" in whole.body["channels"]
    assert (await system.api().get(path)).status == 401
    assert set((await system.api().get("/asyncapi.json")).body["channels"]) == {"rates", "webhooks"}


async def test_what_is_personal_is_never_stored(system: System, admin: object) -> None:
    """No cache keeps an account or a token."""
    answer = await system.api(admin).get("/api/auth/me")  # type: ignore[arg-type]  # a Person
    assert answer.headers["Cache-Control"] == "no-store"


async def test_head_is_get_without_a_body(system: System) -> None:
    """Same status and headers, nothing behind them."""
    for path in ("/livez", "/api/events", "/api/auth/me", "/nowhere", "/docs"):
        got = await system.api().get(path)
        head = await system.api().call("HEAD", path)
        assert head.status == got.status
        assert head.headers["Content-Type"] == got.headers["Content-Type"]
        assert not head.body


async def test_options_names_the_methods(system: System) -> None:
    """204 with Allow, 404 for an address that is none; 405 says the same."""
    answer = await system.api().call("OPTIONS", "/api/orders")
    assert (answer.status, answer.headers["Allow"]) == (204, "GET, HEAD, OPTIONS, POST")
    assert (await system.api().call("OPTIONS", "/nowhere")).status == 404
    wrong = await system.api().call("DELETE", "/api/orders")
    assert (wrong.status, wrong.code) == (405, "METHOD_NOT_ALLOWED")
    assert wrong.headers["Allow"] == answer.headers["Allow"]


async def test_no_page_elsewhere_reads_us_unless_told(system: System) -> None:
    """Without the setting there is no CORS header at all."""
    answer = await system.api().get("/api/events", headers={"Origin": "https://shop.example"})
    assert not [name for name in answer.headers if name.startswith("Access-Control")]


async def test_cors_by_setting(own_scratch: Scratch) -> None:
    """A listed origin may read and send what the contract uses; another may not; caches are told."""
    async with running(own_scratch, workers=(), cors_origins="https://shop.example") as system:
        mine = {"Origin": "https://shop.example"}
        answer = await system.api().get("/api/events", headers=mine)
        assert answer.headers["Access-Control-Allow-Origin"] == "https://shop.example"
        assert "X-Command-Id" in answer.headers["Access-Control-Expose-Headers"]
        assert "Origin" in answer.headers["Vary"]
        asked = mine | {
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": "authorization,idempotency-key,last-event-id,traceparent",
        }
        preflight = await system.api().call("OPTIONS", "/api/orders", headers=asked)
        assert preflight.status == 204
        assert "POST" in preflight.headers["Access-Control-Allow-Methods"]
        allowed = preflight.headers["Access-Control-Allow-Headers"].lower().split(", ")
        assert set(asked["Access-Control-Request-Headers"].split(",")) <= set(allowed)
        assert "Access-Control-Allow-Credentials" not in preflight.headers
        other = await system.api().get("/api/events", headers={"Origin": "https://evil.example"})
        assert "Access-Control-Allow-Origin" not in other.headers
        refused = await system.api().get("/api/auth/me", headers=mine)
        assert refused.headers["Access-Control-Allow-Origin"] == "https://shop.example"


async def test_probes(system: System) -> None:
    """Alive, ready; the numbers are on the health port alone, and nothing else is."""
    assert (await system.api().get("/livez")).body == {"status": "alive"}
    ready = await system.api().get("/readyz")
    assert (ready.status, ready.body["missing"]) == (200, [])
    public = await system.api().get("/metrics")
    assert (public.status, public.code) == (404, "NOT_FOUND")
    async with system.session.get(f"{system.health_url}/metrics") as numbers:
        assert numbers.headers["Content-Type"].startswith("text/plain")
        text = await numbers.text()
    assert 'eventhub_http_requests_total{operation="livez",status="200"}' in text
    async with system.session.get(f"{system.health_url}/api/events") as elsewhere:
        assert elsewhere.status == 404


async def test_ready_without_redis_and_says_so(own_scratch: Scratch) -> None:
    """Redis is speed, not truth."""
    async with running(own_scratch, workers=(), REDIS_URL="redis://127.0.0.1:1/0") as system:
        answer = await system.api().get("/readyz")
        assert answer.status == 200
        assert "redis" in answer.body["degraded"]


async def test_pipelined_requests_are_answered_in_order(system: System) -> None:
    """Two in one packet: the first answer is the first request's."""
    two = b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\nGET /nowhere HTTP/1.1\r\nHost: x\r\n\r\n"
    assert (await send(system.url, two)).body == b'{"status":"alive"}'
