"""Result of the checks of a dataset: counts of clips with the published counts, and findings."""

from collections import Counter
from dataclasses import dataclass

from pipeline.doctor.finding import Finding
from pipeline.doctor.finding_kinds import Severity
from pipeline.doctor.split_counts import Count


@dataclass(frozen=True, kw_only=True)
class DoctorReport:
    """Result of the checks. facts: lines on lists and clips. is_deep: whether clips were decoded."""

    dataset: str
    root: str
    class_names: tuple[str, ...]
    counts: tuple[Count, ...]
    findings: tuple[Finding, ...]
    facts: tuple[str, ...]
    is_deep: bool

    @property
    def is_wrong(self) -> bool:
        """Whether there is an error or a warning. Notes do not count."""
        return any(finding.severity is not Severity.NOTE for finding in self.findings)

    @property
    def totals(self) -> dict[Severity, int]:
        """Number of findings of each severity, the worst first."""
        found = Counter(finding.severity for finding in self.findings)
        return {severity: found[severity] for severity in Severity}
