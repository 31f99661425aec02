"""Rate limits on a running gateway: one count over all gateways, headers, a true Retry-After, local without Redis."""

from typing import Any

import pytest

from db.mysql.database import Database
from tests.harness.accounts import person
from tests.harness.scratch import Scratch
from tests.harness.system import Answer, Api, running
from tests.harness.waiting import eventually

LOGIN = {"email": "nobody@example.com", "password": "x"}
NOWHERE = "redis://127.0.0.1:1/0"


async def until_refused(api: Api, path: str, at_most: int) -> Answer:
    """GET until 429."""
    for _ in range(at_most + 1):
        answer = await api.get(path)
        if answer.status == 429:
            return answer
    raise AssertionError(f"{at_most + 1} calls and no 429")


async def test_gateways_count_together(own_scratch: Scratch, own_database: Database) -> None:
    """Ten a minute are ten a minute, whoever answers; the headers count down; others are not touched."""
    somebody, other = await person(own_database), await person(own_database)
    limits: dict[str, Any] = {
        "limits_off_for": "",
        "limit_user": "10/min",
        "limit_address": "1000/s",
    }
    async with (
        running(own_scratch, workers=(), **limits) as one,
        running(own_scratch, workers=(), **limits) as two,
    ):
        left = []
        for number in range(10):
            answer = await (one, two)[number % 2].api(somebody).get("/api/auth/me")
            assert answer.status == 200
            assert answer.headers["RateLimit-Policy"] == '"user";q=10;w=60'
            left.append(answer.headers["RateLimit"].split(";")[1])
        assert left == [f"r={n}" for n in range(9, -1, -1)]
        for system in (one, two):
            refused = await system.api(somebody).get("/api/auth/me")
            assert (refused.status, refused.code) == (429, "RATE_LIMITED")
            assert refused.headers["RateLimit"].startswith('"user";r=0')
            assert int(refused.headers["Retry-After"]) == refused.body["retryAfter"] <= 60
        assert (await one.api(other).get("/api/auth/me")).status == 200
        assert (await one.api().get("/livez")).status == 200


async def test_retry_after_is_true(own_scratch: Scratch) -> None:
    """Who comes back then is let in."""
    async with running(
        own_scratch, workers=(), limits_off_for="", limit_address="3/s", limit_login="1000/s"
    ) as system:
        refused = await until_refused(system.api(), "/api/market/rates", 10)
        assert refused.headers["Retry-After"] == "1"

        async def let_in() -> bool:
            return (await system.api().get("/api/market/rates")).status == 200

        await eventually(let_in, every=0.2)


async def test_failed_sign_ins_have_a_count_of_their_own(own_scratch: Scratch) -> None:
    """Guessing passwords is slow from one address, whichever account; reading and registering go on."""
    async with running(
        own_scratch, workers=(), limits_off_for="", limit_login="4/h", limit_address="1000/s"
    ) as system:
        answers = [await system.api().post("/api/auth/login", LOGIN) for _ in range(6)]
        assert [answer.status for answer in answers] == [401, 401, 401, 401, 429, 429]
        assert answers[-1].headers["RateLimit-Policy"] == '"login";q=4;w=3600'
        account = {"email": "somebody.new@example.com", "password": "correct horse battery"}
        assert (await system.api().post("/api/auth/register", account)).status == 201
        assert (await system.api().get("/api/events")).status == 200


async def test_credentials_count_for_the_address_whoever_is_signed_in(
    own_scratch: Scratch, own_database: Database
) -> None:
    """A token is no way round the limit of an address: registrations and sign-ins count for it."""
    somebody = await person(own_database)
    async with running(
        own_scratch, workers=(), limits_off_for="", limit_address="3/min", limit_login="1000/s"
    ) as system:
        api = system.api(somebody)
        paths = ("register", "login", "register", "register", "login")
        answers = [await api.post(f"/api/auth/{path}", LOGIN) for path in paths]
        assert [answer.status for answer in answers] == [400, 401, 400, 429, 429]
        assert (await api.get("/api/auth/me")).status == 200


async def test_bad_tokens_count_for_their_address(own_scratch: Scratch) -> None:
    """Trying tokens is no way round the limit."""
    async with running(
        own_scratch, workers=(), limits_off_for="", limit_address="3/h", limit_login="1000/s"
    ) as system:
        headers = {"Authorization": "Bearer x.y.z"}
        answers = [await system.api().get("/api/auth/me", headers=headers) for _ in range(5)]
        assert [answer.status for answer in answers] == [401, 401, 401, 429, 429]


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/livez", 200),
        ("GET", "/readyz", 200),
        ("GET", "/openapi.json", 200),
        ("GET", "/docs", 200),
        ("GET", "/nowhere", 404),
        ("GET", "/metrics", 404),
        ("POST", "/livez", 405),
        ("OPTIONS", "/api/orders", 204),
        ("OPTIONS", "/nowhere", 404),
    ],
)
async def test_every_path_counts_for_its_address(
    own_scratch: Scratch, method: str, path: str, status: int
) -> None:
    """Also where nothing is, and what is not for that method: the third of two is told to wait."""
    limits: dict[str, Any] = {"limits_off_for": "", "limit_address": "2/h"}
    async with running(own_scratch, workers=(), REDIS_URL=NOWHERE, **limits) as system:
        answers = [await system.api().call(method, path, wait=None) for _ in range(3)]
        assert [one.status for one in answers] == [status, status, 429]
        assert answers[0].headers["RateLimit-Policy"] == '"address";q=2;w=3600'
        assert int(answers[2].headers["Retry-After"]) > 3000
        assert answers[2].code == "RATE_LIMITED"


async def test_without_redis_each_gateway_counts_for_itself(
    own_scratch: Scratch, own_database: Database
) -> None:
    """Nobody is let through uncounted, nobody waits long, nothing fails."""
    somebody = await person(own_database)
    changes: dict[str, Any] = {"limits_off_for": "", "limit_user": "3/h", "REDIS_URL": NOWHERE}
    async with running(own_scratch, workers=(), **changes) as system:
        answers = [await system.api(somebody).get("/api/auth/me") for _ in range(5)]
        assert [answer.status for answer in answers] == [200, 200, 200, 429, 429]


async def test_networks_without_limits_are_not_told_about_any(own_scratch: Scratch) -> None:
    """scripts/up sets 127.0.0.0/8."""
    async with running(own_scratch, workers=(), limit_address="1/h") as system:
        for _ in range(3):
            answer = await system.api().get("/api/market/rates")
            assert answer.status == 200
            assert "RateLimit" not in answer.headers
