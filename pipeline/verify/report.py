"""The outcome of a check of a cache."""

from dataclasses import dataclass

from pipeline.store.location import Place


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
