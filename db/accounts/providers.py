"""Providers: which account reports rates under which name. All SQL of `providers`.

In: a name, an account. Out: who may report, under what name.
Must stay true: a name belongs to one account for ever, so that a source keeps meaning the same; the rates of whoever
may report no longer go at once, in the transaction that takes the right away.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from contracts.rates import PROVIDER_PREFIX
from db import rates
from db.mysql.database import Database, Row, Transaction, placeholders
from db.rows import Select


@dataclass(frozen=True, slots=True)
class ProviderAccount:
    """A provider's name and account. `active`: added and not removed since."""

    name: str
    user_id: int
    email: str
    active: bool


_PROVIDERS = Select(ProviderAccount, "p", email="u.email", active="p.removed_at IS NULL")


@dataclass(frozen=True, slots=True)
class Reporter:
    """An account that may report now. `assets`: those that the operator gave it, None where none were named."""

    user_id: int
    name: str | None
    assets: frozenset[str] | None = None

    @property
    def source(self) -> str:
        """What its rates are called; an account may have the role without a name on the broker."""
        return PROVIDER_PREFIX + (self.name or f"account-{self.user_id}")


async def reporters(
    transaction: Transaction, *, names: Iterable[str] = (), user_ids: Iterable[int] = ()
) -> list[Reporter]:
    """Those of these providers and accounts that may report: added and not removed, active, with the role PROVIDER.

    Their accounts are locked in share mode until the transaction ends: who takes the role or the account away waits
    for the rates that are about to be stored, and then deletes them as well.
    """
    wanted = set(user_ids)
    if named := sorted(set(names)):
        # The account of a name never changes, so that this may be read from any snapshot.
        rows = await transaction.fetch(
            f"SELECT user_id FROM providers WHERE name IN ({placeholders(named)})", *named
        )
        wanted |= {row[0] for row in rows}
    if not wanted:
        return []
    ids = sorted(wanted)
    these = placeholders(ids)
    accounts = await transaction.fetch(
        f"SELECT id, status FROM users WHERE id IN ({these}) ORDER BY id LOCK IN SHARE MODE", *ids
    )
    having = await transaction.fetch(
        f"SELECT user_id, role_id FROM user_roles WHERE user_id IN ({these}) LOCK IN SHARE MODE",
        *ids,
    )
    role = await transaction.fetch("SELECT id FROM roles WHERE role_name = 'PROVIDER'")
    known = await transaction.fetch(
        "SELECT user_id, name, assets, removed_at IS NOT NULL FROM providers "
        f"WHERE user_id IN ({these}) LOCK IN SHARE MODE",
        *ids,
    )
    able = {row[0] for row in accounts if row[1] == "ACTIVE"}
    able &= {row[0] for row in having if row[1] == role[0][0]}
    able -= {row[0] for row in known if row[3]}
    named_by = {row[0]: row for row in known}
    return [_reporter(user_id, named_by.get(user_id)) for user_id in sorted(able)]


def _reporter(user_id: int, row: Row | None) -> Reporter:
    if row is None:
        return Reporter(user_id, None)
    return Reporter(user_id, row[1], frozenset(row[2].split(",")) if row[2] is not None else None)


async def reporter_of(transaction: Transaction, source: str) -> Reporter | None:
    """Who reports under this source, if it still may."""
    name = source.removeprefix(PROVIDER_PREFIX)
    account = name.removeprefix("account-")
    ids = [int(account)] if account != name and account.isdecimal() else []
    found = await reporters(transaction, names=[name], user_ids=ids)
    return next((one for one in found if one.source == source), None)


async def sources_of(database: Database, user_id: int) -> list[str]:
    """What the rates of an account are called, and were called before it had a name."""
    rows = await database.read("SELECT name FROM providers WHERE user_id = %s", user_id)
    return [Reporter(user_id, name).source for name in (None, *(row[0] for row in rows))]


async def silence(transaction: Transaction, user_id: int) -> None:
    """An account may report no longer: what it said is not used any more."""
    rows = await transaction.fetch("SELECT name FROM providers WHERE user_id = %s", user_id)
    for name in (None, *(row[0] for row in rows)):
        await rates.forget_source(transaction, Reporter(user_id, name).source)


async def give_assets(
    transaction: Transaction, name: str, assets: Sequence[str] | None
) -> list[str] | None:
    """The assets that this provider may report from now on; those of before. None: those that another source quotes."""
    rows = await transaction.fetch("SELECT assets FROM providers WHERE name = %s FOR UPDATE", name)
    await transaction.execute(
        "UPDATE providers SET assets = %s, updated_at = UTC_TIMESTAMP(6) WHERE name = %s",
        None if assets is None else ",".join(sorted(set(assets))),
        name,
    )
    before: str | None = rows[0][0]
    return None if before is None else before.split(",")


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
