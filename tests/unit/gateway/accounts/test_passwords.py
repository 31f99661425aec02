"""Passwords: the right one fits, the queue ends, an unknown account costs the same."""

import asyncio
import threading
import unicodedata

import pytest

from gateway.accounts import passwords
from gateway.accounts.passwords import Passwords, commonest, make_hasher, weakness
from gateway.http.problems import Refusal


@pytest.fixture
def pool() -> Passwords:
    """The cheapest argon2 there is: the rules are tested, not the cost."""
    return Passwords(make_hasher("8,1,1"), threads=1)


async def test_the_password_fits_its_hash_alone(pool: Passwords) -> None:
    """And two hashes of one password differ."""
    one, two = await pool.hash("correct horse"), await pool.hash("correct horse")
    assert one != two
    assert one.startswith("$argon2id$")
    assert await pool.verify(one, "correct horse")
    assert not await pool.verify(one, "Correct horse")


async def test_keyboards_write_one_letter_in_two_ways(pool: Passwords) -> None:
    """é typed whole or as e with an accent is the same password."""
    assert await pool.verify(await pool.hash("caf\u00e9 caf\u00e9"), "cafe\u0301 cafe\u0301")


async def test_nobody_has_the_dummy_password(pool: Passwords) -> None:
    """No account, or a hash that is none: no, after the same work."""
    assert not await pool.verify(None, "")
    assert not await pool.verify("!", "anything")


async def test_an_unknown_account_is_hashed_like_a_known_one(
    pool: Passwords, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same function, with a hash of the same cost: that is what makes the time the same."""
    hashed: list[str] = []
    fits = pool._fits

    def noted(stored: str, given: str) -> bool:
        hashed.append(stored)
        return fits(stored, given)

    monkeypatch.setattr(pool, "_fits", noted)
    known = await pool.hash("correct horse")
    await pool.verify(known, "wrong")
    await pool.verify(None, "wrong")
    parameters = [one.rsplit("$", 2)[0] for one in hashed]
    assert parameters[0] == parameters[1]


async def test_too_many_at_once_get_a_retry_after(
    pool: Passwords, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The queue is bounded: 429 BUSY with a Retry-After; those inside are served."""
    monkeypatch.setattr(passwords, "WAITING_MAX", 3)
    all_are_there = threading.Event()
    pool._pool.submit(all_are_there.wait)
    asked = [asyncio.create_task(pool.hash("correct horse")) for _ in range(5)]
    await asyncio.sleep(0)
    all_are_there.set()
    answers = await asyncio.gather(*asked, return_exceptions=True)
    refused = [one for one in answers if isinstance(one, Refusal)]
    assert len(refused) == 2
    assert {one.problem.code for one in refused} == {"BUSY"}
    assert all((one.problem.retry_after or 0) >= 1 for one in refused)
    assert sum(isinstance(one, str) for one in answers) == 3


async def test_a_hash_of_other_parameters_is_outdated(pool: Passwords) -> None:
    """It is replaced at the next sign-in."""
    stronger = Passwords(make_hasher("16,2,1"), threads=1)
    assert pool.is_outdated(await stronger.hash("correct horse"))
    assert not pool.is_outdated(await pool.hash("correct horse"))


@pytest.mark.parametrize("text", ["", "1,1", "a,b,c", "7,1,1", "8,0,1", "8,1,0", "8,1,1,1"])
def test_parameters_that_argon2_cannot_have_stop_the_start(text: str) -> None:
    """EVENTHUB_ARGON2 is KiB,passes,lanes."""
    with pytest.raises(ValueError, match="EVENTHUB_ARGON2"):
        make_hasher(text)


@pytest.mark.parametrize(
    "password",
    ["aaaaaaaaaaaa", "          ", "éééééééééé", "1234567890", "Password123", "QWERTYUIOP"],
)
def test_what_everybody_chooses_is_refused(password: str) -> None:
    """One character again and again (in either Unicode form), and the commonest in any case."""
    assert weakness(password) is not None
    assert weakness(unicodedata.normalize("NFD", password)) is not None


@pytest.mark.parametrize(
    "password", ["correct horse battery", "1234567890 is not enough", "ab" * 6]
)
def test_other_passwords_may_be_chosen(password: str) -> None:
    """The list is of whole passwords."""
    assert weakness(password) is None


def test_the_list_of_common_passwords_is_there() -> None:
    """Those that are long enough to be chosen at all: a thousand, not none and not a memory full."""
    assert 500 < len(commonest()) < 20_000
    assert all(len(one) >= 10 for one in commonest())
