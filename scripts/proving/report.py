"""The report of `scripts/prove`: what was broken on purpose, what came of it, in lines that a person reads.

In: pytest's JUnit files, the notes of crowds (JSON lines). Out: text; whether everything held.
Must stay true: a part that ran no test counts as failed; every failure is named with its first line.
"""

import json
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

NOT_HELD = frozenset({"failure", "error", "skipped"})
"""What did not run has proven nothing."""
TESTS_FAILED = 1
"""pytest's exit code when all tests ran and some failed."""
ENDS = ("ok", "refused", "accepted", "unknown")


@dataclass(slots=True)
class ProofPart:
    """The tests of one module under one seed."""

    name: str
    seed: int
    passed: int = 0
    seconds: float = 0.0
    failures: list[str] = field(default_factory=list)

    @property
    def held(self) -> bool:
        """Whether it ran, and everything in it held."""
        return self.passed > 0 and not self.failures


def parts_of(junit: Path, seeds: Sequence[int], exit_code: int) -> list[ProofPart]:
    """The parts of one run of pytest, by module and seed. Raises OSError when it left no file.

    A test that runs once for each seed has it in its name's brackets; everything else ran under the first. A run
    that did not come to its end, or failed without naming a test, is a part that did not hold.
    """
    parts: dict[tuple[str, int], ProofPart] = {}
    # Our own pytest wrote the file a moment ago: nothing hostile can be in it.
    for case in ElementTree.parse(junit).iter("testcase"):  # noqa: S314
        module = case.get("classname", "").rpartition("test_")[2].replace("_", " ")
        seed = _seed_of(case.get("name", ""), seeds)
        part = parts.setdefault((module, seed), ProofPart(module, seed))
        part.seconds += float(case.get("time", "0"))
        bad = [found for found in case if found.tag in NOT_HELD]
        if bad:
            reason = (bad[0].get("message") or "").splitlines() or [""]
            part.failures.append(f"{case.get('name')}: {reason[0]}")
        else:
            part.passed += 1
    found = list(parts.values())
    if exit_code and (exit_code != TESTS_FAILED or all(part.held for part in found)):
        found.append(ProofPart("the run", seeds[0], failures=[f"pytest ended with {exit_code}"]))
    return found


def _seed_of(name: str, seeds: Sequence[int]) -> int:
    values = name.rpartition("[")[2].rstrip("]").split("-")
    return next((seed for seed in seeds if str(seed) in values), seeds[0])


def notes_of(lines: Iterable[str]) -> list[str]:
    """What each crowd was told, in a line each."""
    told = []
    for line in lines:
        note = json.loads(line)
        ends = ", ".join(f"{note[end]:,} {end}" for end in ENDS if note.get(end))
        told.append(f"seed {note['seed']:<10} {note['what']}: {ends}")
    return told


def render(parts: Sequence[ProofPart], notes: Sequence[str], seconds: float, where: str) -> str:
    """The whole report; `where`: the servers that it ran on."""
    lines = ["", where, "", f"{'':7}{'part':<22}{'seed':>11}{'faults':>8}{'seconds':>9}"]
    for part in parts:
        verdict = "holds" if part.held else "BROKEN"
        lines.append(
            f"{verdict:<7}{part.name:<22}{part.seed:>11}{part.passed + len(part.failures):>8}{part.seconds:>9.0f}"
        )
        lines += [f"         {failure}" for failure in part.failures]
    if notes:
        lines += ["", "what clients were told (each answer held against the database):"]
        lines += [f"  {note}" for note in notes]
    held = bool(parts) and all(part.held for part in parts)
    seeds = ", ".join(str(seed) for seed in sorted({part.seed for part in parts}))
    ending = "0 lost, 0 oversold, 0 paid twice" if held else "the promise is BROKEN"
    return "\n".join([*lines, "", f"{ending}; seeds {seeds}; {seconds:.0f} s"])
