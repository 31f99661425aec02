"""MySQL gone and back: honest 503s, tokens still good, accounts as they were, and everything works again."""

from db.mysql.database import Database
from scripts.proving.proxy import Proxy
from tests.harness.accounts import person
from tests.harness.scratch import Scratch
from tests.harness.system import Api, System, running
from tests.harness.waiting import eventually

PASSWORD = "correct horse battery"


async def until_ready(system: System) -> None:
    """The probe says 200."""

    async def ready() -> bool:
        return (await system.api().get("/readyz")).status == 200

    await eventually(ready)


async def sign_in(api: Api, password: str) -> int:
    body = {"email": "steady@example.com", "password": password}
    return (await api.post("/api/auth/login", body)).status


async def test_without_the_database(own_scratch: Scratch, own_database: Database) -> None:
    """503 with Retry-After where a row is needed, 401, 403, 404 and 400 where none is; the probe names it; a
    failed attempt to sign in counts for nobody; after its return all is well without a restart."""
    somebody, admin = await person(own_database), await person(own_database, "ADMIN")
    async with (
        Proxy(own_scratch.mysql_url) as way,
        running(own_scratch, workers=(), MYSQL_URL=way.address) as system,
    ):
        api = system.api(somebody)
        body = {"email": "steady@example.com", "password": PASSWORD}
        assert (await api.post("/api/auth/register", body)).status == 201
        way.turn("cut")
        for answer in (
            await api.get("/api/auth/me"),
            await system.api(admin).get("/api/admin/users"),
            await system.api().post("/api/auth/login", body),
            await system.api().post("/api/auth/register", body),
            await system.api().post("/api/auth/refresh", {"refreshToken": "x"}),
        ):
            assert (answer.status, answer.code) == (503, "UNAVAILABLE")
            assert int(answer.headers["Retry-After"]) == answer.body["retryAfter"]
        assert (await api.get("/api/admin/users")).status == 403
        assert (await system.api().get("/api/auth/me")).status == 401
        assert (await system.api().get("/nowhere")).status == 404
        assert (await system.api().post("/api/auth/login", [])).status == 400
        assert (await system.api().get("/livez")).status == 200
        probe = await system.api().get("/readyz")
        assert (probe.status, probe.body["missing"]) == (503, ["mysql"])
        way.turn("pass")
        await until_ready(system)
        assert (await api.get("/api/auth/me")).status == 200
        assert await sign_in(system.api(), PASSWORD) == 200
