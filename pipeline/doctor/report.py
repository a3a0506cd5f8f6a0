"""What the doctor says: clips counted beside the published numbers, and findings by severity."""

import textwrap
from collections import Counter
from dataclasses import dataclass
from typing import Any

from pipeline.doctor.kinds import Finding, Severity
from pipeline.doctor.tables import WIDTH, Count, count_lines
from pipeline.errors import counted


@dataclass(frozen=True, kw_only=True)
class DoctorReport:
    """A data set, checked. facts: what was looked at, in lines. is_deep: whether clips were opened."""

    dataset: str
    root: str
    class_names: tuple[str, ...]
    counts: tuple[Count, ...]
    findings: tuple[Finding, ...]
    facts: tuple[str, ...]
    is_deep: bool

    @property
    def is_wrong(self) -> bool:
        """Whether there is an error or a warning; notes alone are none."""
        return any(finding.severity is not Severity.NOTE for finding in self.findings)

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain JSON values, with every clip concerned."""
        return {
            "dataset": self.dataset,
            "root": self.root,
            "deep": self.is_deep,
            **{f"{severity}s": many for severity, many in self._totals().items()},
            "findings": [
                {
                    "kind": finding.kind,
                    "severity": str(finding.severity),
                    "what": finding.what,
                    "cases": list(finding.cases),
                    "do": finding.remedy,
                }
                for finding in self.findings
            ],
            "class_names": list(self.class_names),
            "counts": [count.to_dict() for count in self.counts],
            "facts": list(self.facts),
        }

    def lines(self) -> list[str]:
        """For people: what was looked at, the table, then one finding after the other, worst first."""
        lines = [
            f"{self.dataset} at {self.root}",
            *(line for fact in self.facts for line in _wrapped(fact, "  ")),
        ]
        lines += ["", *count_lines(self.counts, self.class_names)] if self.counts else []
        for severity in Severity:
            found = [finding for finding in self.findings if finding.severity is severity]
            if found:
                lines += ["", f"{str(severity).upper()}S"]
            for finding in found:
                lines += _wrapped(f"{finding.kind}  {finding.sentence()}", "  ")
                lines += _wrapped(f"do: {finding.remedy}", "      ")
        totals = self._totals()
        lines.append("")
        if not self.is_deep:
            lines.append("Clips were not opened; --deep opens every one.")
        errors, warnings = (
            counted(totals[severity], str(severity)) for severity in (Severity.ERROR, Severity.WARNING)
        )
        return [*lines, f"{errors}, {warnings}"]

    def _totals(self) -> dict[Severity, int]:
        found = Counter(finding.severity for finding in self.findings)
        return {severity: found[severity] for severity in Severity}


def _wrapped(text: str, indent: str) -> list[str]:
    """A text in lines of the report's width, continued below its first word."""
    return textwrap.wrap(
        text,
        width=WIDTH,
        initial_indent=indent,
        subsequent_indent=indent + "    ",
        break_long_words=False,
        break_on_hyphens=False,
    )
