"""The words of a soak's result: a verdict with its reasons, and a table that a person reads.

In: the result as plain JSON. Out: reasons why it is not fine; lines.
Must stay true: pure; every reason names its figure.
"""

from collections.abc import Mapping, Sequence
from typing import Any

LAG_SECONDS_MAX = 2.0
"""Issue: outbox lag p99 under 2 s."""
SERVERS = ("mysql", "rabbitmq", "redis", "redis-data", "supervisord", "port")
FINE = frozenset({"200", "201", "202", "204", "replayed", "stream 200", "poll 200"})
EXPECTED = ("409 ", "429 ")
"""Refusals that a steady sale brings: sold out, a seat that is locked."""


def is_error(answer: str) -> bool:
    """Whether a counted answer is one that a sound system does not give."""
    return answer not in FINE and not answer.startswith(EXPECTED)


def judged(name: str) -> bool:
    """Whether a series' rise is a leak: the servers' own memory follows their tables and caches, and is only told."""
    kind, _, of = name.partition(" ")
    return not (kind == "memory" and of in SERVERS)


def reasons(result: Mapping[str, Any]) -> list[str]:
    """Why the soak did not end well; none when it did."""
    found = []
    if not result["audit"]["ok"]:
        found.append(f"the audit found broken rules: {result['audit']['broken']}")
    if result["history"]["lies"]:
        found.append(f"{result['history']['lies']} times a client was told what is not so")
    if result["deadLetters"]:
        found.append(f"{result['deadLetters']} dead letters")
    if result["restarts"]:
        found.append(f"{result['restarts']} processes ended or were started again")
    if result["outboxLag"]["p99Seconds"] >= LAG_SECONDS_MAX:
        found.append(f"outbox lag p99 {result['outboxLag']['p99Seconds']} s")
    found += [f"{count} x {what}" for what, count in result["errors"].items()]
    found += [f"{count} x {what}" for what, count in result["odd"].items()]
    if result["judged"]:
        found += [
            f"not flat: {one['name']} {one['second']} -> {one['last']}"
            for one in result["trends"]
            if not one["flat"] and judged(one["name"])
        ]
    return found


def render(result: Mapping[str, Any]) -> str:
    """What a person reads."""
    lag, history = result["outboxLag"], result["history"]
    orders = history["ends"].get("place ok", 0)
    lines = [
        f"{result['minutes']:.1f} minutes, {result['visits']:,} visits, {orders:,} orders "
        f"({orders / (result['minutes'] * 60):.0f}/s); held back {result['heldBack']:,}; "
        f"other work on this machine kept {result['othersCores']} cores busy",
        f"{history['operations']:,} operations held against the database: {history['lies']} lies; "
        f"audit {'clean' if result['audit']['ok'] else 'BROKEN'} ({result['audit']['seconds']} s); "
        f"dead letters {result['deadLetters']}",
        f"outbox lag p50 {lag['p50Seconds']} s, p99 {lag['p99Seconds']} s, max {lag['maxSeconds']} s",
        "",
        f"{'':6}{'series':<30}{'2nd quarter':>12}{'last':>10}{'highest':>10}{'per hour':>10}",
        *(_line(one) for one in result["trends"]),
        "",
        *_costs(result["cpuMicrosPerVisit"]),
        "",
    ]
    lines += [f"! {reason}" for reason in result["reasons"]]
    ending = "sound and flat" if result["judged"] else "sound (too short to say whether it is flat)"
    return "\n".join([*lines, ending if result["ok"] else "NOT as it should be"])


def _line(one: Mapping[str, Any]) -> str:
    mark = "flat" if one["flat"] else ("RISES" if judged(one["name"]) else "grows")
    return (
        f"{mark:<6}{one['name']:<30}{one['second']:>12,.1f}{one['last']:>10,.1f}"
        f"{one['highest']:>10,.1f}{one['percentPerHour']:>9.1f}%"
    )


def _costs(costs: Mapping[str, Sequence[float]]) -> list[str]:
    lines = ["CPU microseconds per visit: second quarter, last"]
    return lines + [
        f"      {name:<30}{both[0]:>12,.0f}{both[1]:>10,.0f}" for name, both in costs.items()
    ]
