"""The candidates of a search, and its result."""

from dataclasses import dataclass
from pathlib import Path

from trainer.ablate.run import AblateReport
from trainer.ablate.search_spec import SearchSpec


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A candidate with its validation results.

    Attributes:
        name: Name of its row.
        settings: ``section.key=value`` that it changes.
        values: For each rung that it reached, the mean of the metric over folds and seeds; None if a run of
            it has no finished outcome.
    """

    name: str
    settings: tuple[str, ...]
    values: tuple[float | None, ...]


@dataclass(frozen=True, kw_only=True)
class SearchResult:
    """Result of a search.

    Attributes:
        spec: The search.
        out: Its directory.
        candidates: All candidates, those of the last rung first, each rung in the order of its metric.
        chosen: The chosen candidate.
        num_runs: Runs with an outcome, on validation clips.
        is_cut_short: Whether the time ended before all runs of the search.
        final: Sweep of the preset and the chosen candidate on test clips.
    """

    spec: SearchSpec
    out: Path
    candidates: tuple[Candidate, ...]
    chosen: Candidate
    num_runs: int
    is_cut_short: bool
    final: AblateReport
