"""Accounts over HTTP: register, sign in, rotate, sign out, and nothing for an attacker to learn."""

import asyncio
import itertools

from db.mysql.database import Database
from tests.harness.accounts import Person
from tests.harness.scratch import Scratch
from tests.harness.system import Answer, Api, System, running
from tests.harness.waiting import eventually

PASSWORD = "correct horse battery"
_serial = itertools.count(1)


def fresh_email() -> str:
    """An address that nobody has."""
    return f"account{next(_serial)}@example.com"


async def register(api: Api, email: str | None = None) -> Answer:
    """A new account."""
    return await api.post(
        "/api/auth/register", {"email": email or fresh_email(), "password": PASSWORD}
    )


async def sign_in(api: Api, email: str, password: str = PASSWORD) -> Answer:
    """POST login."""
    return await api.post("/api/auth/login", {"email": email, "password": password})


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


async def test_register_sign_in_and_me(system: System) -> None:
    """The account of the contract, role USER; its address in any case signs in; me shows the same."""
    api, email = system.api(), fresh_email()
    made = await register(api, email.upper())
    assert made.status == 201
    assert set(made.body) == {
        "id", "email", "roles", "status", "failedLoginCount", "lockedUntil", "createdAt", "updatedAt"
    }  # fmt: skip
    assert (made.body["email"], made.body["roles"], made.body["status"]) == (
        email,
        ["USER"],
        "ACTIVE",
    )
    pair = await sign_in(api, email)
    assert pair.status == 200
    assert set(pair.body) == {"accessToken", "refreshToken", "tokenType", "expiresIn"}
    assert (pair.body["tokenType"], pair.body["expiresIn"]) == ("Bearer", 900)
    me = await api.get("/api/auth/me", headers=bearer(pair.body["accessToken"]))
    assert (me.status, me.body) == (200, made.body)


async def test_an_address_is_taken_once(system: System) -> None:
    """Two at once, in two spellings: one 201, one EMAIL_TAKEN."""
    email = fresh_email()
    answers = await asyncio.gather(
        register(system.api(), email),
        register(system.api(), email.title()),
        register(system.api(), email),
    )
    assert sorted(answer.status for answer in answers) == [201, 409, 409]
    assert {answer.code for answer in answers if answer.status == 409} == {"EMAIL_TAKEN"}


async def test_what_registration_refuses(system: System, own_database: Database) -> None:
    """Bad addresses, passwords that are short, long or everybody's, members that are not the client's: 400, no row."""
    before = await own_database.read("SELECT COUNT(*) FROM users")
    email = fresh_email()
    bodies: tuple[object, ...] = (
        {"email": "nobody", "password": PASSWORD},
        {"email": "a@b", "password": PASSWORD},
        {"email": f"{email}\r\nBcc: x@y.zz", "password": PASSWORD},
        {"email": email, "password": "nine char"},
        {"email": email, "password": "x" * 129},
        {"email": email, "password": "x" * 12},
        {"email": email, "password": "Password123"},
        {"email": email, "password": "ten chars\x00here"},
        {"email": email, "password": 1234567890},
        {"email": email},
        {"email": email, "password": PASSWORD, "roles": ["ADMIN"]},
        {"email": email, "password": PASSWORD, "status": "ACTIVE"},
        {"email": email, "password": PASSWORD, "id": 1},
        [],
        "x",
    )
    for body in bodies:
        answer = await system.api().post("/api/auth/register", body)
        assert (answer.status, answer.code) == (400, "INVALID"), body
        assert "x@y.zz" not in str(answer.body)
    assert await own_database.read("SELECT COUNT(*) FROM users") == before


async def test_unknown_wrong_locked_and_disabled_get_one_answer(
    system: System, own_database: Database
) -> None:
    """Byte for byte, but for the request's id: nothing to tell them apart."""
    locked, disabled, known = fresh_email(), fresh_email(), fresh_email()
    for email in (locked, disabled, known):
        await register(system.api(), email)
    await own_database.write(
        "UPDATE account_networks SET locked_until = UTC_TIMESTAMP(6) + INTERVAL 1 HOUR "
        "WHERE user_id = (SELECT id FROM users WHERE email = %s)",
        locked,
    )
    await own_database.write("UPDATE users SET status = 'DISABLED' WHERE email = %s", disabled)
    answers = [
        await sign_in(system.api(), fresh_email()),
        await sign_in(system.api(), "no address at all"),
        await sign_in(system.api(), known, "wrong password"),
        await sign_in(system.api(), locked),
        await sign_in(system.api(), locked, "wrong password"),
        await sign_in(system.api(), disabled),
        await sign_in(system.api(), disabled, "wrong password"),
    ]
    assert {answer.status for answer in answers} == {401}
    seen = {tuple(sorted((k, v) for k, v in a.body.items() if k != "instance")) for a in answers}
    assert len(seen) == 1
    assert len({tuple(a.headers) for a in answers}) == 1


async def test_every_failed_sign_in_writes_alike(system: System, own_database: Database) -> None:
    """The work is the same, so the time is: a failure that counts for nobody writes to decoys, and they are few."""
    known, disabled = fresh_email(), fresh_email()
    await register(system.api(), known)
    await register(system.api(), disabled)
    await own_database.write("UPDATE users SET status = 'DISABLED' WHERE email = %s", disabled)

    async def written() -> int:
        rows = await own_database.read(
            "SELECT (SELECT SUM(attempts) FROM login_decoys) + (SELECT SUM(failed_login_count) FROM users)"
        )
        return int(rows[0][0])

    async def networks() -> set[tuple[int, object]]:
        rows = await own_database.read("SELECT user_id, updated_at FROM account_networks")
        return {(row[0], row[1]) for row in rows}

    for email, password in (
        (known, "wrong"),
        (fresh_email(), "x"),
        (disabled, PASSWORD),
        ("?", "x"),
    ):
        before, seen = await written(), await networks()
        await sign_in(system.api(), email, password)
        assert await written() == before + 1, email
        assert len(await networks() - seen) == 1, email
    for _ in range(40):
        await sign_in(system.api(), fresh_email(), "x")
    assert len([user for user, _ in await networks() if user < 0]) <= 16


async def test_failures_lock_and_time_or_success_forgives(
    own_scratch: Scratch, own_database: Database
) -> None:
    """The fifth failure locks, also against the right password; the lock lapses; a sign-in sets the count to 0."""
    async with running(own_scratch, workers=(), lockout=1) as system:
        api, email = system.api(), fresh_email()
        await register(api, email)
        for _ in range(4):
            await sign_in(api, email, "wrong password")
        assert (await sign_in(api, email)).status == 200
        assert await failures(own_database, email) == 0
        for _ in range(5):
            assert (await sign_in(api, email, "wrong password")).status == 401
        assert await failures(own_database, email) == 5
        assert (await sign_in(api, email)).status == 401

        async def forgiven() -> bool:
            return (await sign_in(api, email)).status == 200

        await eventually(forgiven)
        assert await failures(own_database, email) == 0


async def failures(own_database: Database, email: str) -> int:
    """failed_login_count of an account."""
    rows = await own_database.read("SELECT failed_login_count FROM users WHERE email = %s", email)
    return int(rows[0][0])


async def test_admins_see_failed_sign_ins(system: System, admin: Person) -> None:
    """failedLoginCount is theirs to watch."""
    email = fresh_email()
    made = await register(system.api(), email)
    for _ in range(2):
        await sign_in(system.api(), email, "wrong password")
    shown = await system.api(admin).get(f"/api/admin/users/{made.body['id']}")
    assert shown.body["failedLoginCount"] == 2


async def test_what_is_no_refresh_token_is_401(system: System) -> None:
    """Made up, an access token, somebody's hash."""
    for token in ("x", "A" * 43, "eyJhbGciOiJub25lIn0.e30."):
        answer = await system.api().post("/api/auth/refresh", {"refreshToken": token})
        assert (answer.status, answer.code) == (401, "UNAUTHENTICATED")


async def test_only_hashes_are_stored(system: System, own_database: Database) -> None:
    """No password and no refresh token stands in the database."""
    api, email = system.api(), fresh_email()
    await register(api, email)
    token = (await sign_in(api, email)).body["refreshToken"]
    stored = await own_database.read("SELECT password_hash FROM users WHERE email = %s", email)
    assert stored[0][0].startswith("$argon2id$")
    hashes = await own_database.read("SELECT token_hash FROM refresh_tokens")
    assert all(len(row[0]) == 32 and token.encode() not in row[0] for row in hashes)


async def test_a_stronger_setting_rehashes_at_sign_in(
    own_scratch: Scratch, own_database: Database
) -> None:
    """The next sign-in stores today's parameters; the password stays."""
    email = fresh_email()
    async with running(own_scratch, workers=(), argon2="64,1,1") as system:
        await register(system.api(), email)
    async with running(own_scratch, workers=(), argon2="128,2,1") as system:
        assert (await sign_in(system.api(), email)).status == 200
        rows = await own_database.read("SELECT password_hash FROM users WHERE email = %s", email)
        assert "m=128,t=2,p=1" in rows[0][0]
        assert (await sign_in(system.api(), email)).status == 200
