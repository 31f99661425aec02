"""The checker: holds what clients were told against what the database says.

In: the operations of a history; a database at rest. Out: lies, each a sentence; none when every client was told the
truth.
Must stay true: a success is there with that very result; a refusal had no effect; an unknown happened once or not
at all; what was accepted was decided, or (where messages were lost on purpose) is past its deadline without effect;
no answer is one that nobody may be given (500). Nothing is written.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from db.mysql.database import Database
from scripts.proving.effects import Effects, read, uuid_of
from scripts.proving.history import Kind, Operation

Others = Mapping[tuple[Kind, int], Sequence[Operation]]
"""Operations by kind and target: what else may have touched it."""


@dataclass(frozen=True, slots=True)
class _Case:
    """One operation as it ended, what the database says, and all operations that have a target."""

    operation: Operation
    effects: Effects
    others: Others

    @property
    def peers(self) -> list[Operation]:
        """The other operations of this kind on this target."""
        mine = self.operation
        found = self.others.get((mine.kind, mine.target or 0), ())
        return [one for one in found if one.number != mine.number]

    @property
    def alone(self) -> bool:
        """Whether nothing else can have done what this one wanted: all others of its kind were refused."""
        return all(one.end == "refused" for one in self.peers)


async def check(
    database: Database, operations: Sequence[Operation], *, deadline: float | None = None
) -> list[str]:
    """Every lie that a client was told.

    deadline: seconds after which an accepted command may have been lost, if it has neither outcome nor effect; None:
    none may be lost, each must have its outcome.
    """
    return lies(operations, await read(database, operations, deadline))


def lies(operations: Sequence[Operation], effects: Effects) -> list[str]:
    """What is untrue about these operations."""
    settled = [_settled(one, effects) for one in operations]
    others = _by_target(settled)
    return [
        f"operation {one.number} ({one.kind}, {one.end}): {lie}"
        for one, ended in zip(operations, settled, strict=True)
        for lie in _lies(one, _Case(ended, effects, others))
    ]


def _lies(operation: Operation, case: _Case) -> list[str]:
    return [
        *_OF_KIND[operation.kind](case),
        *_of_command(operation, case.effects),
        *_answers(operation),
    ]


def _settled(operation: Operation, effects: Effects) -> Operation:
    """What was accepted ended as its outcome says; without one nothing may have come of it.

    An unknown end stays unknown: the answer that is missing may be that of another attempt of its key.
    """
    if operation.end != "accepted" or operation.command_id is None:
        return operation
    command = uuid_of(operation.command_id)
    status = effects.outcomes.get(command)
    if status is None or status >= 300:
        return operation.ended("refused", code=f"and its outcome is {status}")
    if operation.kind == "quote":
        return operation  # which payment it was told, nobody wrote down
    return operation.ended("ok", made=effects.made.get(command))


def _by_target(operations: Iterable[Operation]) -> dict[tuple[Kind, int], list[Operation]]:
    found: dict[tuple[Kind, int], list[Operation]] = {}
    for operation in operations:
        if operation.target is not None:
            found.setdefault((operation.kind, operation.target), []).append(operation)
    return found


def _place(case: _Case) -> list[str]:
    """A buyer of one order: what they have says what happened."""
    operation = case.operation
    has = [order for order, _ in case.effects.orders.get(operation.user_id, ())]
    if len(has) > 1:
        return [f"happened {len(has)} times: orders {has}"]
    if operation.end == "ok":
        if has != [operation.made]:
            return [f"told order {operation.made}, has {has}"]
        return _lines(case)
    if operation.end == "refused" and has:
        return [f"told {operation.status} {operation.code}, has order {has[0]}"]
    return []


def _lines(case: _Case) -> list[str]:
    """An order's tickets are those asked for, those added, and perhaps those whose addition has no known end."""
    operation, order = case.operation, case.operation.made or 0
    adds = case.others.get(("add", order), ())
    has = _tickets(case.effects.lines.get(order, ()))
    least = _tickets(operation.items) + _asked(one for one in adds if one.end == "ok")
    most = least + _asked(one for one in adds if one.end in ("accepted", "unknown"))
    if least <= has <= most:
        return []
    wanted = f"asked {operation.items}" + (f", added {dict(most)} at most" if adds else "")
    return [f"{wanted}, has {dict(has)}"]


def _asked(operations: Iterable[Operation]) -> Counter[int]:
    return sum((_tickets(one.items) for one in operations), Counter())


def _tickets(lines: Iterable[tuple[int, int]]) -> Counter[int]:
    """Ticket type -> quantity; the same type may have several lines."""
    counts: Counter[int] = Counter()
    for type_id, quantity in lines:
        counts[type_id] += quantity
    return counts


def _add(case: _Case) -> list[str]:
    """Its tickets are looked at with those of its order; here only that it was told the right order."""
    operation = case.operation
    if operation.end == "ok" and operation.made != operation.target:
        return [f"asked to add to order {operation.target}, told order {operation.made}"]
    return []


def _cancel(case: _Case) -> list[str]:
    operation = case.operation
    target = operation.target or 0
    now = dict(case.effects.orders.get(operation.user_id, ())).get(target)
    if operation.end == "ok" and now != "CANCELLED":
        return [f"told that order {target} is cancelled, it is {now}"]
    if operation.end == "refused" and case.alone and target in case.effects.cancelled:
        return [f"told {operation.status} {operation.code}, but order {target} was cancelled"]
    return []


def _quote(case: _Case) -> list[str]:
    """The payments of its order are those that buyers were told, and perhaps one for each unknown end."""
    operation = case.operation
    has = case.effects.payments.get(operation.target or 0, ())
    if operation.end == "ok" and operation.made not in has:
        return [f"told payment {operation.made}, there is none of order {operation.target}"]
    asked = [operation, *case.peers]
    untold = sorted(set(has) - {one.made for one in asked if one.end == "ok"})
    if len(untold) > sum(one.end in ("accepted", "unknown") for one in asked):
        told = f"told {operation.status} {operation.code}"
        return [f"{told}, order {operation.target} has payments {untold} that nobody was told of"]
    return []


def _confirm(case: _Case) -> list[str]:
    operation = case.operation
    receipt = case.effects.receipts.get((operation.tx_hash or "").lower())
    if operation.end == "ok" and receipt != (operation.target, "APPLIED"):
        return [f"told that {operation.tx_hash} paid payment {operation.target}, it is {receipt}"]
    taken = receipt is not None and receipt[1] == "APPLIED"
    if operation.end == "refused" and taken and case.alone:
        return [f"told {operation.status} {operation.code}, but the money was taken"]
    return []


_OF_KIND = {"place": _place, "add": _add, "cancel": _cancel, "quote": _quote, "confirm": _confirm}


def _of_command(operation: Operation, effects: Effects) -> list[str]:
    """The command that a client holds an id of: its outcome is what they were told, and is what came of it."""
    if operation.command_id is None:
        return ["accepted, and no command named"] if operation.end == "accepted" else []
    command = uuid_of(operation.command_id)
    status, came = effects.outcomes.get(command), effects.made.get(command)
    told = []
    if operation.end in ("ok", "refused") and status != operation.status:
        told.append(f"told {operation.status}, its outcome is {status}")
    lost = operation.end == "accepted" and status is None
    if lost and not effects.may_be_lost(operation.command_id):
        told.append("accepted, and never decided")
    if came is not None and (status is None or status >= 300):
        told.append(f"its outcome is {status}, and order {came} shows its effect")
    if operation.end != "unknown" and status == 201 and came is None:
        told.append("its outcome is 201, and there is no effect")
    return told


def _answers(operation: Operation) -> list[str]:
    """No client may be given an answer that says nothing of what was done."""
    return [f"answered {answer}" for answer in operation.broken]
