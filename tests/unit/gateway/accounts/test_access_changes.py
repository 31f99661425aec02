"""Changes of accounts: today's roles for yesterday's tokens."""

from contracts.accounts import AccountAccess, EndedSession
from contracts.models import Principal, RoleName
from gateway.accounts.access_changes import AccessChanges, RecentChanges
from gateway.accounts.tokens import Verified

HOUR = 3_600_000_000


def token(user_id: int, access: int, *roles: RoleName, session: int | None = None) -> Verified:
    """A verified token of an account in the state it had at `access`."""
    return Verified(Principal(user_id=user_id, roles=roles), access, 0.0, session)


class Table:
    """The accounts and sessions: rows changed after a moment."""

    def __init__(self, *rows: AccountAccess) -> None:
        self.rows = list(rows)
        self.ended: list[EndedSession] = []

    async def fetch(self, since: int) -> RecentChanges:
        return RecentChanges(
            [row for row in self.rows if row.changed_micros > since],
            [row for row in self.ended if row.ended_micros > since],
        )


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


async def test_the_last_change_of_an_account_counts() -> None:
    """Whichever order the polls bring them in; a token that belongs to no session works again."""
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


async def test_a_token_ends_with_its_session_and_stays_dead() -> None:
    """Its account is enabled (again) and may do all it could; other sessions of the account live on."""
    table = Table(AccountAccess(7, True, ("USER",), HOUR + 9))
    table.ended = [EndedSession(3, HOUR + 5)]
    changes = AccessChanges(table.fetch, 900)
    mine, other = token(7, HOUR, "USER", session=3), token(7, HOUR, "USER", session=4)
    assert changes.apply(mine) == mine.principal
    await changes.poll(HOUR)
    assert changes.apply(mine) is None
    assert changes.apply(token(7, HOUR + 9, "USER", session=3)) is None
    assert changes.apply(other) == other.principal


async def test_a_session_that_ends_here_is_over_before_the_poll() -> None:
    """And is forgotten when every token of it has expired, not before."""
    table = Table()
    changes = AccessChanges(table.fetch, 900)
    table.rows = [AccountAccess(1, True, (), HOUR)]
    await changes.poll(HOUR)
    changes.note_end(3)
    mine = token(7, HOUR, "USER", session=3)
    assert changes.apply(mine) is None
    table.ended = [EndedSession(3, HOUR + 1_000_000)]
    await changes.poll(HOUR)
    assert changes.apply(mine) is None
    table.rows = [AccountAccess(1, True, (), HOUR + 900_000_000)]
    await changes.poll(HOUR)
    assert changes.apply(mine) is None
    table.rows = [AccountAccess(1, True, (), HOUR + 962_000_000)]
    await changes.poll(HOUR)
    assert changes.apply(mine) is not None
