"""`scripts/bench compare A.json B.json`: what changed between two results of the same kind of load.

In: two results. Out: a table of the figures of both, and whether one got worse by more than the noise.
Must stay true: pure; only figures that both results have are compared; a figure whose better direction is not known is
shown and never judged; results of different machines, loads or servers say so.
"""

from collections.abc import Iterator, Mapping
from typing import Any, TypeGuard

NOISE = 0.10
"""Two runs of the same code on two shared cores differ by up to so much."""
SMALL_MIB = 10.0
"""Memory that comes and goes with the allocator."""
SMALL_MICROS = 20.0
"""CPU below this is a rounding error of the kernel's accounting, not a figure."""
HIGHER, LOWER = 1, -1
DIRECTIONS = {
    "ordersPerSecond": HIGHER,
    "purchasesPerSecond": HIGHER,
    "answersPerSecond": HIGHER,
    "ratio": HIGHER,
    "p50Ms": LOWER,
    "p99Ms": LOWER,
    "errors": LOWER,
    "cpuGrowth": LOWER,
    "idleCores.total": LOWER,
    "backOnSaleMs.median": LOWER,
    "backOnSaleMs.worst": LOWER,
    "kibPerClient": LOWER,
}
MEMORY = frozenset({"mibAfterOrders", "mibAfterPurchases", "peakMiB", "waitingMiB", "gatewayMiB"})
"""Members that hold MiB by process."""
CONTEXT = ("bench", "machine", "servers", "load")
UNJUDGED_CONTEXT = {"machine.loadBefore"}


def compare(before: Mapping[str, Any], after: Mapping[str, Any]) -> tuple[list[str], bool]:
    """(lines to show, whether anything got worse by more than the noise)."""
    old, new = dict(_flat(before)), dict(_flat(after))
    lines = [
        f"not the same {name}: {old.get(name)} -> {new.get(name)}" for name in _differs(old, new)
    ]
    lines.append(f"{'figure':<58} {'before':>12} {'after':>12} {'change':>8}")
    worse = False
    for name, value in new.items():
        earlier = old.get(name)
        if name.split(".")[0] in CONTEXT or not (_is_number(value) and _is_number(earlier)):
            continue
        verdict = judge(name, earlier, value)
        worse = worse or verdict == "worse"
        change = f"{(value / earlier - 1) * 100:+.1f}%" if earlier else ""
        lines.append(f"{name:<58} {earlier:>12} {value:>12} {change:>8} {verdict}".rstrip())
    return lines, worse


def judge(name: str, before: float, after: float) -> str:
    """`better`, `worse`, or nothing: within the noise, or without a known direction."""
    direction = _direction(name)
    if direction == 0:
        return ""
    if _is_cpu(name) and max(before, after) < SMALL_MICROS:
        return ""
    if _is_memory(name) and abs(after - before) < SMALL_MIB:
        return ""
    change = (after - before) * direction
    if abs(change) <= NOISE * abs(before):
        return ""
    return "better" if change > 0 else "worse"


def _direction(name: str) -> int:
    if name.startswith("baseline.") and not name.endswith(".ratio"):
        return 0  # The yardstick is not ours to judge.
    if _is_cpu(name) or _is_memory(name):
        return LOWER
    if name.endswith("ratio") and not name.startswith("baseline."):
        return LOWER  # Of a large side to a small one: growth.
    *_, member, figure = ("", *name.split("."))
    return DIRECTIONS.get(f"{member}.{figure}", DIRECTIONS.get(figure, 0))


def _is_memory(name: str) -> bool:
    return any(part in MEMORY for part in name.split("."))


def _is_cpu(name: str) -> bool:
    return "cpuMicros" in name and "client" not in name


def _differs(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    names = [name for name in (*old, *new) if name.split(".")[0] in CONTEXT]
    kept = dict.fromkeys(name for name in names if name not in UNJUDGED_CONTEXT)
    return [name for name in kept if old.get(name) != new.get(name)]


def _flat(value: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, inner in value.items():
        if isinstance(inner, Mapping):
            yield from _flat(inner, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", inner


def _is_number(value: object) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool)
