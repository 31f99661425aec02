"""An account of its own for each kind of process, on the servers that are ours.

In: the URLs of the servers, the secrets. Out: the URLs with which each kind connects, and what the steps that make the
accounts are told. Must stay true: what each may do stands in `db/privileges/rights.py` and
`contracts/messaging/rights.py` alone; where the caller gave a server's URL
everybody uses it, for what else is there is not ours to change; the account that may do everything is used to make the
others, and no process is told it.
"""

import base64
import hashlib
import hmac
import urllib.parse

import workers
from scripts.stack.home import State

KINDS = ("gateway", *workers.KINDS)
MIGRATION = "migration"
GIVEN = {
    "MYSQL_URL": "every process uses its account, with all its rights",
    "AMQP_URL": "every process uses its user, with all its rights",
}

STEPS = {"db.privileges.grants": "MYSQL_URL_", "contracts.messaging.accounts": "AMQP_URL_"}
"""The steps that make accounts, and what the variables that name them begin with."""
TIDY = {"EVENTHUB_GRANTS": "tidy"}
"""Told to `db.privileges.grants`: also take what is granted and not meant."""


def password(secrets: dict[str, str], kind: str) -> str:
    """Return a kind's password, for database and broker alike: derived, so that one secret is kept for all."""
    digest = hmac.digest(secrets["accountsKey"].encode(), kind.encode(), hashlib.sha256)
    return base64.urlsafe_b64encode(digest).decode().rstrip("=")


def own_urls(
    state: State, secrets: dict[str, str], urls: dict[str, str], kind: str
) -> dict[str, str]:
    """Return the URLs that a kind of process (or the migration) is told instead of the administrator's."""
    own = {}
    if "MYSQL_URL" not in state.urls:
        own["MYSQL_URL"] = _as(urls["MYSQL_URL"], kind, secrets)
    if "AMQP_URL" not in state.urls and kind != MIGRATION:
        own["AMQP_URL"] = _as(urls["AMQP_URL"], kind, secrets)
        # How full queues are is a question of the gateway's alone.
        management = _as(urls["AMQP_MANAGEMENT_URL"], kind, secrets)
        own["AMQP_MANAGEMENT_URL"] = management if kind == "gateway" else ""
        own["EVENTHUB_TOPOLOGY"] = "expect"
    return own


def step_environment(state: State, secrets: dict[str, str], urls: dict[str, str]) -> dict[str, str]:
    """Return `MYSQL_URL_<KIND>` and `AMQP_URL_<KIND>` for the steps that make the accounts."""
    told = {}
    for kind in (*KINDS, MIGRATION):
        for name, url in own_urls(state, secrets, urls, kind).items():
            if name in GIVEN:
                told[f"{name}_{kind.upper()}"] = url
    return told


def warnings(state: State) -> list[str]:
    """Return what is to be said of servers that the caller gave."""
    return [f"{name} is given: {what}" for name, what in GIVEN.items() if name in state.urls]


def _as(url: str, kind: str, secrets: dict[str, str]) -> str:
    parts = urllib.parse.urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    return parts._replace(netloc=f"eventhub_{kind}:{password(secrets, kind)}@{host}").geturl()
