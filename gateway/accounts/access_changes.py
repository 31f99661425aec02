"""Changes of accounts and ends of sessions reach tokens that are already out, without a database read per request.

In: `users.access_changed_at` and `refresh_families.revoked_at`, polled every two seconds. Out: a verified token's
caller with today's roles.
Must stay true: a disabled account's tokens stop within seconds, a change of roles and the end of a session likewise;
a token of an ended session stays dead, whatever becomes of the account; what is remembered covers every token that has
not expired; the times compared all come from the database's clock.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from contracts.accounts import AccountAccess, EndedSession
from contracts.models import Principal
from gateway.accounts.tokens import Verified

POLL_SECONDS = 2.0
OVERLAP_MICROS = 10_000_000
"""Read again what changed in the last 10 s: a transaction (at most 4 s long) may commit behind a later one."""


@dataclass(frozen=True, slots=True)
class RecentChanges:
    """What one poll found."""

    accounts: Sequence[AccountAccess] = ()
    sessions: Sequence[EndedSession] = ()


Fetch = Callable[[int], Awaitable[RecentChanges]]
"""The accounts whose access changed, and the sessions that ended, after a moment (microseconds since 1970, database's
clock)."""


class AccessChanges:
    """The accounts whose access changed, and the sessions that ended, within the life of a token."""

    def __init__(self, fetch: Fetch, token_lifetime: int) -> None:
        self._fetch = fetch
        self._lifetime_micros = (token_lifetime + 60) * 1_000_000
        self._changes: dict[int, AccountAccess] = {}
        self._ended: dict[int, int] = {}
        """Session -> when it ended."""
        self._newest = 0
        self.polled_at = 0.0
        """Loop time of the last successful poll, 0 before the first."""

    def apply(self, verified: Verified) -> Principal | None:
        """Today's caller behind a token, None when the account is disabled or the session has ended."""
        if verified.session_id in self._ended:
            return None
        change = self._changes.get(verified.principal.user_id)
        if change is None or change.changed_micros <= verified.access_micros:
            return verified.principal
        if not change.active:
            return None
        return Principal(user_id=change.user_id, roles=change.roles)

    def is_disabled(self, user_id: int, since_micros: int) -> bool:
        """Whether the account was disabled after that moment, as far as changes are remembered."""
        change = self._changes.get(user_id)
        return change is not None and not change.active and change.changed_micros > since_micros

    def note(self, change: AccountAccess) -> None:
        """Take over a change, unless a later one is known."""
        known = self._changes.get(change.user_id)
        if known is None or known.changed_micros < change.changed_micros:
            self._changes[change.user_id] = change

    def note_end(self, session_id: int) -> None:
        """A session has just ended here; the next poll brings the time."""
        self._ended.setdefault(session_id, self._newest)

    async def poll(self, now_micros: int) -> None:
        """Read once what changed. `now_micros`: the time of this process, only to forget what is long past."""
        since = (self._newest or now_micros - self._lifetime_micros) - OVERLAP_MICROS
        found = await self._fetch(since)
        for change in found.accounts:
            self.note(change)
            self._newest = max(self._newest, change.changed_micros)
        for session in found.sessions:
            self._ended[session.session_id] = session.ended_micros
            self._newest = max(self._newest, session.ended_micros)
        horizon = self._newest - self._lifetime_micros
        for user_id in [u for u, c in self._changes.items() if c.changed_micros < horizon]:
            del self._changes[user_id]
        for session_id in [s for s, micros in self._ended.items() if micros < horizon]:
            del self._ended[session_id]
        self.polled_at = asyncio.get_running_loop().time()
