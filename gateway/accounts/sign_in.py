"""Accounts over HTTP: register, login, refresh, logout, me.

In: credentials and tokens. Out: accounts and token pairs; rows of users and refresh tokens (not commands: design.md).
Must stay true: an attacker learns nothing from a failed sign-in (same answer, same work for unknown, wrong, locked and
disabled); a refresh token is 256 random bits, works once (and again for 10 s), and only its hash is stored; an access
token carries its session and ends with it.
"""

import hashlib
import secrets
import zlib
from dataclasses import dataclass
from typing import Annotated, Literal

import structlog
from aiohttp import web
from pydantic import AfterValidator, Field, WithJsonSchema

from contracts.accounts import EMAIL_LENGTH_MAX, Account, BadEmail, User, stored_email
from contracts.models import Line, Prose
from contracts.problems import Code, Problem
from contracts.shapes import Answer
from db.accounts import accounts, refresh_tokens, sign_ins
from db.accounts.refresh_tokens import Device, NextToken
from db.accounts.sign_ins import LockRule
from db.mysql.database import Database, Transaction
from gateway.accounts.passwords import PASSWORD_MAX, PASSWORD_MIN, Passwords, weakness
from gateway.http.client_addresses import network_of
from gateway.http.keys import (
    ACCESS,
    DATABASE,
    PASSWORDS,
    SETTINGS,
    TOKENS,
    address_of,
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


def _new_password(text: str) -> str:
    if (why := weakness(text)) is not None:
        raise ValueError(why)
    return text


NewPassword = Annotated[
    Prose,
    Field(min_length=PASSWORD_MIN, max_length=PASSWORD_MAX, examples=["correct horse battery"]),
    AfterValidator(_new_password),
]
"""A password that somebody chooses."""


class Register(Body):
    """A new account."""

    email: Annotated[Email, Field(examples=["ada@example.com"])]
    password: NewPassword


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
    network = network_of(address_of(request))

    def at_home(transaction: Transaction, user_id: int) -> None:
        # Where it was made it is no stranger: nobody can lock it out from elsewhere before it first signs in.
        sign_ins.note_network(transaction, user_id, network)

    try:
        account = await accounts.create(
            request.app[DATABASE], wanted.email, password_hash, ("USER",), then=at_home
        )
    except accounts.EmailTaken:
        detail = "There is an account with this address; sign in instead."
        raise Refusal(Problem(Code.EMAIL_TAKEN, detail)) from None
    log.info("account.registered", user_id=account.id)
    return json_reply(account.to_json(), 201, {"Location": "/api/auth/me"})


async def login(request: web.Request) -> web.Response:
    """POST /api/auth/login."""
    given, app = body(request, Login), request.app
    network = network_of(address_of(request))
    known = await _credentials(app[DATABASE], given.email, network)
    fits = await app[PASSWORDS].verify(known.password_hash if known else None, given.password)
    session = None
    if known and fits and known.active and not known.locked:
        session = await _begin_session(request, known.user_id, network)
    if known is None or session is None:
        countable = known if known and known.active and not known.locked and not fits else None
        await _count_failure(request, given.email, countable, network)
        raise unauthenticated(WRONG)
    if app[PASSWORDS].is_outdated(known.password_hash):
        await _rehash(app[DATABASE], app[PASSWORDS], known, given.password)
    log.info("account.signed_in", user_id=known.user_id)
    return _token_pair(request, session)


@dataclass(frozen=True, slots=True)
class _Session:
    """What a token pair is made of."""

    account: Account
    session_id: int
    refresh_token: str


async def _credentials(database: Database, email: str, network: str) -> sign_ins.Credentials | None:
    try:
        address = stored_email(email)
    except BadEmail:
        # The same query as for an address, so that it takes the same time.
        address = ""
    return await sign_ins.credentials(database, address, network)


async def _begin_session(request: web.Request, user_id: int, network: str) -> _Session | None:
    text, lifetime = secrets.token_urlsafe(REFRESH_BYTES), request.app[SETTINGS].refresh_ttl
    first, device = NextToken(_digest(text), lifetime), _device(request)

    async def work(transaction: Transaction) -> _Session | None:
        account = await sign_ins.begin_session(transaction, user_id, network)
        if account is None:
            return None
        session_id = await refresh_tokens.start_family(transaction, user_id, first, device)
        return _Session(account, session_id, text)

    return await request.app[DATABASE].run(work)


def _device(request: web.Request) -> Device:
    agent = request.headers.get("User-Agent")
    # aiohttp reads bytes that are no UTF-8 as lone surrogates, which no database takes.
    readable = agent and agent.encode("utf-8", "replace").decode()
    return Device(address_of(request), readable)


async def _count_failure(
    request: web.Request, email: str, known: sign_ins.Credentials | None, network: str
) -> None:
    database, settings = request.app[DATABASE], request.app[SETTINGS]
    if known is not None:
        rule = LockRule(settings.lockout_after, settings.lockout)
        await sign_ins.count_failure(database, known, network, rule)
    else:
        await sign_ins.count_decoy(database, zlib.crc32(email.encode()))


async def _rehash(
    database: Database, passwords: Passwords, known: sign_ins.Credentials, password: str
) -> None:
    fresh = await passwords.hash(password)
    await accounts.replace_hash(database, known.user_id, known.password_hash, fresh)


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()


def _token_pair(request: web.Request, session: _Session) -> web.Response:
    tokens, account = request.app[TOKENS], session.account
    return json_reply(
        {
            "accessToken": tokens.issue(
                account.id, account.roles, account.access_changed_at, session.session_id
            ),
            "refreshToken": session.refresh_token,
            "tokenType": "Bearer",
            "expiresIn": tokens.lifetime,
        }
    )


async def refresh(request: web.Request) -> web.Response:
    """POST /api/auth/refresh."""
    given, app = body(request, RefreshToken), request.app
    fresh = secrets.token_urlsafe(REFRESH_BYTES)
    following = NextToken(_digest(fresh), app[SETTINGS].refresh_ttl)
    shown = _digest(given.refresh_token)
    rotation = await refresh_tokens.rotate(app[DATABASE], shown, following, _device(request))
    if rotation.revoked and rotation.session_id is not None:
        app[ACCESS].note_end(rotation.session_id)
        log.warning("session.revoked", session_id=rotation.session_id)
    if rotation.account is None or rotation.session_id is None:
        raise unauthenticated("This refresh token is not valid (any more); sign in again.")
    return _token_pair(request, _Session(rotation.account, rotation.session_id, fresh))


async def logout(request: web.Request) -> web.Response:
    """POST /api/auth/logout."""
    given, app = body(request, RefreshToken), request.app
    shown, user_id = _digest(given.refresh_token), principal(request).user_id
    session_id = await refresh_tokens.end_session_of(app[DATABASE], shown, user_id)
    if session_id is not None:
        app[ACCESS].note_end(session_id)
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
        limit=LimitClass.ADDRESS,
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
        description="One answer for a wrong address, a wrong password, a locked and a disabled account. Wrong "
        "passwords lock the account for the network they come from (IPv4 /24, IPv6 /48); ten times as many lock it for "
        "every network that it never signed in from.",
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
        description="A refresh token works once, and for ten seconds again (two tabs, an answer that was lost). Using "
        "it later ends its session: all its refresh tokens at once, its access tokens within 30 seconds.",
    ),
    Route(
        method="POST",
        path="/api/auth/logout",
        operation_id="logout",
        summary="End a session",
        handler=logout,
        access=SIGNED_IN,
        answers={204: RouteAnswer(None, "Done, or there was nothing to do.")},
        tag="Accounts",
        ownership=Ownership.SELF,
        body=RefreshToken,
        description="Its refresh tokens stop at once, its access tokens within 30 seconds.",
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
