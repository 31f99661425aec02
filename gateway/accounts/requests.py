"""Bodies and queries of accounts and administration. Orders', events' … stand in `requests_<resource>.py`.

Must stay true: no member that is the server's to set (roles at registration, status, counters) exists in a
client's model.
"""

from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema

from contracts.accounts import EMAIL_LENGTH_MAX, AccountStatus, BadEmail, stored_email
from contracts.models import RoleName
from gateway.http.models import (
    Body,
    Line,
    PageQuery,
    Prose,
)

PASSWORD_MIN, PASSWORD_MAX = 10, 128
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
