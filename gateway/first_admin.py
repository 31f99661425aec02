"""`python -m gateway.first_admin`: make the first admin account, once.

In: EVENTHUB_ADMIN_EMAIL, EVENTHUB_ADMIN_PASSWORD and the processes' settings. Out: an account with the role
ADMIN alone.
Must stay true: an account that is there is left as it is (its password may have been changed since); run twice,
or by two at once, it makes one account; the password is neither printed nor logged.
"""

import asyncio
import os
import sys

from contracts.accounts import BadEmail, stored_email
from contracts.runtime.settings import load_settings
from db.accounts import accounts
from db.mysql.database import Database
from gateway.accounts.passwords import PASSWORD_MAX, PASSWORD_MIN, make_hasher


async def make_first_admin(email: str, password: str) -> str:
    """Make the account unless it is there; a line for people. Raises BadEmail, ValueError (password, settings)."""
    address = stored_email(email)
    if not PASSWORD_MIN <= len(password) <= PASSWORD_MAX:
        raise ValueError(
            f"the password has less than {PASSWORD_MIN} or over {PASSWORD_MAX} characters"
        )
    settings = load_settings()
    database = await Database.connect(settings.mysql_url.get_secret_value(), size=1)
    try:
        if await accounts.find_by_email(database, address):
            return f"account {address} exists; nothing changed"
        password_hash = make_hasher(settings.argon2).hash(password)
        await accounts.create(database, address, password_hash, ("ADMIN",))
        return f"account {address} made, role ADMIN"
    except accounts.EmailTaken:
        return f"account {address} exists; nothing changed"
    finally:
        await database.close()


def main() -> int:
    """The exit code: 0 made or there, 2 the settings are wrong."""
    email = os.environ.get("EVENTHUB_ADMIN_EMAIL", "")
    password = os.environ.get("EVENTHUB_ADMIN_PASSWORD", "")
    try:
        print(asyncio.run(make_first_admin(email, password)))
    except BadEmail as error:
        print(f"EVENTHUB_ADMIN_EMAIL: {error}", file=sys.stderr)
        return 2
    except ValueError as error:
        print(f"first admin: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
