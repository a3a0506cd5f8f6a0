"""What the doctor says: clips counted beside the published numbers, and findings by severity."""

import textwrap
from collections import Counter
from dataclasses import dataclass
from typing import Any

from pipeline.doctor.counts import class_counts, num_clips, published_classes
from pipeline.doctor.kinds import Finding, Severity
from pipeline.doctor.material import Material
from pipeline.errors import counted
from pipeline.types import Split

_WIDTH = 110
_SHORT_NAME, _SHORTER_NAME, _MANY_CLASSES = 9, 8, 7


@dataclass(frozen=True, kw_only=True)
class Count:
    """Clips of a split of a fold: in all, by class, and as published; None where that is not known."""

    fold: str
    split: Split
    num_clips: int
    classes: tuple[int, ...]
    published: int | None
    published_classes: tuple[int, ...] | None


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
            "counts": [
                {
                    "fold": count.fold,
                    "split": count.split.name.lower(),
                    "clips": count.num_clips,
                    "classes": list(count.classes),
                    "published": count.published,
                    "published_classes": None
                    if count.published_classes is None
                    else list(count.published_classes),
                }
                for count in self.counts
            ],
            "facts": list(self.facts),
        }

    def lines(self) -> list[str]:
        """For people: what was looked at, the table, then one finding after the other, worst first."""
        lines = [
            f"{self.dataset} at {self.root}",
            *(line for fact in self.facts for line in _wrapped(fact, "  ")),
        ]
        lines += ["", *self._table()]
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

    def _table(self) -> list[str]:
        """Clips by fold, split and class; published ones stand below where they differ."""
        is_published = any(count.published is not None for count in self.counts)
        classes = self.class_names if len(self.class_names) <= _MOST_CLASSES else ()
        heads = ["fold", "split", "clips", *(["published"] if is_published else [])]
        letters = _SHORT_NAME if len(classes) <= _MANY_CLASSES else _SHORTER_NAME
        rows = [[*heads, *(name[:letters] for name in classes)]]
        for count in self.counts:
            known = ["-" if count.published is None else str(count.published)] if is_published else []
            first = [count.fold, count.split.name.lower(), str(count.num_clips), *known]
            rows.append([*first, *map(str, count.classes[: len(classes)])])
            if count.published_classes not in (None, count.classes):
                rows.append(["", "", "", "classes:", *map(str, count.published_classes or ())])
        widths = [max(len(row[place]) for row in rows) for place in range(len(rows[0]))]
        return [
            "  ".join(
                cell.ljust(width) if place < _NUM_NAMES else cell.rjust(width)
                for place, (cell, width) in enumerate(zip(row, widths, strict=True))
            ).rstrip()
            for row in rows
        ]


_NUM_NAMES = 2
"""Columns of the table that hold names, not numbers."""

_MOST_CLASSES = 11
"""MAFW's: of more, clips by class are in the JSON document only."""


def count_clips(material: Material) -> tuple[Count, ...]:
    """The report's table: one row for each split of each fold that has a list."""
    published = material.published
    rows = []
    for (fold, split), lists in sorted(material.groups.items()):
        known = None if published is None else published.splits.get(fold)
        place = {Split.TRAIN: 0, Split.TEST: 1}.get(split)
        classes = None if published is None else published_classes(published, fold, split)
        rows.append(
            Count(
                fold=fold,
                split=split,
                num_clips=num_clips(lists),
                classes=tuple(class_counts(lists, material.class_names)),
                published=None if known is None or place is None else known[place],
                published_classes=None if classes is None else tuple(classes),
            )
        )
    return tuple(rows)


def _wrapped(text: str, indent: str) -> list[str]:
    """A text in lines of the report's width, continued below its first word."""
    return textwrap.wrap(
        text,
        width=_WIDTH,
        initial_indent=indent,
        subsequent_indent=indent + "    ",
        break_long_words=False,
        break_on_hyphens=False,
    )
