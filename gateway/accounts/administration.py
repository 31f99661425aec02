"""Administration of accounts: list, show, disable and enable, set roles.

In: an admin's wishes. Out: accounts. Rows of users and user_roles.
Must stay true: a change reaches tokens that are already out (this gateway's at once, the others' within
seconds); the last active admin stays one.
"""

from typing import Annotated

import structlog
from aiohttp import web
from pydantic import AfterValidator, BeforeValidator, Field

from contracts.accounts import EMAIL_LENGTH_MAX, Account, AccountStatus, User
from contracts.models import Line, RoleName
from contracts.problems import Code, Problem
from db.accounts import accounts
from gateway.http.keys import (
    ACCESS,
    DATABASE,
    body,
    path_id,
    principal,
    query,
)
from gateway.http.models import Body, PageQuery
from gateway.http.paging import Page, from_cursor, page
from gateway.http.problems import Refusal, not_found
from gateway.http.replies import json_reply
from gateway.http.routing import ADMIN, Route, RouteAnswer

log = structlog.get_logger(__name__)


class SetStatus(Body):
    """Enable or disable an account."""

    status: Annotated[AccountStatus, Field(examples=["DISABLED"])]


def _no_duplicates(roles: tuple[RoleName, ...]) -> tuple[RoleName, ...]:
    if len(set(roles)) != len(roles):
        raise ValueError("names a role twice")
    return roles


class SetRoles(Body):
    """All roles that an account shall have."""

    roles: Annotated[
        tuple[RoleName, ...],
        Field(max_length=4, json_schema_extra={"uniqueItems": True}, examples=[["USER"]]),
        AfterValidator(_no_duplicates),
    ]


def _lenient_email(text: object) -> object:
    # A filter for what cannot be an address finds nothing; it is no error.
    return text.lower() if isinstance(text, str) else text


class UsersQuery(PageQuery):
    """`?email=&status=&limit=&cursor=`."""

    email: Annotated[
        Line | None, BeforeValidator(_lenient_email), Field(max_length=EMAIL_LENGTH_MAX)
    ] = None
    status: AccountStatus | None = None


class UserPage(Page):
    """A page of accounts."""

    data: list[User]


async def list_users(request: web.Request) -> web.Response:
    """GET /api/admin/users."""
    wanted = query(request, UsersQuery)
    after = from_cursor(wanted.cursor, int)[0] if wanted.cursor else 0
    rows = await accounts.listed(
        request.app[DATABASE],
        email=wanted.email,
        status=wanted.status,
        after_id=int(after),
        limit=wanted.limit + 1,
    )
    return json_reply(page(rows, wanted.limit, lambda row: (row.id,), Account.to_json))


async def show_user(request: web.Request) -> web.Response:
    """GET /api/admin/users/{userId}."""
    account = await accounts.find(request.app[DATABASE], path_id(request, "userId"))
    if account is None:
        raise not_found("There is no such account.")
    return json_reply(account.to_json())


async def set_status(request: web.Request) -> web.Response:
    """PATCH /api/admin/users/{userId}."""
    user_id, wanted = path_id(request, "userId"), body(request, SetStatus)
    try:
        account = await accounts.set_status(request.app[DATABASE], user_id, wanted.status)
    except accounts.LastAdmin:
        raise _last_admin() from None
    return _changed(request, account)


async def set_roles(request: web.Request) -> web.Response:
    """PUT /api/admin/users/{userId}/roles."""
    user_id, wanted = path_id(request, "userId"), body(request, SetRoles)
    try:
        account = await accounts.set_roles(request.app[DATABASE], user_id, wanted.roles)
    except accounts.LastAdmin:
        raise _last_admin() from None
    return _changed(request, account)


def _last_admin() -> Refusal:
    return Refusal(Problem(Code.LAST_ADMIN, "Give another active account the role ADMIN first."))


def _changed(request: web.Request, account: Account | None) -> web.Response:
    if account is None:
        raise not_found("There is no such account.")
    request.app[ACCESS].note(account.access)
    log.info(
        "account.changed",
        user_id=account.id,
        status=account.status,
        roles=account.roles,
        by=principal(request).user_id,
    )
    return json_reply(account.to_json())


ROUTES = (
    Route(
        method="GET",
        path="/api/admin/users",
        operation_id="listUsers",
        summary="Accounts",
        handler=list_users,
        access=ADMIN,
        answers={200: RouteAnswer(UserPage, "A page of accounts by rising id.")},
        tag="Administration",
        query=UsersQuery,
    ),
    Route(
        method="GET",
        path="/api/admin/users/{userId}",
        operation_id="showUser",
        summary="An account",
        handler=show_user,
        access=ADMIN,
        answers={200: RouteAnswer(User, "The account.")},
        tag="Administration",
    ),
    Route(
        method="PATCH",
        path="/api/admin/users/{userId}",
        operation_id="setUserStatus",
        summary="Enable or disable an account",
        handler=set_status,
        access=ADMIN,
        answers={200: RouteAnswer(User, "The account.")},
        tag="Administration",
        body=SetStatus,
        problems=frozenset({Code.LAST_ADMIN}),
        description="A disabled account's tokens stop working within 30 seconds; it cannot sign in.",
    ),
    Route(
        method="PUT",
        path="/api/admin/users/{userId}/roles",
        operation_id="setUserRoles",
        summary="Set an account's roles",
        handler=set_roles,
        access=ADMIN,
        answers={200: RouteAnswer(User, "The account.")},
        tag="Administration",
        body=SetRoles,
        problems=frozenset({Code.LAST_ADMIN}),
        description="The roles reach tokens that are already out within 30 seconds.",
    ),
)
