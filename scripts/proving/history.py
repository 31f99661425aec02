"""The history of a load: every operation with what its client was told.

In: operations as they end. Out: JSON lines, one per operation, and back.
Must stay true: an operation is written down before it is sent (`end` unknown) and again when its end is known, so
that a client that dies leaves an unknown, never a gap. The last line of an operation counts.

Source of the idea: Jepsen's histories (invoke, ok, fail, info), jepsen.io.
"""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Literal, TextIO

Kind = Literal["place", "add", "cancel", "quote", "confirm"]
End = Literal["ok", "refused", "accepted", "unknown"]
"""ok: told a success. refused: told that nothing was done. accepted: 202. unknown: no answer, or a 503 with an id."""


@dataclass(frozen=True, slots=True)
class Operation:
    """One call of one buyer and its end so far. Each order has a buyer of its own: effects are found by user."""

    number: int
    kind: Kind
    user_id: int
    items: tuple[tuple[int, int], ...] = ()
    """Of `place` and `add`: (ticket type, quantity)."""
    target: int | None = None
    """The order of `add`, `cancel` and `quote`, the payment of `confirm`."""
    tx_hash: str | None = None
    end: End = "unknown"
    status: int | None = None
    code: str | None = None
    command_id: str | None = None
    made: int | None = None
    """The id of what a success made or changed."""
    attempts: int = 0
    broken: tuple[str, ...] = ()
    """Answers that nobody may be given, in order: "500 INTERNAL"."""

    def ended(self, end: End, **told: object) -> "Operation":
        """The same operation with its end."""
        return replace(self, end=end, **told)  # type: ignore[arg-type]  # fields by name


class History:
    """Collects operations, and writes each to a file when there is one."""

    def __init__(self, file: TextIO | None = None) -> None:
        self._file = file
        self._last: dict[int, Operation] = {}

    def write(self, operation: Operation) -> None:
        """Note how an operation stands now."""
        self._last[operation.number] = operation
        if self._file is not None:
            self._file.write(json.dumps(asdict(operation)) + "\n")
            self._file.flush()

    @property
    def operations(self) -> list[Operation]:
        """Every operation as it stood last, by number."""
        return [self._last[number] for number in sorted(self._last)]

    def counts(self) -> dict[str, int]:
        """How many ended how."""
        counts: dict[str, int] = {}
        for operation in self._last.values():
            counts[operation.end] = counts.get(operation.end, 0) + 1
        return counts


def load(lines: Iterable[str]) -> list[Operation]:
    """The operations of a file. Raises ValueError or TypeError for a line that is none."""
    history = History()
    for line in lines:
        fields = json.loads(line)
        fields["items"] = tuple((one, quantity) for one, quantity in fields["items"])
        fields["broken"] = tuple(fields.get("broken", ()))
        history.write(Operation(**fields))
    return history.operations


def load_file(path: Path) -> list[Operation]:
    with path.open() as lines:
        return load(lines)
