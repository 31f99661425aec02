"""Providers: which account reports rates under which name. All SQL of `providers`.

In: a name, an account. Out: who may report, under what name.
Must stay true: a name belongs to one account for ever, so that a source keeps meaning the same; a removed
provider's rates go with it.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from contracts.rates import PROVIDER_PREFIX
from db import rates
from db.accounts import refresh_tokens, sign_ins
from db.mysql.database import Database, Transaction, placeholders
from db.rows import Select


@dataclass(frozen=True, slots=True)
class ProviderAccount:
    """A provider's name and account. `active`: added and not removed since."""

    name: str
    user_id: int
    email: str
    active: bool


_PROVIDERS = Select(ProviderAccount, "p", email="u.email", active="p.removed_at IS NULL")


async def names_of(transaction: Transaction, user_ids: Iterable[int]) -> dict[int, str]:
    """Account -> provider name, for those that are active."""
    wanted = sorted(set(user_ids))
    rows = await transaction.fetch(
        "SELECT user_id, name FROM providers "
        f"WHERE user_id IN ({placeholders(wanted)}) AND removed_at IS NULL",
        *wanted,
    )
    return dict(rows)


async def active_of(transaction: Transaction, names: Iterable[str]) -> set[str]:
    """Those of these names that were added and not removed, and whose accounts are active."""
    wanted = sorted(set(names))
    if not wanted:
        return set()
    rows = await transaction.fetch(
        "SELECT p.name FROM providers p JOIN users u ON u.id = p.user_id "
        f"WHERE p.name IN ({placeholders(wanted)}) AND p.removed_at IS NULL AND u.status = 'ACTIVE'",
        *wanted,
    )
    return {name for (name,) in rows}


async def find(reader: Database | Transaction, name: str) -> ProviderAccount | None:
    """The provider of that name, removed or not."""
    fetch = reader.fetch if isinstance(reader, Transaction) else reader.read
    rows = await fetch(
        f"SELECT {_PROVIDERS.columns} FROM providers p "
        "JOIN users u ON u.id = p.user_id WHERE p.name = %s",
        name,
    )
    return _PROVIDERS.row(rows[0]) if rows else None


async def add(transaction: Transaction, name: str, user_id: int) -> None:
    """The account reports under this name, from now on or again."""
    await transaction.execute(
        "INSERT INTO providers (name, user_id, created_at, updated_at) "
        "VALUES (%s, %s, UTC_TIMESTAMP(6), UTC_TIMESTAMP(6)) "
        "ON DUPLICATE KEY UPDATE removed_at = NULL, updated_at = VALUES(updated_at)",
        name,
        user_id,
    )


async def remove(transaction: Transaction, name: str) -> None:
    """The provider reports no more, and what it said is not used any more."""
    await transaction.execute(
        "UPDATE providers SET removed_at = UTC_TIMESTAMP(6), updated_at = UTC_TIMESTAMP(6) "
        "WHERE name = %s AND removed_at IS NULL",
        name,
    )
    await rates.forget_source(transaction, PROVIDER_PREFIX + name)


async def set_password(transaction: Transaction, user_id: int, password_hash: str) -> None:
    """Give a provider's account another password; its sessions and its lock-out end."""
    await transaction.execute(
        "UPDATE users SET password_hash = %s, updated_at = UTC_TIMESTAMP(6) WHERE id = %s",
        password_hash,
        user_id,
    )
    await sign_ins.forgive(transaction, user_id)
    await refresh_tokens.revoke_all(transaction, user_id)
