"""How a command ended: one durable row, the push that hints at it, the resource that clients see.

In: a worker's decision. Out: the row of `command_outcomes`, the JSON a gateway receives, the
command resource of api.md.
Must stay true: an outcome never changes; `body` is the result of a SUCCEEDED command and the
problem of any other.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

import orjson

from contracts.problems import NOT_BINDING, Code
from contracts.runtime.times import from_wire, to_wire


class CommandStatus(StrEnum):
    """PENDING is the absence of an outcome."""

    PENDING = "PENDING"
    SUCCEEDED = "SUCCEEDED"
    REJECTED = "REJECTED"
    FAILED = "FAILED"


def status_for(status_code: int) -> CommandStatus:
    """2xx SUCCEEDED, 4xx REJECTED, 5xx FAILED."""
    if status_code < 300:
        return CommandStatus.SUCCEEDED
    return CommandStatus.REJECTED if status_code < 500 else CommandStatus.FAILED


@dataclass(frozen=True, slots=True)
class Outcome:
    """One decided command. Times are aware UTC; `body` is JSON text as bytes."""

    command: bytes
    """The command's UUID, 16 bytes."""
    user_id: int
    type: str
    fingerprint: str
    status_code: int
    code: str | None
    """The problem's code; None for a success."""
    location: str | None
    request_id: str
    body: bytes
    accepted_at: datetime
    decided_at: datetime

    @property
    def status(self) -> CommandStatus:
        """SUCCEEDED, REJECTED or FAILED."""
        return status_for(self.status_code)

    @property
    def binds(self) -> bool:
        """Whether the same Idempotency-Key keeps giving this answer."""
        return self.code is None or Code(self.code) not in NOT_BINDING

    def to_push(self) -> bytes:
        """What the waiting gateway receives: a JSON line with the header, then the body as it is."""
        head = [
            self.user_id,
            self.type,
            self.fingerprint,
            self.status_code,
            self.code,
            self.location,
            self.request_id,
            to_wire(self.accepted_at),
            to_wire(self.decided_at),
        ]
        return orjson.dumps(head) + b"\n" + self.body

    @classmethod
    def from_push(cls, command: bytes, pushed: bytes) -> "Outcome":
        """The outcome behind `to_push`. Raises ValueError for anything else."""
        head, _, body = pushed.partition(b"\n")
        fields = orjson.loads(head)
        user_id, type_, fingerprint, status_code, code, location, request_id = fields[:7]
        return cls(
            command=command,
            user_id=user_id,
            type=type_,
            fingerprint=fingerprint,
            status_code=status_code,
            code=code,
            location=location,
            request_id=request_id,
            body=body,
            accepted_at=from_wire(fields[7]),
            decided_at=from_wire(fields[8]),
        )


def command_resource(
    command_id: str, type_: str, outcome: Outcome | None, accepted: datetime, events_url: str
) -> bytes:
    """The command resource of api.md as JSON bytes; `outcome` None means still undecided."""
    decided = outcome is not None
    succeeded = outcome is not None and outcome.status is CommandStatus.SUCCEEDED
    body = orjson.Fragment(outcome.body) if outcome else None
    return orjson.dumps(
        {
            "id": command_id,
            "type": outcome.type if outcome else type_,
            "status": outcome.status if outcome else CommandStatus.PENDING,
            "acceptedAt": to_wire(accepted),
            "decidedAt": to_wire(outcome.decided_at) if outcome else None,
            "statusCode": outcome.status_code if outcome else None,
            "result": body if succeeded else None,
            "problem": body if decided and not succeeded else None,
            "eventsUrl": events_url,
        }
    )
