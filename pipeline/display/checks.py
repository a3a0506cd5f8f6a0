"""Output for checks of a dataset or a cache, and for the repair of a cache."""

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
from pipeline.repair import RepairReport
from pipeline.verify import VerifyReport

_CASES = 4
"""Most cases of a finding on a terminal."""
_LISTED = 10
"""Most findings of `cache verify` on a terminal."""


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
    return f"{finding.what}: {some(finding.cases, _CASES)}"


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


@to_json_values.register
def _(report: VerifyReport) -> dict[str, Any]:
    again = report.recomputed
    return {
        "cache": str(report.place),
        "counts": report.counts,
        "findings": [str(finding) for finding in report.findings],
        "recomputed": list(again.clip_ids),
        **field_values(again, "largest_difference", "note"),
        "warnings": list(report.warnings),
    }


@lines.register
def _(report: VerifyReport) -> list[str]:
    """The first findings, and the clips that were recomputed."""
    again, more = report.recomputed, len(report.findings) - _LISTED
    difference = f"largest difference {again.largest_difference:.2g} of a feature's norm"
    return [
        *(f"!! {warning}" for warning in report.warnings),
        *(f"WRONG  {finding}" for finding in report.findings[:_LISTED]),
        *([f"and {more} more findings; --json lists all"] if more > 0 else []),
        again.note or f"{len(again.clip_ids)} clips recomputed, {difference}",
        ", ".join(f"{count} {name.replace('_', ' ')}" for name, count in report.counts.items()),
        f"{report.place}: {f'{len(report.findings)} findings' if report.findings else 'nothing wrong'}",
    ]


@lines.register
def _(report: RepairReport) -> list[str]:
    """Each block that was recomputed, and the reason."""
    blocks = counted(report.num_blocks, "block")
    again = f"{len(report.repaired)} of {blocks} recomputed, nothing damaged any more"
    if report.left:
        again = f"{len(report.repaired)} of {blocks} recomputed, {len(report.left)} still damaged"
    whole = not report.repaired and not report.left
    return [
        *(f"note: {note}" for note in report.notes),
        *(f"repaired  {block}" for block in report.repaired),
        *(f"!! not repaired, files of its clips are missing: {block}" for block in report.left),
        *(
            f"!! clip '{clip}' has no file; put it back, or give the dataset's path by --root"
            for clip in report.gone
        ),
        *(f"!! the file of clip '{clip}' has changed since extraction" for clip in report.changed),
        *(f"!! features lost: {clip}" for clip in report.lost),
        f"{report.cache}: {f'nothing damaged in {blocks}' if whole else again}",
    ]
