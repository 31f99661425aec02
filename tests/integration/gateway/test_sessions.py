"""Sessions: refresh tokens rotate, reuse ends a session, and access tokens end with theirs, at every gateway."""

import asyncio

from db.mysql.database import Database
from tests.harness.accounts import Person
from tests.harness.scratch import Scratch
from tests.harness.system import Answer, Api, System, running
from tests.harness.waiting import eventually
from tests.integration.gateway.test_accounts import bearer, fresh_email, register, sign_in


async def refreshed(api: Api, token: str) -> Answer:
    """POST refresh."""
    return await api.post("/api/auth/refresh", {"refreshToken": token})


async def alive(system: System, access_token: str) -> bool:
    """Whether an access token works at this gateway."""
    status = (await system.api().get("/api/auth/me", headers=bearer(access_token))).status
    assert status in (200, 401)
    return status == 200


async def later(own_database: Database) -> None:
    """All tokens that are spent were spent eleven seconds ago."""
    await own_database.write("UPDATE refresh_tokens SET spent_at = spent_at - INTERVAL 11 SECOND")


async def over_everywhere(systems: tuple[System, ...], access_token: str) -> None:
    """The token stops at every gateway, well within the 30 seconds of the contract."""
    for system in systems:

        async def dead(system: System = system) -> bool:
            return not await alive(system, access_token)

        await eventually(dead)


async def test_a_spent_token_that_comes_back_ends_its_session(
    own_scratch: Scratch, system: System, own_database: Database
) -> None:
    """Its refresh tokens at once, its access tokens at this gateway and others soon; other sign-ins live on."""
    api, email = system.api(), fresh_email()
    await register(api, email)
    async with running(own_scratch, workers=()) as other:
        first, beside = (await sign_in(api, email)).body, (await sign_in(api, email)).body
        second = (await refreshed(api, first["refreshToken"])).body
        assert second["refreshToken"] != first["refreshToken"]
        assert await alive(system, second["accessToken"])
        assert await alive(other, second["accessToken"])
        await later(own_database)
        assert (await refreshed(api, first["refreshToken"])).status == 401
        assert (await refreshed(api, second["refreshToken"])).status == 401
        assert not await alive(system, second["accessToken"])
        await over_everywhere((other,), second["accessToken"])
        await over_everywhere((system, other), first["accessToken"])
        assert await alive(other, beside["accessToken"])
        assert (await refreshed(api, beside["refreshToken"])).status == 200


async def test_two_tabs_that_refresh_at_once_both_live(
    system: System, own_database: Database
) -> None:
    """Within ten seconds of its first use a token gives a working pair each time; what they give rotates on."""
    api, email = system.api(), fresh_email()
    await register(api, email)
    token = (await sign_in(api, email)).body["refreshToken"]
    answers = await asyncio.gather(*(refreshed(api, token) for _ in range(4)))
    answers.append(await refreshed(api, token))
    assert [answer.status for answer in answers] == [200] * 5
    assert len({answer.body["refreshToken"] for answer in answers}) == 5
    for answer in answers:
        assert await alive(system, answer.body["accessToken"])
        assert (await refreshed(api, answer.body["refreshToken"])).status == 200
    await later(own_database)
    assert (await refreshed(api, token)).status == 401
    assert not await alive(system, answers[0].body["accessToken"])


async def test_the_grace_counts_from_the_first_use(system: System, own_database: Database) -> None:
    """A token that is shown again and again does not live on by it."""
    api, email = system.api(), fresh_email()
    await register(api, email)
    token = (await sign_in(api, email)).body["refreshToken"]
    for status in (200, 200, 401):
        assert (await refreshed(api, token)).status == status
        await own_database.write(
            "UPDATE refresh_tokens SET spent_at = spent_at - INTERVAL 6 SECOND"
        )


async def test_signing_out_ends_the_own_session_alone(own_scratch: Scratch, system: System) -> None:
    """204, also twice; refresh and access tokens are dead, here at once; another session lives on, and so does who
    did not sign out."""
    api, mine, theirs = system.api(), fresh_email(), fresh_email()
    await register(api, mine)
    await register(api, theirs)
    async with running(own_scratch, workers=()) as other:
        my, beside = (await sign_in(api, mine)).body, (await sign_in(api, mine)).body
        their = (await sign_in(api, theirs)).body
        assert await alive(other, my["accessToken"])
        header = bearer(beside["accessToken"])
        for token in (my["refreshToken"], my["refreshToken"], their["refreshToken"], "unknown"):
            answer = await api.post("/api/auth/logout", {"refreshToken": token}, headers=header)
            assert answer.status == 204
        assert not await alive(system, my["accessToken"])
        await over_everywhere((other,), my["accessToken"])
        assert (await refreshed(api, my["refreshToken"])).status == 401
        assert (await refreshed(api, their["refreshToken"])).status == 200
        for session in (beside, their):
            assert await alive(system, session["accessToken"])
            assert await alive(other, session["accessToken"])


async def test_a_disabled_account_s_tokens_stay_dead(
    own_scratch: Scratch, system: System, admin: Person
) -> None:
    """Enabled again it signs in; what it held before works nowhere, also at a gateway that begins afterwards."""
    api, email = system.api(), fresh_email()
    made, pair = await register(api, email), (await sign_in(api, email)).body
    where = f"/api/admin/users/{made.body['id']}"
    await system.api(admin).patch(where, {"status": "DISABLED"})
    await over_everywhere((system,), pair["accessToken"])
    await system.api(admin).patch(where, {"status": "ACTIVE"})
    fresh = (await sign_in(api, email)).body
    await over_everywhere((system,), pair["accessToken"])
    assert await alive(system, fresh["accessToken"])
    async with running(own_scratch, workers=()) as other:
        assert not await alive(other, pair["accessToken"])
        assert await alive(other, fresh["accessToken"])
    assert (await refreshed(api, pair["refreshToken"])).status == 401


async def test_a_session_knows_where_it_is_used(system: System, own_database: Database) -> None:
    """Address, user agent (whatever its bytes are) and the time of its last refresh, for its owner to see."""
    api, email = system.api(), fresh_email()
    made = await register(api, email)
    body = {"email": email, "password": "correct horse battery"}
    pair = await api.post(
        "/api/auth/login", body, headers={"User-Agent": "Tab \u00e9\U0001f3ba" * 99}
    )
    assert pair.status == 200

    async def session() -> tuple[object, ...]:
        rows = await own_database.read(
            "SELECT address, user_agent, last_used_at, session_id FROM refresh_families WHERE user_id = %s",
            made.body["id"],
        )
        assert len(rows) == 1
        return rows[0]

    address, agent, used, id_ = await session()
    assert (address, str(agent)[:6]) == ("127.0.0.1", "Tab \u00e9\U0001f3ba")
    shown = {"refreshToken": pair.body["refreshToken"]}
    await api.post("/api/auth/refresh", shown, headers={"User-Agent": "Another"})
    _, after, again, same = await session()
    assert (after, same) == ("Another", id_)
    assert again != used
