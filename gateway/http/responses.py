"""Models of what the gateway answers, for OpenAPI and for the tests that compare real answers with it.

Must stay true: they describe, they do not serialise; a member that the contract names is required here, unknown members
are not expected. Resources of orders, events, payments … stand in `responses_<resource>.py`.
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from contracts.models import RoleName

Moment = Annotated[str, Field(json_schema_extra={"format": "date-time"}, pattern=r"Z$")]
"""RFC 3339 in UTC, six decimals, ending in Z."""
IdNumber = Annotated[int, Field(ge=1, le=2**63 - 1)]
Money = Annotated[str, Field(pattern=r"^\d{1,16}\.\d{2}$")]


class ResponseModel(BaseModel):
    """Base of response models."""

    model_config = ConfigDict(
        extra="forbid", strict=True, alias_generator=to_camel, populate_by_name=True
    )


class ProblemError(ResponseModel):
    """One thing that is wrong with a request."""

    pointer: str
    detail: str


class ProblemDocument(BaseModel):
    """RFC 9457 problem details."""

    model_config = ConfigDict(extra="allow", alias_generator=to_camel, populate_by_name=True)

    type: str
    title: str
    status: int
    code: str
    detail: str
    instance: str
    errors: list[ProblemError] | None = None
    retry_after: int | None = None
    available: int | None = None
    """SOLD_OUT: tickets of that type left."""
    held: int | None = None
    """SOLD_OUT: tickets in unpaid orders."""
    next_release_at: Moment | None = None
    """SOLD_OUT: when the earliest unpaid order gives its tickets back."""
    payment_status: Literal["LATE"] | None = None
    """The money is recorded for a refund."""
    command_id: str | None = None
    """A publish whose end is unknown: what to poll."""


class Liveness(ResponseModel):
    """The loop turns."""

    status: Literal["alive"]


class Readiness(ResponseModel):
    """What is missing, and what works without its faster half."""

    status: Literal["ready", "unready"]
    missing: list[str]
    degraded: list[str]


class User(ResponseModel):
    """An account."""

    id: IdNumber
    email: Annotated[str, Field(examples=["ada@example.com"])]
    roles: list[RoleName]
    status: Literal["ACTIVE", "DISABLED"]
    failed_login_count: Annotated[int, Field(ge=0)]
    locked_until: Moment | None
    """Until when sign-ins are refused, from some network or from all that the account never signed in from."""
    created_at: Moment
    updated_at: Moment


class AuditLogEntry(ResponseModel):
    """A line of the audit log."""

    id: IdNumber
    at: Moment
    actor_id: IdNumber | None
    """The account that did it; null: an operator, by a command on the machine."""
    action: Annotated[str, Field(examples=["user.roles"])]
    subject: Annotated[str, Field(examples=["user:12"])]
    before: dict[str, Any] | None
    after: dict[str, Any] | None
    request_id: str | None
    address: str | None
    """Where it was asked from; null after 90 days."""


class TokenPair(ResponseModel):
    """What a sign-in gives. `expiresIn`: seconds of the access token."""

    access_token: Annotated[str, Field(examples=["eyJhbGciOiJIUzI1NiIsImtpZCI6ImsxIn0.e30.c2ln"])]
    refresh_token: Annotated[str, Field(examples=["mlRKCN9g5KHAjxw2j3Zosi9aFpFUmziNbBmMiMOXmZI"])]
    token_type: Literal["Bearer"]
    expires_in: Annotated[int, Field(ge=1, examples=[900])]


class UserPage(ResponseModel):
    """A page of accounts."""

    data: list[User]
    next_cursor: str | None
    has_more: bool


class AuditLogPage(ResponseModel):
    """A page of the audit log."""

    data: list[AuditLogEntry]
    next_cursor: str | None
    has_more: bool


class CommandResource(ResponseModel):
    """The command resource: what became of a ⚡ call."""

    id: str
    type: str
    status: Literal["PENDING", "SUCCEEDED", "REJECTED", "FAILED"]
    accepted_at: Moment
    decided_at: Moment | None
    status_code: int | None
    result: Any
    problem: ProblemDocument | None
