"""Administration of accounts: list, show, disable and enable, unlock, set roles, and the log of who did what.

In: an admin's wishes. Out: accounts, entries of the audit log. Rows of users and user_roles.
Must stay true: a change reaches tokens that are already out (this gateway's at once, the others' within
seconds) and the audit log; the last active admin stays one; the rates of a provider who is none any more are shown no
longer: their copy is dropped before they are.
"""

import unicodedata
from typing import Annotated, Any

import structlog
from aiohttp import web
from pydantic import AfterValidator, BeforeValidator, Field

from contracts.accounts import (
    EMAIL_LENGTH_MAX,
    Account,
    AccountStatus,
    BadEmail,
    User,
    stored_email,
)
from contracts.models import Line, MomentText, RoleName
from contracts.problems import Code, Problem
from contracts.resources import IdNumber, MomentJson
from contracts.runtime.times import from_wire, to_wire
from contracts.shapes import Answer
from db.accounts import accounts, audit_log, sign_ins
from db.accounts.audit_log import AuditEntry, AuditFilter
from gateway.http.keys import (
    ACCESS,
    DATABASE,
    audit_origin,
    body,
    path_id,
    principal,
    query,
)
from gateway.http.models import Body, PageQuery, whole_number
from gateway.http.paging import Page, from_cursor, page
from gateway.http.problems import Refusal, not_found
from gateway.http.replies import json_reply
from gateway.http.routing import ADMIN, Route, RouteAnswer
from gateway.resources.rates import REGISTRY

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
    if not isinstance(text, str):
        return text
    plain = unicodedata.normalize("NFKC", text)
    try:
        return stored_email(plain.strip())
    except BadEmail:
        # A filter for what cannot be an address finds nothing; it is no error.
        return plain.lower()


class UsersQuery(PageQuery):
    """`?email=&status=&limit=&cursor=`."""

    email: Annotated[
        Line | None, BeforeValidator(_lenient_email), Field(max_length=EMAIL_LENGTH_MAX)
    ] = None
    status: AccountStatus | None = None


class UserPage(Page):
    """A page of accounts."""

    data: list[User]


class AuditLogQuery(PageQuery):
    """`?actor=&subject=&action=&from=&to=&limit=&cursor=`. From included, to not."""

    actor: Annotated[int | None, Field(ge=1, le=2**63 - 1), BeforeValidator(whole_number)] = None
    subject: Annotated[Line | None, Field(max_length=64, examples=["user:2"])] = None
    action: Annotated[Line | None, Field(max_length=32, examples=["user.roles"])] = None
    since: Annotated[MomentText | None, Field(alias="from")] = None
    until: Annotated[MomentText | None, Field(alias="to")] = None


class AuditLogEntry(Answer):
    """A line of the audit log."""

    id: IdNumber
    at: MomentJson
    actor_id: IdNumber | None
    """The account that did it; null: an operator, by a command on the machine."""
    action: Annotated[str, Field(examples=["user.roles"])]
    subject: Annotated[str, Field(examples=["user:2"])]
    before: dict[str, Any] | None
    after: dict[str, Any] | None
    request_id: str | None
    address: str | None
    """Where it was asked from; null after 90 days."""


class AuditLogPage(Page):
    """A page of the audit log."""

    data: list[AuditLogEntry]


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
    if wanted.status == "DISABLED":
        await request.app[REGISTRY].changing()
    try:
        account = await accounts.set_status(
            request.app[DATABASE], user_id, wanted.status, audit_origin(request)
        )
    except accounts.LastAdmin:
        raise _last_admin() from None
    return _changed(request, account)


async def set_roles(request: web.Request) -> web.Response:
    """PUT /api/admin/users/{userId}/roles."""
    user_id, wanted = path_id(request, "userId"), body(request, SetRoles)
    if "PROVIDER" not in wanted.roles:
        await request.app[REGISTRY].changing()
    try:
        account = await accounts.set_roles(
            request.app[DATABASE], user_id, wanted.roles, audit_origin(request)
        )
    except accounts.LastAdmin:
        raise _last_admin() from None
    return _changed(request, account)


async def unlock(request: web.Request) -> web.Response:
    """POST /api/admin/users/{userId}/unlock."""
    user_id = path_id(request, "userId")
    account = await sign_ins.unlock(request.app[DATABASE], user_id, audit_origin(request))
    return _changed(request, account)


async def list_audit_log(request: web.Request) -> web.Response:
    """GET /api/admin/audit-log."""
    asked = query(request, AuditLogQuery)
    wanted = AuditFilter(
        asked.actor,
        asked.subject,
        asked.action,
        from_wire(asked.since) if asked.since else None,
        from_wire(asked.until) if asked.until else None,
    )
    below = int(from_cursor(asked.cursor, int)[0]) if asked.cursor else None
    rows = await audit_log.page(request.app[DATABASE], wanted, below=below, limit=asked.limit + 1)
    return json_reply(page(rows, asked.limit, lambda row: (row.id,), _entry))


def _entry(row: AuditEntry) -> dict[str, Any]:
    return {
        "id": row.id,
        "at": to_wire(row.at),
        "actorId": row.actor_id,
        "action": row.action,
        "subject": row.subject,
        "before": row.value_before,
        "after": row.value_after,
        "requestId": row.request_id,
        "address": row.address,
    }


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
    Route(
        method="POST",
        path="/api/admin/users/{userId}/unlock",
        operation_id="unlockUser",
        summary="Lift an account's locks",
        handler=unlock,
        access=ADMIN,
        answers={200: RouteAnswer(User, "The account.")},
        tag="Administration",
        description="Forgets its wrong passwords, whichever networks they came from.",
    ),
    Route(
        method="GET",
        path="/api/admin/audit-log",
        operation_id="listAuditLog",
        summary="Who changed what",
        handler=list_audit_log,
        access=ADMIN,
        answers={200: RouteAnswer(AuditLogPage, "Entries, the newest first.")},
        tag="Administration",
        query=AuditLogQuery,
        description="Roles, statuses, unlocks, providers, accepted rates, pauses of sales: written with the change "
        "itself, never changed or deleted. Entries hold ids alone; network addresses are forgotten after 90 days.",
    ),
)
