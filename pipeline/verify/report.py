"""Result of the check of a cache."""

from dataclasses import dataclass

from pipeline.store.location import Location


@dataclass(frozen=True, kw_only=True)
class Finding:
    """Problem of a cache. where: array or check. what: the clip or count, and the problem."""

    where: str
    what: str

    def __str__(self) -> str:
        return f"{self.where}: {self.what}"


@dataclass(frozen=True, kw_only=True)
class Recomputed:
    """Result of computing clips again. largest_difference: as a fraction of the feature's norm.

    note: why nothing was computed again; empty if something was.
    """

    clip_ids: tuple[str, ...] = ()
    largest_difference: float = 0.0
    findings: tuple[Finding, ...] = ()
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class VerifyReport:
    """Result of the check. findings: on stored values and on clips that were computed again."""

    place: Location
    counts: dict[str, int]
    findings: tuple[Finding, ...]
    recomputed: Recomputed
    warnings: tuple[str, ...]
