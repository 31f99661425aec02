"""`scripts/users`: thousands of accounts whose tokens every gateway takes, and nothing readable for others."""

import dataclasses

from db.accounts import accounts
from db.mysql.database import Database
from scripts.benching.loads.users import make_users
from scripts.benching.systems.system import System
from tests.harness.scratch import JWT_KEYS, Scratch


async def test_made_users_are_accounts_with_good_tokens(
    scratch: Scratch, database: Database
) -> None:
    """Each has an account of its own, the roles asked for, and a token that verifies as that account."""
    system = System(
        "http://127.0.0.1:1", scratch.mysql_url, scratch.redis_url, scratch.amqp_url, None, JWT_KEYS
    )
    made = await make_users(system, 1500, ("USER", "ORGANIZER"))
    assert len({user.id for user in made}) == len({user.token for user in made}) == 1500
    tokens = system.tokens()
    for user in (made[0], made[999], made[1000], made[-1]):
        account = await accounts.find(database, user.id)
        assert account is not None
        assert account.email == user.email
        principal = tokens.verify(user.token).principal
        assert (principal.user_id, set(principal.roles)) == (user.id, {"USER", "ORGANIZER"})


def test_a_load_has_as_many_users_as_the_limit_of_unpaid_orders_asks_for(scratch: Scratch) -> None:
    """Three unpaid orders of an event each: ten orders take four users. Without the limit one is enough."""
    free = System(
        "http://127.0.0.1:1", scratch.mysql_url, scratch.redis_url, scratch.amqp_url, None, JWT_KEYS
    )
    assert dataclasses.replace(free, unpaid_orders=3).buyers_for(10) == 4
    assert free.buyers_for(10) == 1


async def test_made_users_are_no_recent_changes_of_access(
    scratch: Scratch, database: Database
) -> None:
    """Gateways watch recent changes of access; thousands of new accounts must not be among them."""
    system = System(
        "http://127.0.0.1:1", scratch.mysql_url, scratch.redis_url, scratch.amqp_url, None, JWT_KEYS
    )
    made = await make_users(system, 5)
    rows = await database.read(
        "SELECT COUNT(*) FROM users WHERE id >= %s AND access_changed_at > "
        "UTC_TIMESTAMP(6) - INTERVAL 1 HOUR",
        made[0].id,
    )
    assert rows[0][0] == 0
