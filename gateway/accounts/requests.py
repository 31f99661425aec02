"""Bodies and queries of accounts and administration. Orders', events' … stand in `requests_<resource>.py`.

Must stay true: no member that is the server's to set (roles at registration, status, counters) exists in a
client's model.
"""

import unicodedata
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema

from contracts.accounts import EMAIL_LENGTH_MAX, AccountStatus, BadEmail, stored_email
from contracts.models import RoleName
from gateway.accounts.passwords import PASSWORD_MAX, PASSWORD_MIN, weakness
from gateway.http.models import (
    Body,
    Line,
    MomentText,
    PageQuery,
    Prose,
    whole_number,
)

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
    try:
        return stored_email(unicodedata.normalize("NFKC", text).strip())
    except BadEmail:
        # A filter for what cannot be an address finds nothing; it is no error.
        return unicodedata.normalize("NFKC", text).lower()


class UsersQuery(PageQuery):
    """`?email=&status=&limit=&cursor=`."""

    email: Annotated[
        Line | None, BeforeValidator(_lenient_email), Field(max_length=EMAIL_LENGTH_MAX)
    ] = None
    status: AccountStatus | None = None


class AuditLogQuery(PageQuery):
    """`?actor=&subject=&action=&from=&to=&limit=&cursor=`. From included, to not."""

    actor: Annotated[int | None, Field(ge=1, le=2**63 - 1), BeforeValidator(whole_number)] = None
    subject: Annotated[Line | None, Field(max_length=64, examples=["user:12"])] = None
    action: Annotated[Line | None, Field(max_length=32, examples=["user.roles"])] = None
    since: Annotated[MomentText | None, Field(alias="from")] = None
    until: Annotated[MomentText | None, Field(alias="to")] = None
