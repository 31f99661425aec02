"""The webhook calls: what they answer, to whom, and which URLs they refuse."""

import re
from collections.abc import AsyncIterator

import pytest

from db.mysql.database import Database
from tests.harness.accounts import person
from tests.harness.scratch import Scratch
from tests.harness.system import System, running
from tests.integration.notify.conftest import hook
from tests.integration.notify.receiver import Receiver

EVIL = {
    "": "Input",
    "not a url": "must be percent-encoded",
    "ftp://example.com/": "does not begin with",
    "javascript:alert(1)": "does not begin with",
    "//example.com/": "does not begin with",
    "https:///nowhere": "names no host",
    "https://user:password@example.com/": "user name",
    "https://example.com/#part": "fragment",
    "https://example.com:0/": "port",
    "https://example.com:22/": "port",
    "https://example.com:99999/": "no URL",
    "https://example.com\\@10.0.0.1/": "percent-encoded",
    "https://exam\nple.com/": "percent-encoded",
    "http://localhost/": "inside a network",
    "http://a.localhost./": "inside a network",
    "http://mysql:3306/": "inside a network",
    "http://metadata.google.internal/": "inside a network",
    "http://printer.local/": "inside a network",
    "http://127.0.0.1/": "not a public address",
    "http://127.1/": "four decimal numbers",
    "http://2130706433/": "four decimal numbers",
    "http://0x7f000001/": "four decimal numbers",
    "http://0177.0.0.1/": "four decimal numbers",
    "http://0/": "four decimal numbers",
    "http://0.0.0.0/": "not a public address",
    "http://10.1.2.3/": "not a public address",
    "http://100.64.0.1/": "not a public address",
    "http://169.254.169.254/latest/meta-data": "not a public address",
    "http://172.16.0.1/": "not a public address",
    "http://192.168.1.1/": "not a public address",
    "http://224.0.0.1/": "not a public address",
    "http://255.255.255.255/": "not a public address",
    "http://127。0。0。1/": "not a public address",
    "http://①②⑦.⓪.⓪.①/": "not a public address",
    "http://[::]/": "not a public address",
    "http://[::1]/": "not a public address",
    "http://[::ffff:127.0.0.1]/": "not a public address",
    "http://[64:ff9b::7f00:1]/": "not a public address",
    "http://[fe80::1]/": "not a public address",
    "http://[fe80::1%25eth0]/": "percent sign",
    "http://[fc00::1]/": "not a public address",
    "http://[2002:7f00:1::]/": "not a public address",
    "http://[2001:0:53aa:64c::1]/": "not a public address",
    "http://[ff02::1]/": "not a public address",
    "https://-example.com/": "cannot exist",
    "https://example..com/": "cannot exist",
    "https://" + "a" * 64 + ".com/": "cannot exist",
    "https://example.com/" + "a" * 2048: "longer than",
}


@pytest.fixture(scope="module")
async def careful(scratch: Scratch) -> AsyncIterator[System]:
    """A gateway with the setting as it comes: no private addresses."""
    async with running(scratch, workers=()) as system:
        yield system


@pytest.mark.parametrize("url", EVIL)
async def test_an_evil_url_is_refused_with_its_reason(
    careful: System, database: Database, url: str
) -> None:
    """400 INVALID, the pointer at `/url`, a sentence that helps its author; nothing is stored."""
    buyer = await person(database)
    answer = await careful.api(buyer).post("/api/webhooks", {"url": url, "eventTypes": ["*"]})
    assert (answer.status, answer.code) == (400, "INVALID")
    (error,) = answer.body["errors"]
    assert error["pointer"] == "/url"
    assert EVIL[url].lower() in error["detail"].lower() or not url
    assert (await careful.api(buyer).get("/api/webhooks")).body["data"] == []


@pytest.mark.parametrize(
    ("url", "canonical"),
    [
        ("https://example.com/hooks?for=me", "https://example.com/hooks?for=me"),
        ("HTTPS://Example.COM./hooks", "https://example.com/hooks"),
        ("https://bücher.example/ä", "https://xn--bcher-kva.example/%C3%A4"),
        ("http://8.8.8.8:8443/", "http://8.8.8.8:8443/"),
        ("https://[2606:4700::1111]/", "https://[2606:4700::1111]/"),
    ],
)
async def test_a_good_url_is_kept_in_its_usual_spelling(
    careful: System, database: Database, url: str, canonical: str
) -> None:
    """201 with Location, and the secret, here and never again."""
    buyer = await person(database)
    api = careful.api(buyer)
    answer = await api.post("/api/webhooks", {"url": url, "eventTypes": ["order.placed"]})
    assert answer.status == 201, answer.body
    assert set(answer.body) == {"id", "url", "eventTypes", "secret"}
    assert (answer.body["url"], answer.body["eventTypes"]) == (canonical, ["order.placed"])
    assert re.fullmatch(r"whsec_[A-Za-z0-9+/]{43}=", answer.body["secret"])
    shown = await api.get(answer.headers["Location"])
    assert shown.status == 200
    assert "secret" not in shown.body
    stored = await database.read(
        "SELECT secret FROM webhook_endpoints WHERE id = %s", answer.body["id"]
    )
    assert answer.body["secret"][6:].encode() not in stored[0][0]


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"url": "https://example.com/"},
        {"url": "https://example.com/", "eventTypes": []},
        {"url": "https://example.com/", "eventTypes": ["order.lost"]},
        {"url": "https://example.com/", "eventTypes": ["webhook.ping"]},
        {"url": "https://example.com/", "eventTypes": ["*", "*"]},
        {"url": "https://example.com/", "eventTypes": "*"},
        {"url": 5, "eventTypes": ["*"]},
        {"url": "https://example.com/", "eventTypes": ["*"], "secret": "whsec_mine"},
    ],
)
async def test_a_bad_body_is_refused(
    careful: System, database: Database, body: dict[str, object]
) -> None:
    """400 INVALID; the client cannot choose the secret or a type that does not exist."""
    answer = await careful.api(await person(database)).post("/api/webhooks", body)
    assert (answer.status, answer.code) == (400, "INVALID")


async def test_a_webhook_is_its_owners(
    system: System, database: Database, receiver: Receiver
) -> None:
    """404 for everybody else, admins too, on every call; 401 for nobody."""
    owner, other = await person(database), await person(database, "ADMIN", "ORGANIZER", "USER")
    made = await hook(system, owner, receiver, "/mine")
    ping = await system.api(owner).post(f"/api/webhooks/{made.id}/ping")
    base, delivery = f"/api/webhooks/{made.id}", ping.body["id"]
    calls = [
        ("GET", base),
        ("GET", f"{base}/deliveries"),
        ("GET", f"{base}/deliveries/{delivery}"),
        ("POST", f"{base}/ping"),
        ("POST", f"{base}/rotate-secret"),
        ("POST", f"{base}/deliveries/{delivery}/resend"),
        ("DELETE", base),
    ]
    for method, path in calls:
        assert (await system.api(other).call(method, path)).code == "NOT_FOUND", path
        assert (await system.api().call(method, path)).code == "UNAUTHENTICATED", path
    assert (await system.api(other).get("/api/webhooks")).body["data"] == []
    for method, path in calls:
        assert (await system.api(owner).call(method, path)).status < 300, path
    for method, path in calls:
        assert (await system.api(owner).call(method, path)).code == "NOT_FOUND", path


async def test_a_delivery_belongs_to_its_webhook(
    system: System, database: Database, receiver: Receiver
) -> None:
    """A delivery of another webhook of the same owner is 404 too."""
    owner = await person(database)
    one, two = [await hook(system, owner, receiver, f"/{name}") for name in ("one", "two")]
    api = system.api(owner)
    ping = await api.post(f"/api/webhooks/{one.id}/ping")
    path = f"/api/webhooks/{two.id}/deliveries/{ping.body['id']}"
    assert (await api.get(path)).code == "NOT_FOUND"
    assert (await api.post(f"{path}/resend")).code == "NOT_FOUND"


async def test_what_somebody_waits_for_is_due_now(
    system: System, database: Database, receiver: Receiver
) -> None:
    """A ping goes before all others, and says that it is due now; so does one that is asked for again."""
    owner = await person(database)
    made = await hook(system, owner, receiver, "/now")
    api = system.api(owner)
    ping = (await api.post(f"/api/webhooks/{made.id}/ping")).body
    assert ping["nextAttemptAt"] == ping["createdAt"]
    path = f"/api/webhooks/{made.id}/deliveries/{ping['id']}/resend"
    again = (await api.post(path)).body
    assert again["nextAttemptAt"] > ping["createdAt"]


async def test_lists_are_paged(system: System, database: Database, receiver: Receiver) -> None:
    """Webhooks by rising id, deliveries newest first; each row once over all pages."""
    owner = await person(database)
    api = system.api(owner)
    made = [await hook(system, owner, receiver, f"/{n}") for n in range(3)]
    pings = [(await api.post(f"/api/webhooks/{made[0].id}/ping")).body["id"] for _ in range(3)]
    for path, expected in (
        ("/api/webhooks", [one.id for one in made]),
        (f"/api/webhooks/{made[0].id}/deliveries", pings[::-1]),
    ):
        first = (await api.get(f"{path}?limit=2")).body
        assert first["hasMore"] is True
        second = (await api.get(f"{path}?limit=2&cursor={first['nextCursor']}")).body
        assert (second["hasMore"], second["nextCursor"]) == (False, None)
        assert [row["id"] for row in first["data"] + second["data"]] == expected
        assert (await api.get(f"{path}?cursor=nonsense")).code == "INVALID"


async def test_an_account_has_at_most_twenty(
    system: System, database: Database, receiver: Receiver
) -> None:
    """The twenty-first is refused; one deleted makes room for one."""
    owner = await person(database)
    api = system.api(owner)
    made = [await hook(system, owner, receiver, f"/{n}") for n in range(20)]
    body = {"url": receiver.url("/more"), "eventTypes": ["*"]}
    assert (await api.post("/api/webhooks", body)).code == "INVALID"
    await api.delete(f"/api/webhooks/{made[0].id}")
    assert (await api.post("/api/webhooks", body)).status == 201
