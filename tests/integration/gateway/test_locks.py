"""Wrong passwords lock the pair of account and network; nobody locks anybody else out, and an admin can unlock."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from db.mysql.database import Database
from tests.harness.accounts import Person
from tests.harness.scratch import Scratch
from tests.harness.system import Answer, System, running
from tests.harness.waiting import eventually
from tests.integration.gateway.test_accounts import PASSWORD, fresh_email

HOME, OFFICE = "198.51.100.7", "192.0.2.77"
LIMITS: dict[str, Any] = {
    "workers": (),
    "trusted_proxies": "127.0.0.0/8",
    "limit_address": "1000/s",
    "limit_login": "1000/s",
}
"""Calls come from where the tests say; only the locks hold anybody up."""


@pytest.fixture(scope="module")
async def bank(own_scratch: Scratch) -> AsyncIterator[System]:
    """A gateway behind a proxy: who calls from where is in X-Forwarded-For."""
    async with running(own_scratch, **LIMITS) as system:
        yield system


async def register(system: System, address: str = HOME) -> str:
    """A new account, made at home."""
    email, headers = fresh_email(), {"X-Forwarded-For": address}
    body = {"email": email, "password": PASSWORD}
    answer = await system.api().post("/api/auth/register", body, headers=headers)
    assert answer.status == 201
    return email


async def enter(system: System, email: str, address: str, password: str = PASSWORD) -> Answer:
    """POST login from an address."""
    body, headers = {"email": email, "password": password}, {"X-Forwarded-For": address}
    return await system.api().post("/api/auth/login", body, headers=headers)


async def guess(system: System, email: str, address: str, times: int) -> None:
    """So many wrong passwords."""
    for _ in range(times):
        assert (await enter(system, email, address, "a wrong password")).status == 401


def stranger(number: int) -> str:
    """An address of a network of its own."""
    return f"203.{number}.113.9" if number % 2 else f"2001:db8:{number:x}::9"


async def shown(system: System, admin: Person, email: str) -> dict[str, Any]:
    """The account as an admin sees it."""
    found = await system.api(admin).get(f"/api/admin/users?email={email}")
    (account,) = found.body["data"]
    assert isinstance(account, dict)
    return account


async def test_a_stranger_locks_out_the_own_network_alone(bank: System, admin: Person) -> None:
    """The fifth wrong password locks its /24, for the right one too; the owner signs in from everywhere else."""
    email = await register(bank)
    await guess(bank, email, "203.0.113.9", 5)
    for near in ("203.0.113.9", "203.0.113.200"):
        assert (await enter(bank, email, near)).status == 401
    assert (await shown(bank, admin, email))["lockedUntil"] is not None
    assert (await enter(bank, email, HOME)).status == 200
    assert (await enter(bank, email, "203.0.114.9")).status == 200
    assert (await enter(bank, email, "203.0.113.9")).status == 401


async def test_many_strangers_lock_out_strangers_alone(bank: System, admin: Person) -> None:
    """Ten times as many lock the account for networks it never signed in from; the owner's own stay open, and what
    the owner does there opens it to no stranger."""
    email = await register(bank)
    assert (await enter(bank, email, OFFICE)).status == 200
    for number in range(12):
        await guess(bank, email, stranger(number), 4)
    assert (await enter(bank, email, "198.18.0.1")).status == 200
    for number in range(20, 33):
        await guess(bank, email, stranger(number), 4)
    assert (await shown(bank, admin, email))["lockedUntil"] is not None
    assert (await enter(bank, email, "198.19.0.1")).status == 401
    for known in (HOME, OFFICE, "198.18.0.200", HOME):
        assert (await enter(bank, email, known)).status == 200
    assert (await enter(bank, email, "198.19.0.1")).status == 401
    locked = await enter(bank, email, "198.19.0.1")
    wrong = await enter(bank, email, "198.20.0.1", "a wrong password")
    unknown = await enter(bank, fresh_email(), "198.19.0.1")
    alike = [{k: v for k, v in one.body.items() if k != "instance"} for one in (locked, wrong)]
    assert alike == [{k: v for k, v in unknown.body.items() if k != "instance"}] * 2


async def test_the_rows_of_an_attack_are_bounded(bank: System, own_database: Database) -> None:
    """A locked account counts no strangers: new networks leave no rows."""
    email = await register(bank)
    for number in range(80):
        await guess(bank, email, stranger(number), 1)
    rows = await own_database.read(
        "SELECT COUNT(*) FROM account_networks n JOIN users u ON u.id = n.user_id WHERE u.email = %s",
        email,
    )
    assert rows[0][0] == 51


async def test_who_was_never_anywhere_is_locked_out_of_no_account(
    bank: System, own_database: Database
) -> None:
    """An admin whom set-up made, or an account of a release before: strangers cannot close it to its owner."""
    email = await register(bank)
    await own_database.write(
        "DELETE FROM account_networks WHERE user_id = (SELECT id FROM users WHERE email = %s)",
        email,
    )
    for number in range(60):
        await guess(bank, email, stranger(number), 1)
    assert (await enter(bank, email, HOME)).status == 200


async def test_an_owner_who_mistypes_is_locked_out_there_and_an_admin_unlocks(
    bank: System, admin: Person
) -> None:
    """lockedUntil says so, also to the owner elsewhere; unlock opens every network and forgets the count."""
    email = await register(bank)
    await guess(bank, email, HOME, 5)
    assert (await enter(bank, email, HOME)).status == 401
    account = await shown(bank, admin, email)
    assert (account["failedLoginCount"], account["lockedUntil"] is None) == (5, False)
    for number in range(50):
        await guess(bank, email, stranger(number), 1)
    unlocked = await bank.api(admin).post(f"/api/admin/users/{account['id']}/unlock")
    assert unlocked.status == 200
    assert (unlocked.body["failedLoginCount"], unlocked.body["lockedUntil"]) == (0, None)
    assert (await enter(bank, email, HOME)).status == 200
    assert (await enter(bank, email, "198.19.0.1")).status == 200
    assert (await bank.api(admin).post("/api/admin/users/999999999/unlock")).code == "NOT_FOUND"


async def test_a_storm_of_guesses_is_no_way_round(bank: System, own_database: Database) -> None:
    """Fifty at once at one account and at many: nothing but 401, and the lock is there when the storm is over."""
    email, others = await register(bank), [await register(bank) for _ in range(5)]
    await asyncio.gather(
        *(guess(bank, email, stranger(1), 1) for _ in range(25)),
        *(guess(bank, one, stranger(number), 1) for number in range(5) for one in others),
        *(guess(bank, fresh_email(), stranger(number), 1) for number in range(10)),
    )
    assert (await enter(bank, email, stranger(1))).status == 401
    assert (await enter(bank, email, HOME)).status == 200
    rows = await own_database.read(
        "SELECT n.failures FROM account_networks n JOIN users u ON u.id = n.user_id "
        "WHERE u.email = %s AND n.signed_in_at IS NULL",
        email,
    )
    assert [row[0] >= 5 for row in rows] == [True]


async def test_locks_lapse(own_scratch: Scratch) -> None:
    """Both kinds; the count then begins anew."""
    async with running(own_scratch, lockout=1, lockout_after=2, **LIMITS) as system:
        email = await register(system)
        await guess(system, email, OFFICE, 2)
        for number in range(18):
            await guess(system, email, stranger(number), 1)

        async def forgiven(address: str) -> bool:
            return (await enter(system, email, address)).status == 200

        await eventually(lambda: forgiven("198.19.0.1"))
        await eventually(lambda: forgiven(OFFICE))
        await guess(system, email, OFFICE, 1)
        assert await forgiven(OFFICE)


async def test_a_campus_signs_in_within_a_minute(own_scratch: Scratch) -> None:
    """Fourteen people behind one address, each first mistyping once or not at all: failures count, people do not."""
    limits = LIMITS | {"limit_login": "6/h"}
    async with running(own_scratch, **limits) as system:
        people = [await register(system, OFFICE) for _ in range(14)]
        for number, email in enumerate(people):
            if number < 5:
                await guess(system, email, OFFICE, 1)
            assert (await enter(system, email, OFFICE)).status == 200
        await guess(system, fresh_email(), OFFICE, 1)
        refused = await enter(system, people[0], OFFICE)
        assert (refused.status, refused.code) == (429, "RATE_LIMITED")
        assert int(refused.headers["Retry-After"]) > 60
        assert (await enter(system, people[0], HOME)).status == 200
