"""Output for checks of a dataset. Nothing here needs torch, so that `data check` starts without it.

Other parts of the text are in:

``pipeline.doctor.*``              texts of findings, in the module of each check
``pipeline.doctor.finding_kinds``  remedies, after ``do:``
``pipeline.doctor.all_checks``     facts, above the table; ``decode_checks`` adds those of ``--deep``
``pipeline.display.count_table``   the table of counts
"""

import textwrap
from typing import Any

from pipeline.display.count_table import WIDTH, count_lines
from pipeline.display.json_values import field_values, to_json_values
from pipeline.display.text import lines
from pipeline.doctor.finding import Finding
from pipeline.doctor.finding_kinds import Severity
from pipeline.doctor.report import DoctorReport
from pipeline.doctor.split_counts import Count
from pipeline.errors import counted, some

_CASES = 4
"""Most cases of a finding on a terminal."""
_WORDS, _FIRST_WORDS, _LAST_WORDS = 60, 20, 6
"""Most words of a case on a terminal, and the words of a longer one that are shown."""


@to_json_values.register
def _(count: Count) -> dict[str, Any]:
    return {
        "fold": count.fold,
        "split": count.split.name.lower(),
        "clips": count.num_clips,
        **field_values(count, "classes", "labels", "published", "published_classes"),
    }


@to_json_values.register
def _(finding: Finding) -> dict[str, Any]:
    return {
        "kind": finding.kind,
        "severity": str(finding.severity),
        **field_values(finding, "what", "cases"),
        "do": finding.remedy,
    }


@to_json_values.register
def _(report: DoctorReport) -> dict[str, Any]:
    """The report with every affected clip."""
    return {
        **field_values(report, "dataset", "root"),
        "deep": report.is_deep,
        **{f"{severity}s": many for severity, many in report.totals.items()},
        **field_values(report, "findings", "class_names", "counts", "facts"),
    }


@lines.register
def _(report: DoctorReport) -> list[str]:
    """The facts, the table, then one finding after the other, worst first."""
    shown = [
        f"{report.dataset} at {report.root}",
        *(line for fact in report.facts for line in _wrapped(fact, "  ")),
    ]
    shown += ["", *count_lines(report.counts, report.class_names)] if report.counts else []
    for severity in Severity:
        found = [finding for finding in report.findings if finding.severity is severity]
        if found:
            shown += ["", f"{str(severity).upper()}S"]
        for finding in found:
            shown += _wrapped(f"{finding.kind}  {_sentence(finding)}", "  ")
            shown += _wrapped(f"do: {finding.remedy}", "      ")
    shown.append("")
    if not report.is_deep:
        shown.append("Clips were not opened; --deep opens every one.")
    errors, warnings = (
        counted(report.totals[severity], str(severity)) for severity in (Severity.ERROR, Severity.WARNING)
    )
    return [*shown, f"{errors}, {warnings}"]


def _sentence(finding: Finding) -> str:
    """Return a finding in words, with the first few cases."""
    if not finding.cases:
        return finding.what
    return f"{finding.what}: {some(tuple(map(_shortened, finding.cases)), _CASES)}"


def _shortened(case: str) -> str:
    """Return a case without its middle if it is long, such as a set of thousands of equal clips."""
    words = case.split(" ")
    if len(words) <= _WORDS:
        return case
    return " ".join([*words[:_FIRST_WORDS], "...", *words[-_LAST_WORDS:]])


def _wrapped(text: str, indent: str) -> list[str]:
    """Return a text in lines of the report's width, with further lines indented more."""
    return textwrap.wrap(
        text,
        width=WIDTH,
        initial_indent=indent,
        subsequent_indent=indent + "    ",
        break_long_words=False,
        break_on_hyphens=False,
    )
