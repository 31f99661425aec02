"""What a rule of the audit is: a sentence, and queries for the rows that break it.

Must stay true: a query reads tables only, scans or joins them once (hundreds of thousands of orders in seconds) and
computes exactly (DECIMAL), never in floats.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any


@dataclass(frozen=True, slots=True)
class AuditOptions:
    """`retention`: seconds for which outcomes are kept. `expected_dead`: dead letters that are wanted (not empty)."""

    retention: int
    expected_dead: tuple[int, ...]
    at: datetime
    """Just before the snapshot, by the database's clock: a check may run a minute later."""


@dataclass(frozen=True, slots=True)
class Check:
    """One way to break a rule: its rows are the offenders. `sql` takes a LIMIT behind it."""

    name: str
    sql: str
    parameters: tuple[Any, ...] = ()


@dataclass(frozen=True, slots=True)
class Rule:
    """What must be true, and how to see that it is not."""

    id: int
    sentence: str
    checks: tuple[Check, ...]
    note: Check | None = None
    """What to say beside the verdict: the first column of its first row, if it has one."""


RuleOf = Callable[[AuditOptions], Rule]
