"""Many buyers at once, and somebody who sells: accounts straight into the database, tokens signed as the gateway's."""

import secrets
from datetime import datetime

from db.mysql.database import Database
from gateway.accounts.tokens import Tokens, parse_keys
from scripts.benching.loads.many_accounts import add_accounts
from tests.harness.accounts import Person
from tests.harness.scratch import JWT_KEYS


async def buyers_tokens(database: Database, count: int) -> list[str]:
    """Tokens of so many new users."""
    run = secrets.token_hex(4)
    emails = [f"rush-{run}-{n}@example.test" for n in range(count)]
    ids, since = await add_accounts(database, emails, "!", ("USER",))
    return [_token(user_id, since) for user_id in ids]


def _token(user_id: int, since: datetime) -> str:
    return Tokens(parse_keys(JWT_KEYS), 3600).issue(user_id, ("USER",), since)


async def organizer(database: Database) -> Person:
    """Somebody who may sell."""
    ids, _ = await add_accounts(
        database, [f"org-{secrets.token_hex(4)}@example.test"], "!", ("ORGANIZER",)
    )
    return Person(ids[0], "organizer@example.test", ("ORGANIZER",))
