"""The outcome of a check, for people and as JSON."""

from dataclasses import dataclass
from typing import Any

from pipeline.store.place import Place

_LISTED = 10


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing that is wrong. where: array or check. what: the clip or count, and the trouble."""

    where: str
    what: str

    def __str__(self) -> str:
        return f"{self.where}: {self.what}"


@dataclass(frozen=True, kw_only=True)
class Recomputed:
    """The outcome of computing clips again. largest_difference: relative to the feature's norm.

    note: why nothing was computed again, where nothing was.
    """

    clip_ids: tuple[str, ...] = ()
    largest_difference: float = 0.0
    findings: tuple[Finding, ...] = ()
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class VerifyReport:
    """A cache, checked. findings: of the stored values and of the clips computed again."""

    place: Place
    counts: dict[str, int]
    findings: tuple[Finding, ...]
    recomputed: Recomputed
    warnings: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain JSON values."""
        return {
            "cache": str(self.place),
            "counts": self.counts,
            "findings": [str(finding) for finding in self.findings],
            "recomputed": list(self.recomputed.clip_ids),
            "largest_difference": self.recomputed.largest_difference,
            "note": self.recomputed.note,
            "warnings": list(self.warnings),
        }

    def lines(self) -> list[str]:
        """For people: the first findings, and what was computed again."""
        again, more = self.recomputed, len(self.findings) - _LISTED
        difference = f"largest difference {again.largest_difference:.2g} of a feature's norm"
        return [
            *(f"!! {warning}" for warning in self.warnings),
            *(f"WRONG  {finding}" for finding in self.findings[:_LISTED]),
            *([f"and {more} more findings; --json lists all"] if more > 0 else []),
            again.note or f"{len(again.clip_ids)} clips computed again, {difference}",
            ", ".join(f"{count} {name.replace('_', ' ')}" for name, count in self.counts.items()),
            f"{self.place}: {f'{len(self.findings)} findings' if self.findings else 'nothing wrong'}",
        ]
