"""`scripts/provider add|assets|rotate|remove NAME`: who may report rates, by HTTP and straight to the broker.

In: a provider's name. Out: an account with the role PROVIDER and a broker user of that name, their passwords
shown once as JSON; exit code 1 where that cannot be done.
Must stay true: the broker user may publish to `eventhub.rates` under `rates.<name>.` and do nothing else; a
user of the broker that is no provider of ours is never touched; no password is kept in the clear.
"""

import asyncio
import json
import os
import secrets
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

import click
import pymysql.err

from contracts.messaging.topology import RATES_EXCHANGE
from contracts.rates import PAIRS_MAX
from db.accounts import accounts, audit_log, providers, sign_ins
from db.accounts.audit_log import OPERATOR, AuditAction
from db.accounts.providers import ProviderAccount
from db.mysql.database import Database, DatabaseAway, Transaction
from db.redis.clients import quick_client
from db.redis.quote_registry import QuoteRegistry
from gateway.accounts.passwords import make_hasher
from scripts.broker_users import BrokerError, BrokerUsers
from scripts.locating import Located, locate
from workers.quote.judging import ASSET
from workers.quote.opening import NAME

ARGON2 = "19456,2,1"
"""The gateway's own default; EVENTHUB_ARGON2 changes both."""


class Impossible(Exception):
    """What was asked cannot be done; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class ProviderCommands:
    """What the commands work on."""

    database: Database
    users: BrokerUsers
    where: Located


@click.group()
def main() -> None:
    """Let providers of rates in and out."""


@main.command()
@click.argument("name")
@click.option("--email", help="Address of the account (default: NAME@providers.eventhub.example).")
@click.option(
    "--assets",
    callback=lambda _, __, text: _assets(text),
    help="The assets it may report, with commas between (default: what another source quotes).",
)
def add(name: str, email: str | None, assets: tuple[str, ...] | None) -> None:
    """Make account and broker user; print how to sign in, once."""
    address = email or f"{name}@providers.eventhub.example"
    _run(name, lambda commands: add_provider(commands, name, address, assets))


@main.command("assets")
@click.argument("name")
@click.argument("assets", required=False, callback=lambda _, __, text: _assets(text))
def give_assets(name: str, assets: tuple[str, ...] | None) -> None:
    """Give it other assets; without any, those that another source quotes."""
    _run(name, lambda commands: give_provider_assets(commands, name, assets))


@main.command()
@click.argument("name")
def rotate(name: str) -> None:
    """Give both new passwords; print them, once. What is connected with the old one is cut."""
    _run(name, lambda commands: rotate_provider(commands, name))


@main.command()
@click.argument("name")
def remove(name: str) -> None:
    """Remove the broker user, disable the account, use its rates no more."""
    _run(name, lambda commands: remove_provider(commands, name))


def _assets(text: str | None) -> tuple[str, ...] | None:
    """`BTC,ETH` as it was meant. Raises click.UsageError."""
    if text is None:
        return None
    named = tuple(word.strip() for word in text.split(","))
    if not all(ASSET.fullmatch(word) for word in named) or len(named) > PAIRS_MAX:
        raise click.UsageError(
            f"ASSETS are at most {PAIRS_MAX} words of 2 to 16 capital letters and digits with commas between: BTC,ETH"
        )
    return named


async def add_provider(
    commands: ProviderCommands, name: str, email: str, assets: Sequence[str] | None = None
) -> dict[str, Any]:
    """Make what is not there yet; how to sign in. Raises Impossible, BrokerError."""
    known = await providers.find(commands.database, name)
    if known is not None and known.active:
        raise Impossible(f"{name} is a provider; new passwords: scripts/provider rotate {name}")
    if await commands.users.exists(name):
        raise Impossible(f"the broker has a user {name} that is no provider; choose another name")
    password = secrets.token_urlsafe(24)
    if known is None:
        known = await _new_account(commands, name, email, password)
    else:
        await _let_in_again(commands, known.user_id)
    await _enter(commands, known, password, AuditAction.PROVIDER_ADDED)
    await _give(commands, name, assets)
    return await _sign_in(commands, known, password)


async def _let_in_again(commands: ProviderCommands, user_id: int) -> None:
    account = await accounts.set_status(commands.database, user_id, "ACTIVE", OPERATOR)
    if account is not None and "PROVIDER" not in account.roles:
        await accounts.set_roles(commands.database, user_id, (*account.roles, "PROVIDER"), OPERATOR)


async def give_provider_assets(
    commands: ProviderCommands, name: str, assets: Sequence[str] | None
) -> dict[str, Any]:
    """Other assets from the next report on. Raises Impossible."""
    await _active(commands, name)
    return {"name": name, "assets": await _give(commands, name, assets)}


async def _give(
    commands: ProviderCommands, name: str, assets: Sequence[str] | None
) -> list[str] | None:
    """Those given, sorted; the audit log has a line where that changes anything."""
    given = None if assets is None else sorted(set(assets))

    async def work(transaction: Transaction) -> None:
        before = await providers.give_assets(transaction, name, given)
        if before != given:
            await audit_log.record(
                transaction,
                OPERATOR,
                AuditAction.PROVIDER_ASSETS,
                f"provider:{name}",
                before={"assets": before},
                after={"assets": given},
            )

    await commands.database.run(work)
    return given


async def _new_account(
    commands: ProviderCommands, name: str, email: str, password: str
) -> ProviderAccount:
    try:
        account = await accounts.create(
            commands.database, email, _hash(password), ("PROVIDER",), given_by=OPERATOR
        )
    except accounts.EmailTaken:
        raise Impossible(f"{email} has an account; choose another --email") from None
    return ProviderAccount(name, account.id, email, active=True)


async def _enter(
    commands: ProviderCommands, provider: ProviderAccount, password: str, action: AuditAction
) -> None:
    async def work(transaction: Transaction) -> None:
        await sign_ins.set_password(transaction, provider.user_id, _hash(password))
        await providers.add(transaction, provider.name, provider.user_id)
        await _log(transaction, provider, action, active=True)

    await commands.database.run(work)


async def _sign_in(
    commands: ProviderCommands, provider: ProviderAccount, password: str
) -> dict[str, Any]:
    """Give the broker user its password and its rights; all that a provider needs to know."""
    broker_password = secrets.token_urlsafe(24)
    try:
        await commands.users.put(provider.name, broker_password)
        await commands.users.allow_only_rates(provider.name)
    except BrokerError as error:
        raise Impossible(
            f"the account is ready, the broker user is not ({error}): once the broker answers, "
            f"scripts/provider rotate {provider.name} finishes it"
        ) from error
    return {
        "name": provider.name,
        "email": provider.email,
        "password": password,
        "brokerUser": provider.name,
        "brokerPassword": broker_password,
        "amqpUrl": commands.users.url_for(provider.name, broker_password),
        "exchange": RATES_EXCHANGE,
        "routingKey": f"rates.{provider.name}.<asset>",
    }


async def rotate_provider(commands: ProviderCommands, name: str) -> dict[str, Any]:
    """New passwords for both; how to sign in. Raises Impossible, BrokerError."""
    provider = await _active(commands, name)
    password = secrets.token_urlsafe(24)
    await _enter(commands, provider, password, AuditAction.PROVIDER_ROTATED)
    shown = await _sign_in(commands, provider, password)
    await commands.users.cut(name)
    return shown


async def remove_provider(commands: ProviderCommands, name: str) -> dict[str, Any]:
    """Take everything back. Raises Impossible, BrokerError."""
    provider = await _active(commands, name)
    await commands.users.delete(name)
    if commands.where.redis:
        redis = quick_client(commands.where.redis)
        await QuoteRegistry(redis, commands.database).changing()
        await redis.aclose()
    await accounts.set_status(commands.database, provider.user_id, "DISABLED", OPERATOR)

    async def work(transaction: Transaction) -> None:
        await providers.remove(transaction, name)
        await _log(transaction, provider, AuditAction.PROVIDER_REMOVED, active=False)

    await commands.database.run(work)
    return {"name": name, "removed": True}


async def _log(
    transaction: Transaction, provider: ProviderAccount, action: AuditAction, *, active: bool
) -> None:
    after = {"userId": provider.user_id, "active": active}
    subject = f"provider:{provider.name}"
    await audit_log.record(transaction, OPERATOR, action, subject, after=after)


async def _active(commands: ProviderCommands, name: str) -> ProviderAccount:
    provider = await providers.find(commands.database, name)
    if provider is None or not provider.active:
        raise Impossible(f"there is no provider {name}")
    return provider


def _hash(password: str) -> str:
    return make_hasher(os.environ.get("EVENTHUB_ARGON2", ARGON2)).hash(password)


def _run(name: str, work: Callable[[ProviderCommands], Awaitable[dict[str, Any]]]) -> None:
    """Open what is needed, work, print the result. Raises click's errors."""
    if not NAME.fullmatch(name):
        raise click.UsageError(
            "NAME is 2 to 32 small letters, digits and hyphens, a letter first (and not account-…): "
            "it becomes a word of routing keys"
        )
    where = locate()

    async def opened() -> dict[str, Any]:
        database = await Database.connect(where.require_mysql(), size=2)
        users = BrokerUsers(where.require_management(), where.require_amqp())
        try:
            return await work(ProviderCommands(database, users, where))
        finally:
            await users.close()
            await database.close()

    try:
        click.echo(json.dumps(asyncio.run(opened()), indent=2))
    except (Impossible, BrokerError, ValueError) as error:
        raise click.ClickException(str(error)) from error
    except (pymysql.err.MySQLError, DatabaseAway, OSError) as error:
        raise click.ClickException(f"the database does not answer: {error}") from error


if __name__ == "__main__":
    main()
