"""Statistics of many runs for a row of a table: spread over folds and seeds, mean of folds, pooled folds.

Two numbers are called "five-fold result". `mean_of_folds` is the mean of the folds' values. `pooled` counts
the clips of all folds in one confusion matrix. It exists only if no clip is in several folds.
"""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pipeline.errors import ConfigError
from trainer.metrics import Metrics, merged

Row = Mapping[str, "Spread"]
"""A spread for each of ``war``, ``uar`` and ``recall/CLASS``."""


@dataclass(frozen=True, kw_only=True)
class Spread:
    """Mean and standard deviation (divisor n - 1) of `n` values; std is None for one value."""

    mean: float
    std: float | None
    n: int

    @classmethod
    def of(cls, values: Sequence[float]) -> "Spread":
        """Return mean and standard deviation of one value or more."""
        std = statistics.stdev(values) if len(values) > 1 else None
        return cls(mean=statistics.fmean(values), std=std, n=len(values))


@dataclass(frozen=True, kw_only=True)
class Score:
    """Metrics of a run on the test clips of its fold."""

    fold: str
    seed: int
    metrics: Metrics


@dataclass(frozen=True, kw_only=True)
class Summary:
    """The runs of one setting.

    Attributes:
        by_fold: Spread over the seeds of each fold.
        mean_of_folds: Spread over the folds, each with the mean of its seeds.
        over_seeds: Spread over the seeds, each with the mean of its folds. Only seeds with a run on every
            fold count.
        pooled: By seed with a run on every fold: the clips of all folds in one matrix. Empty if folds share
            clips.
    """

    num_runs: int
    by_fold: Mapping[str, Row]
    mean_of_folds: Row
    over_seeds: Row
    pooled: Mapping[int, Metrics]

    @property
    def over_seeds_pooled(self) -> Row:
        """Spread of the pooled numbers over the seeds."""
        return _spread([_numbers(metrics) for metrics in self.pooled.values()])


def summarise(scores: Sequence[Score], *, disjoint: bool) -> Summary:
    """Summarise one run or more of a setting. `disjoint` means that no clip is in several folds.

    Raises ConfigError if a fold and seed is given twice, or classes differ.
    """
    runs = {(score.fold, score.seed): score.metrics for score in scores}
    if len(runs) < len(scores):
        twice = next(
            s for n, s in enumerate(scores) if (s.fold, s.seed) in {(t.fold, t.seed) for t in scores[:n]}
        )
        msg = f"Fold '{twice.fold}' with seed {twice.seed} is given twice; give each run once."
        raise ConfigError(msg)
    merged(list(runs.values()))
    folds, seeds = dict.fromkeys(fold for fold, _ in runs), dict.fromkeys(seed for _, seed in runs)
    by_fold = {fold: _spread([_numbers(m) for (f, _), m in runs.items() if f == fold]) for fold in folds}
    complete = [seed for seed in seeds if all((fold, seed) in runs for fold in folds)]
    means = [_means(_spread([_numbers(runs[fold, seed]) for fold in folds])) for seed in complete]
    return Summary(
        num_runs=len(runs),
        by_fold=by_fold,
        mean_of_folds=_spread([_means(row) for row in by_fold.values()]),
        over_seeds=_spread(means),
        pooled={seed: merged([runs[fold, seed] for fold in folds]) for seed in complete if disjoint},
    )


def _numbers(metrics: Metrics) -> dict[str, float]:
    """Return WAR, UAR and the recall of each class that has clips."""
    recalls = zip(metrics.class_names, metrics.recalls, strict=True)
    present = {f"recall/{name}": recall for name, recall in recalls if recall is not None}
    return {"war": metrics.war, "uar": metrics.uar, **present}


def _spread(rows: Sequence[Mapping[str, float]]) -> Row:
    """Return the spread of each number over the rows that have it."""
    names = dict.fromkeys(name for row in rows for name in row)
    return {name: Spread.of([row[name] for row in rows if name in row]) for name in names}


def _means(row: Row) -> dict[str, float]:
    return {name: spread.mean for name, spread in row.items()}
