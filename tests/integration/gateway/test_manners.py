"""Headers that every answer has or has not, HEAD, OPTIONS, CORS, and the probes."""

from tests.harness.scratch import Scratch
from tests.harness.system import System, running
from tests.integration.gateway.raw import send


async def test_every_answer_has_the_security_headers(hub: System) -> None:
    """Success, refusal, page, unknown address; and no server name with a version."""
    for path in ("/api/events", "/api/auth/me", "/docs", "/nowhere", "/livez", "/openapi.json"):
        answer = await hub.api().get(path)
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Referrer-Policy"] == "no-referrer"
        assert "frame-ancestors 'none'" in answer.headers["Content-Security-Policy"]
        assert answer.headers["X-Request-Id"]
        assert answer.headers["Cache-Control"]
        assert "Server" not in answer.headers


async def test_what_is_personal_is_never_stored(hub: System, admin: object) -> None:
    """No cache keeps an account or a token."""
    answer = await hub.api(admin).get("/api/auth/me")  # type: ignore[arg-type]  # a Person
    assert answer.headers["Cache-Control"] == "no-store"


async def test_head_is_get_without_a_body(hub: System) -> None:
    """Same status and headers, nothing behind them."""
    for path in ("/livez", "/api/events", "/api/auth/me", "/nowhere", "/docs"):
        got = await hub.api().get(path)
        head = await hub.api().call("HEAD", path)
        assert head.status == got.status
        assert head.headers["Content-Type"] == got.headers["Content-Type"]
        assert not head.body


async def test_options_names_the_methods(hub: System) -> None:
    """204 with Allow, 404 for an address that is none; 405 says the same."""
    answer = await hub.api().call("OPTIONS", "/api/orders")
    assert (answer.status, answer.headers["Allow"]) == (204, "GET, HEAD, OPTIONS, POST")
    assert (await hub.api().call("OPTIONS", "/nowhere")).status == 404
    wrong = await hub.api().call("DELETE", "/api/orders")
    assert (wrong.status, wrong.code) == (405, "METHOD_NOT_ALLOWED")
    assert wrong.headers["Allow"] == answer.headers["Allow"]


async def test_no_page_elsewhere_reads_us_unless_told(hub: System) -> None:
    """Without the setting there is no CORS header at all."""
    answer = await hub.api().get("/api/events", headers={"Origin": "https://shop.example"})
    assert not [name for name in answer.headers if name.startswith("Access-Control")]


async def test_cors_by_setting(house: Scratch) -> None:
    """A listed origin may read and send what the contract uses; another may not; caches are told."""
    async with running(house, workers=(), cors_origins="https://shop.example") as system:
        mine = {"Origin": "https://shop.example"}
        answer = await system.api().get("/api/events", headers=mine)
        assert answer.headers["Access-Control-Allow-Origin"] == "https://shop.example"
        assert "X-Command-Id" in answer.headers["Access-Control-Expose-Headers"]
        assert "Origin" in answer.headers["Vary"]
        asked = mine | {
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": "authorization,idempotency-key",
        }
        preflight = await system.api().call("OPTIONS", "/api/orders", headers=asked)
        assert preflight.status == 204
        assert "POST" in preflight.headers["Access-Control-Allow-Methods"]
        assert "Idempotency-Key" in preflight.headers["Access-Control-Allow-Headers"]
        assert "Access-Control-Allow-Credentials" not in preflight.headers
        other = await system.api().get("/api/events", headers={"Origin": "https://evil.example"})
        assert "Access-Control-Allow-Origin" not in other.headers
        refused = await system.api().get("/api/auth/me", headers=mine)
        assert refused.headers["Access-Control-Allow-Origin"] == "https://shop.example"


async def test_probes(hub: System) -> None:
    """Alive, ready; the numbers are on the health port alone, and nothing else is."""
    assert (await hub.api().get("/livez")).body == {"status": "alive"}
    ready = await hub.api().get("/readyz")
    assert (ready.status, ready.body["missing"]) == (200, [])
    public = await hub.api().get("/metrics")
    assert (public.status, public.code) == (404, "NOT_FOUND")
    async with hub.session.get(f"{hub.health_url}/metrics") as numbers:
        assert numbers.headers["Content-Type"].startswith("text/plain")
        text = await numbers.text()
    assert 'eventhub_http_requests_total{operation="livez",status="200"}' in text
    async with hub.session.get(f"{hub.health_url}/api/events") as elsewhere:
        assert elsewhere.status == 404


async def test_ready_without_redis_and_says_so(house: Scratch) -> None:
    """Redis is speed, not truth."""
    async with running(house, workers=(), REDIS_URL="redis://127.0.0.1:1/0") as system:
        answer = await system.api().get("/readyz")
        assert answer.status == 200
        assert "redis" in answer.body["degraded"]


async def test_pipelined_requests_are_answered_in_order(hub: System) -> None:
    """Two in one packet: the first answer is the first request's."""
    two = b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\nGET /nowhere HTTP/1.1\r\nHost: x\r\n\r\n"
    assert (await send(hub.url, two)).body == b'{"status":"alive"}'
