"""Many accounts at once, for load tests: multi-row inserts in one transaction per thousand.

In: e-mail addresses, one password hash for all, roles. Out: the ids, in the order of the addresses.
Must stay true: the accounts look like registered ones (ACTIVE, roles of their own rows); their access "changed" a day
ago, so that gateways, which watch recent changes, do not have to remember each of them.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

from contracts.models import RoleName
from contracts.runtime.times import to_sql
from db.mysql.database import Database, Transaction

ROWS_PER_INSERT = 1000
AGE = timedelta(days=1)


async def add_accounts(
    database: Database, emails: Sequence[str], password_hash: str, roles: Sequence[RoleName]
) -> tuple[list[int], datetime]:
    """(ids, the access_changed_at that all of them have, aware UTC).

    Raises pymysql.err.IntegrityError (1062) when an address is taken: that thousand is rolled back.
    """
    async with database.transaction() as transaction:
        changed_at = await transaction.now() - AGE
    ids: list[int] = []
    for start in range(0, len(emails), ROWS_PER_INSERT):
        some = emails[start : start + ROWS_PER_INSERT]
        async with database.transaction() as transaction:
            ids += await _insert(transaction, some, password_hash, roles, changed_at)
    return ids, changed_at


async def _insert(
    transaction: Transaction,
    emails: Sequence[str],
    password_hash: str,
    roles: Sequence[RoleName],
    changed_at: datetime,
) -> list[int]:
    at = to_sql(changed_at)
    columns = ("email", "password_hash", "access_changed_at", "created_at", "updated_at")
    first = await transaction.insert(
        "users", columns, [(email, password_hash, at, at, at) for email in emails]
    )
    ids = list(range(first, first + len(emails)))
    known: dict[str, int] = dict(await transaction.fetch("SELECT role_name, id FROM roles"))
    rows = [(user_id, known[role]) for user_id in ids for role in roles]
    await transaction.insert("user_roles", ("user_id", "role_id"), rows)
    return ids
