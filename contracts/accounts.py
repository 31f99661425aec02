"""Accounts as the processes speak of them: the account itself, its access, its address's stored form.

Must stay true: a password or its hash is in none of these; two spellings of one mailbox have one stored form.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated, Any, Literal

from email_validator import SPECIAL_USE_DOMAIN_NAMES, EmailNotValidError, validate_email
from pydantic import Field

from contracts.command_ids import EPOCH
from contracts.models import RoleName
from contracts.resources import IdNumber, MomentJson
from contracts.runtime.times import to_wire
from contracts.shapes import Answer

AccountStatus = Literal["ACTIVE", "DISABLED"]
EMAIL_LENGTH_MAX = 254
"""RFC 5321 section 4.5.3.1.3, less the angle brackets."""


# The library's own way to take reserved names (`.test`, `.local`): no mail is sent, and set-ups
# without the net use them.
SPECIAL_USE_DOMAIN_NAMES.clear()


class BadEmail(ValueError):
    """No e-mail address; the text says why."""


def stored_email(text: str) -> str:
    """The one form an address is stored and looked up in: lower case, NFC. Raises BadEmail.

    Whether mail arrives there is not asked (no network). Names without a dot are nobody's domain on the net.
    """
    if len(text) > EMAIL_LENGTH_MAX:
        raise BadEmail(f"is longer than {EMAIL_LENGTH_MAX} characters")
    try:
        checked = validate_email(
            text, check_deliverability=False, globally_deliverable=False, strict=True
        )
    except EmailNotValidError as error:
        raise BadEmail(str(error)) from None
    if "." not in checked.domain or checked.domain.startswith("["):
        raise BadEmail("The part after the @-sign is no domain name.")
    return checked.normalized.lower()


@dataclass(frozen=True, slots=True)
class AccountAccess:
    """What an account may do since `changed_micros` (microseconds of its access_changed_at since 1970, UTC)."""

    user_id: int
    active: bool
    roles: tuple[RoleName, ...]
    changed_micros: int


@dataclass(frozen=True, slots=True)
class Account:
    """An account without its secrets. Times are aware UTC."""

    id: int
    email: str
    status: AccountStatus
    failed_login_count: int
    created_at: datetime
    updated_at: datetime
    access_changed_at: datetime
    roles: tuple[RoleName, ...]

    @property
    def access(self) -> AccountAccess:
        """Its access since the last change."""
        micros = (self.access_changed_at - EPOCH) // timedelta(microseconds=1)
        return AccountAccess(self.id, self.status == "ACTIVE", self.roles, micros)

    def to_json(self) -> dict[str, Any]:
        """The user resource of the HTTP contract."""
        return {
            "id": self.id,
            "email": self.email,
            "roles": list(self.roles),
            "status": self.status,
            "failedLoginCount": self.failed_login_count,
            "createdAt": to_wire(self.created_at),
            "updatedAt": to_wire(self.updated_at),
        }


class User(Answer):
    """An account."""

    id: IdNumber
    email: Annotated[str, Field(examples=["ada@example.com"])]
    roles: list[RoleName]
    status: Literal["ACTIVE", "DISABLED"]
    failed_login_count: Annotated[int, Field(ge=0)]
    created_at: MomentJson
    updated_at: MomentJson
