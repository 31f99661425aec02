"""Accounts as the processes speak of them.

Must stay true: a password or its hash is in none of these.
"""

from dataclasses import dataclass

from contracts.models import RoleName


@dataclass(frozen=True, slots=True)
class AccountAccess:
    """What an account may do since `changed_micros` (microseconds of its access_changed_at since 1970, UTC)."""

    user_id: int
    active: bool
    roles: tuple[RoleName, ...]
    changed_micros: int
