"""Changes of accounts: today's roles for yesterday's tokens."""

from contracts.accounts import AccountAccess
from contracts.models import Principal, RoleName
from gateway.accounts.access_changes import AccessChanges
from gateway.accounts.tokens import Verified

HOUR = 3_600_000_000


def token(user_id: int, access: int, *roles: RoleName) -> Verified:
    """A verified token of an account in the state it had at `access`."""
    return Verified(Principal(user_id=user_id, roles=roles), access, 0.0)


class Table:
    """The accounts table: rows changed after a moment."""

    def __init__(self, *rows: AccountAccess) -> None:
        self.rows = list(rows)
        self.asked: list[int] = []

    async def fetch(self, since: int) -> list[AccountAccess]:
        self.asked.append(since)
        return [row for row in self.rows if row.changed_micros > since]


async def test_a_disabled_account_is_nobody() -> None:
    """Its token was good a moment ago."""
    table = Table(AccountAccess(7, False, ("USER",), HOUR + 5))
    changes = AccessChanges(table.fetch, 900)
    old = token(7, HOUR, "USER")
    assert changes.apply(old) == old.principal
    await changes.poll(HOUR)
    assert changes.apply(old) is None


async def test_what_was_given_to_a_disabled_account_is_known() -> None:
    """A sealed URL of before; not one of after it was enabled again, not another account's."""
    table = Table(AccountAccess(7, False, ("USER",), HOUR + 5))
    changes = AccessChanges(table.fetch, 900)
    assert not changes.is_disabled(7, HOUR)
    await changes.poll(HOUR)
    assert changes.is_disabled(7, HOUR)
    assert not changes.is_disabled(7, HOUR + 5)
    assert not changes.is_disabled(8, HOUR)
    changes.note(AccountAccess(7, True, ("USER",), HOUR + 9))
    assert not changes.is_disabled(7, HOUR)


async def test_new_roles_reach_an_old_token_and_not_a_newer_one() -> None:
    """The token that was issued for the changed account keeps what it says."""
    table = Table(AccountAccess(7, True, ("USER", "ORGANIZER"), HOUR + 5))
    changes = AccessChanges(table.fetch, 900)
    await changes.poll(HOUR)
    found = changes.apply(token(7, HOUR, "USER"))
    assert found is not None
    assert set(found.roles) == {"USER", "ORGANIZER"}
    newer = token(7, HOUR + 5, "USER", "ORGANIZER")
    assert changes.apply(newer) == newer.principal


async def test_enabled_again_the_old_token_works() -> None:
    """The last change counts, whichever order the polls bring them in."""
    changes = AccessChanges(Table().fetch, 900)
    changes.note(AccountAccess(7, True, ("USER",), HOUR + 9))
    changes.note(AccountAccess(7, False, ("USER",), HOUR + 5))
    assert changes.apply(token(7, HOUR, "USER")) is not None


async def test_a_late_commit_is_not_missed() -> None:
    """A change that committed behind a later one is read by the next poll."""
    table = Table(AccountAccess(1, False, (), HOUR + 3_000_000))
    changes = AccessChanges(table.fetch, 900)
    await changes.poll(HOUR)
    table.rows.append(AccountAccess(7, False, (), HOUR))
    await changes.poll(HOUR)
    assert changes.apply(token(7, 1, "USER")) is None


async def test_what_every_token_has_outlived_is_forgotten() -> None:
    """Memory is bounded by the changes within one token's life."""
    table = Table(AccountAccess(7, False, (), HOUR))
    changes = AccessChanges(table.fetch, 900)
    await changes.poll(HOUR)
    table.rows = [AccountAccess(8, False, (), 3 * HOUR)]
    await changes.poll(3 * HOUR)
    assert changes.apply(token(7, 1, "USER")) is not None
    assert changes.apply(token(8, 1, "USER")) is None
