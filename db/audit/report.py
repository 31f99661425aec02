"""What an audit saw: per rule the rows that break it, for people and for machines."""

from dataclasses import dataclass
from typing import Any


class AuditFailed(AssertionError):
    """At least one rule is broken; the text names rules and rows."""


@dataclass(frozen=True, slots=True)
class BrokenRow:
    """A row that breaks a rule: what is wrong with it, and its columns as plain JSON values."""

    check: str
    row: dict[str, Any]


@dataclass(frozen=True, slots=True)
class RuleVerdict:
    """A rule and the rows that break it (none: it holds). `cut`: there are more rows than shown."""

    id: int
    sentence: str
    findings: tuple[BrokenRow, ...]
    cut: bool = False
    note: str | None = None
    """What a reader should know beside the verdict."""


@dataclass(frozen=True, slots=True)
class AuditReport:
    """What the audit saw, and how long it looked."""

    verdicts: tuple[RuleVerdict, ...]
    quiet: bool
    seconds: float

    @property
    def broken(self) -> list[int]:
        """Ids of the rules that do not hold."""
        return [verdict.id for verdict in self.verdicts if verdict.findings]

    @property
    def ok(self) -> bool:
        """Whether every rule holds."""
        return not self.broken

    def require_ok(self) -> None:
        """Raise AuditFailed unless every rule holds."""
        if not self.ok:
            raise AuditFailed(self.to_text())

    def to_text(self) -> str:
        """For people: one line per rule, then the rows that break it."""
        lines = []
        for verdict in self.verdicts:
            lines.append(
                f"{'BROKEN' if verdict.findings else 'ok':<7}{verdict.id}. {verdict.sentence}"
            )
            if verdict.note:
                lines.append(f"       note: {verdict.note}")
            for finding in verdict.findings:
                row = ", ".join(f"{name}={value}" for name, value in finding.row.items())
                lines.append(f"         {finding.check}: {row}")
            if verdict.cut:
                lines.append("         … and more")
        return "\n".join(lines)

    def to_json(self) -> dict[str, Any]:
        """For machines: plain JSON values, camelCase."""
        return {
            "ok": self.ok,
            "quiet": self.quiet,
            "seconds": round(self.seconds, 3),
            "rules": [
                {
                    "id": verdict.id,
                    "sentence": verdict.sentence,
                    "ok": not verdict.findings,
                    "findings": [{"check": one.check, "row": one.row} for one in verdict.findings],
                    "cut": verdict.cut,
                    "note": verdict.note,
                }
                for verdict in self.verdicts
            ],
        }
