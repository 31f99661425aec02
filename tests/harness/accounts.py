"""Accounts for tests: written straight into the database, tokens signed as the gateway signs them."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import orjson

from contracts.models import Principal, RoleName
from contracts.runtime.times import to_sql
from contracts.webhooks.secrets import SecretSealer, new_secret
from db.mysql.database import Database, Transaction
from gateway.accounts.tokens import Tokens, parse_keys
from tests.harness.scratch import JWT_KEYS, SECRET

SINCE = datetime(2026, 1, 1, tzinfo=UTC)
_serial = itertools.count(1)


@dataclass(frozen=True, slots=True)
class Person:
    """An account."""

    id: int
    email: str
    roles: tuple[RoleName, ...]

    @property
    def principal(self) -> Principal:
        """As a command carries it."""
        return Principal(user_id=self.id, roles=self.roles)

    @property
    def token(self) -> str:
        """An access token that every gateway of the tests accepts for an hour."""
        return Tokens(parse_keys(JWT_KEYS), 3600).issue(self.id, self.roles, SINCE)


async def person(database: Database, *roles: RoleName) -> Person:
    """A new active account with these roles (USER unless told otherwise). Its password works for nobody."""
    chosen: tuple[RoleName, ...] = roles or ("USER",)
    email = f"person{next(_serial)}@example.test"

    async def work(transaction: Transaction) -> int:
        user_id = await transaction.insert(
            "users",
            ("email", "password_hash", "access_changed_at", "created_at", "updated_at"),
            [(email, "!", *[to_sql(SINCE)] * 3)],
        )
        await transaction.execute(
            "INSERT INTO user_roles (user_id, role_id) SELECT %s, id FROM roles "
            f"WHERE role_name IN ({','.join(['%s'] * len(chosen))})",
            user_id,
            *chosen,
        )
        return user_id

    return Person(await database.run(work), email, chosen)


_LONG_AGO = to_sql(datetime(2026, 5, 1, tzinfo=UTC))
_WEBHOOK = (
    "user_id",
    "url",
    "event_types",
    "secret",
    "status",
    "verified_at",
    "created_at",
    "updated_at",
)


async def active_webhook(
    database: Database, user_id: int, url: str, types: Sequence[str]
) -> tuple[int, str]:
    """Id and secret of a webhook as if made long ago: it has answered its first ping. No types: all of them."""
    secret = new_secret()
    sealed = SecretSealer(SECRET).seal(secret, user_id)
    named = orjson.dumps(list(types or ("*",))).decode()
    row = (user_id, url, named, sealed, "ACTIVE", _LONG_AGO, _LONG_AGO, _LONG_AGO)
    async with database.transaction() as transaction:
        made = await transaction.insert("webhook_endpoints", _WEBHOOK, [row])
    return made, secret
