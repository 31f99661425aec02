"""Accounts over HTTP: register, login, refresh, logout, me.

In: credentials and tokens. Out: accounts and token pairs; rows of users and refresh tokens (not commands: design.md).
Must stay true: an attacker learns nothing from a failed sign-in (same answer, same work for unknown, wrong, locked and
disabled); a refresh token is 256 random bits, works once, and only its hash is stored.
"""

import hashlib
import secrets
import zlib
from typing import Annotated, Literal

import structlog
from aiohttp import web
from pydantic import AfterValidator, Field, WithJsonSchema

from contracts.accounts import EMAIL_LENGTH_MAX, Account, BadEmail, User, stored_email
from contracts.models import Line, Prose
from contracts.problems import Code, Problem
from contracts.runtime.settings import Settings
from contracts.shapes import Answer
from db.accounts import accounts, refresh_tokens
from db.mysql.database import Database, Transaction
from gateway.accounts.passwords import PASSWORD_MAX, PASSWORD_MIN, Passwords
from gateway.http.keys import (
    DATABASE,
    PASSWORDS,
    SETTINGS,
    TOKENS,
    body,
    principal,
)
from gateway.http.models import Body
from gateway.http.problems import Refusal, unauthenticated
from gateway.http.replies import json_reply, no_content
from gateway.http.routing import (
    ANYONE,
    SIGNED_IN,
    LimitClass,
    Ownership,
    Route,
    RouteAnswer,
)

REFRESH_BYTES = 32
WRONG = "The e-mail address or the password is wrong, or the account may not sign in now."

log = structlog.get_logger(__name__)


REFRESH_LENGTH_MAX = 128


def _email(text: str) -> str:
    try:
        return stored_email(text)
    except BadEmail as error:
        raise ValueError(str(error)) from None


Email = Annotated[
    Line,
    Field(min_length=3, max_length=EMAIL_LENGTH_MAX),
    AfterValidator(_email),
    WithJsonSchema(
        {"type": "string", "format": "email", "minLength": 3, "maxLength": EMAIL_LENGTH_MAX}
    ),
]


class Register(Body):
    """A new account."""

    email: Annotated[Email, Field(examples=["ada@example.com"])]
    password: Annotated[
        Prose,
        Field(min_length=PASSWORD_MIN, max_length=PASSWORD_MAX, examples=["correct horse battery"]),
    ]


class Login(Body):
    """Credentials. Any text is taken: what is no address is no account's, and says no more than that."""

    email: Annotated[Line, Field(max_length=EMAIL_LENGTH_MAX, examples=["ada@example.com"])]
    password: Annotated[Prose, Field(max_length=PASSWORD_MAX, examples=["correct horse battery"])]


class RefreshToken(Body):
    """A refresh token, as login or refresh gave it."""

    refresh_token: Annotated[
        Line,
        Field(
            min_length=1,
            max_length=REFRESH_LENGTH_MAX,
            examples=["mlRKCN9g5KHAjxw2j3Zosi9aFpFUmziNbBmMiMOXmZI"],
        ),
    ]


class TokenPair(Answer):
    """What a sign-in gives. `expiresIn`: seconds of the access token."""

    access_token: Annotated[str, Field(examples=["eyJhbGciOiJIUzI1NiIsImtpZCI6ImsxIn0.e30.c2ln"])]
    refresh_token: Annotated[str, Field(examples=["mlRKCN9g5KHAjxw2j3Zosi9aFpFUmziNbBmMiMOXmZI"])]
    token_type: Literal["Bearer"]
    expires_in: Annotated[int, Field(ge=1, examples=[900])]


async def register(request: web.Request) -> web.Response:
    """POST /api/auth/register."""
    wanted = body(request, Register)
    password_hash = await request.app[PASSWORDS].hash(wanted.password)
    try:
        account = await accounts.create(
            request.app[DATABASE], wanted.email, password_hash, ("USER",)
        )
    except accounts.EmailTaken:
        detail = "There is an account with this address; sign in instead."
        raise Refusal(Problem(Code.EMAIL_TAKEN, detail)) from None
    log.info("account.registered", user_id=account.id)
    return json_reply(account.to_json(), 201, {"Location": "/api/auth/me"})


async def login(request: web.Request) -> web.Response:
    """POST /api/auth/login."""
    given, app = body(request, Login), request.app
    known = await _credentials(app[DATABASE], given.email)
    fits = await app[PASSWORDS].verify(known.password_hash if known else None, given.password)
    account = refresh = None
    if known and fits and known.active and not known.locked:
        account, refresh = await _begin_session(app[DATABASE], app[SETTINGS], known.user_id)
    if known is None or account is None or refresh is None:
        countable = known if known and known.active and not known.locked and not fits else None
        await _count_failure(app[DATABASE], app[SETTINGS], given.email, countable)
        raise unauthenticated(WRONG)
    if app[PASSWORDS].is_outdated(known.password_hash):
        await _rehash(app[DATABASE], app[PASSWORDS], known, given.password)
    log.info("account.signed_in", user_id=account.id)
    return _token_pair(request, account, refresh)


async def _credentials(database: Database, email: str) -> accounts.Credentials | None:
    try:
        address = stored_email(email)
    except BadEmail:
        # The same query as for an address, so that it takes the same time.
        address = ""
    return await accounts.credentials(database, address)


async def _begin_session(
    database: Database, settings: Settings, user_id: int
) -> tuple[Account | None, str | None]:
    refresh = secrets.token_urlsafe(REFRESH_BYTES)

    async def work(transaction: Transaction) -> Account | None:
        account = await accounts.begin_session(transaction, user_id)
        if account is not None:
            await refresh_tokens.start_family(
                transaction, user_id, _digest(refresh), settings.refresh_ttl
            )
        return account

    return await database.run(work), refresh


async def _count_failure(
    database: Database, settings: Settings, email: str, known: accounts.Credentials | None
) -> None:
    if known is not None:
        await accounts.count_failure(
            database, known.user_id, settings.lockout_after, settings.lockout
        )
    else:
        await accounts.count_decoy(database, zlib.crc32(email.encode()))


async def _rehash(
    database: Database, passwords: Passwords, known: accounts.Credentials, password: str
) -> None:
    fresh = await passwords.hash(password)
    await accounts.replace_hash(database, known.user_id, known.password_hash, fresh)


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()


def _token_pair(request: web.Request, account: Account, refresh: str) -> web.Response:
    tokens = request.app[TOKENS]
    return json_reply(
        {
            "accessToken": tokens.issue(account.id, account.roles, account.access_changed_at),
            "refreshToken": refresh,
            "tokenType": "Bearer",
            "expiresIn": tokens.lifetime,
        }
    )


async def refresh(request: web.Request) -> web.Response:
    """POST /api/auth/refresh."""
    given, app = body(request, RefreshToken), request.app
    fresh = secrets.token_urlsafe(REFRESH_BYTES)
    account = await refresh_tokens.rotate(
        app[DATABASE], _digest(given.refresh_token), _digest(fresh), app[SETTINGS].refresh_ttl
    )
    if account is None:
        raise unauthenticated("This refresh token is not valid (any more); sign in again.")
    return _token_pair(request, account, fresh)


async def logout(request: web.Request) -> web.Response:
    """POST /api/auth/logout."""
    given = body(request, RefreshToken)
    await refresh_tokens.revoke_family_of(
        request.app[DATABASE], _digest(given.refresh_token), principal(request).user_id
    )
    return no_content()


async def me(request: web.Request) -> web.Response:
    """GET /api/auth/me."""
    account = await accounts.find(request.app[DATABASE], principal(request).user_id)
    if account is None:
        raise unauthenticated()
    return json_reply(account.to_json())


ROUTES = (
    Route(
        method="POST",
        path="/api/auth/register",
        operation_id="register",
        summary="Make an account (role USER)",
        handler=register,
        access=ANYONE,
        answers={201: RouteAnswer(User, "The account.", ("Location",))},
        tag="Accounts",
        body=Register,
        problems=frozenset({Code.EMAIL_TAKEN, Code.BUSY}),
        limit=LimitClass.LOGIN,
    ),
    Route(
        method="POST",
        path="/api/auth/login",
        operation_id="login",
        summary="Sign in",
        handler=login,
        access=ANYONE,
        answers={200: RouteAnswer(TokenPair, "Tokens.")},
        tag="Accounts",
        body=Login,
        problems=frozenset({Code.UNAUTHENTICATED, Code.BUSY}),
        limit=LimitClass.LOGIN,
        description="One answer for a wrong address, a wrong password, a locked and a disabled account.",
    ),
    Route(
        method="POST",
        path="/api/auth/refresh",
        operation_id="refresh",
        summary="New tokens for a refresh token",
        handler=refresh,
        access=ANYONE,
        answers={200: RouteAnswer(TokenPair, "Tokens; the old refresh token is spent.")},
        tag="Accounts",
        body=RefreshToken,
        problems=frozenset({Code.UNAUTHENTICATED}),
        description="A refresh token works once. Using it again revokes all tokens of its sign-in.",
    ),
    Route(
        method="POST",
        path="/api/auth/logout",
        operation_id="logout",
        summary="Revoke a sign-in's refresh tokens",
        handler=logout,
        access=SIGNED_IN,
        answers={204: RouteAnswer(None, "Done, or there was nothing to do.")},
        tag="Accounts",
        ownership=Ownership.SELF,
        body=RefreshToken,
    ),
    Route(
        method="GET",
        path="/api/auth/me",
        operation_id="me",
        summary="The own account",
        handler=me,
        access=SIGNED_IN,
        answers={200: RouteAnswer(User, "The account.")},
        tag="Accounts",
        ownership=Ownership.SELF,
    ),
)
