"""Output for the verification and the repair of a cache."""

from typing import Any

from pipeline.display.json_values import field_values, to_json_values
from pipeline.display.text import lines
from pipeline.errors import counted
from pipeline.repair import RepairReport
from pipeline.verify import VerifyReport

_LISTED = 10
"""Most findings of `cache verify` on a terminal."""


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
        again.note or f"{counted(len(again.clip_ids), 'clip')} recomputed, {difference}",
        ", ".join(f"{count} {name.replace('_', ' ')}" for name, count in report.counts.items()),
        f"{report.place}: {counted(len(report.findings), 'finding') if report.findings else 'nothing wrong'}",
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
