"""What every model on a wire shares: frozen, strict, camelCase outside and snake_case inside.

`Wire` models travel on queues and ignore fields they do not know, so that an old worker survives a new
gateway; HTTP request models (`gateway`) refuse them.
"""

from collections.abc import Iterable
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints
from pydantic.alias_generators import to_camel

Id = Annotated[int, Field(strict=True, ge=1, le=2**63 - 1)]
Quantity = Annotated[int, Field(strict=True, ge=1, le=1_000_000)]
Amount = Annotated[str, StringConstraints(pattern=r"^(0|[1-9][0-9]{0,15})(\.[0-9]{1,2})?$")]
"""Money on a wire: a decimal text with at most two decimals, never a JSON number."""
Currency = Annotated[str, StringConstraints(pattern=r"^[A-Z]{3}$")]
Asset = Annotated[str, StringConstraints(pattern=r"^[A-Z0-9]{2,16}$")]
TxHash = Annotated[str, StringConstraints(pattern=r"^0[xX][0-9a-fA-F]{64}$")]
RoleName = Literal["ADMIN", "ORGANIZER", "USER", "PROVIDER"]


class Wire(BaseModel):
    """Base of the models that travel on queues."""

    model_config = ConfigDict(
        frozen=True, extra="ignore", alias_generator=to_camel, populate_by_name=True
    )

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values under camelCase names."""
        return self.model_dump(mode="json", by_alias=True)


class Principal(Wire):
    """Who asks: checked by the gateway, checked again by the worker."""

    user_id: Id
    roles: tuple[RoleName, ...] = ()

    def has(self, roles: Iterable[str]) -> bool:
        """Whether any of `roles` is held (roles add up, none implies another)."""
        return not set(roles).isdisjoint(self.roles)

    @property
    def caller(self) -> int:
        """Who asks, over all kinds of callers: whose commands, keys and limits these are."""
        return self.user_id


NOBODY = 2**63 - 1
"""No account has this id: whatever asks for an owner says no."""


class GatePrincipal(Principal):
    """A device at the door of an event: no account, no roles, and a number of its own among callers."""

    user_id: Id = NOBODY
    gate_id: Id
    event_id: Id

    @property
    def caller(self) -> int:
        """Negative, so that a gate is never an account of the same number."""
        return -self.gate_id
