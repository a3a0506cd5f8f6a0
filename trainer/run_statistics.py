"""Many runs, one row of a table: spread over folds and seeds, the mean of folds, the pooled folds.

Two numbers go by the name of a five-fold result, and both stand here under their own: `mean_of_folds`
averages the folds' values, `pooled` counts all folds' clips in one confusion matrix, and is there only where
no clip is in several of them: it would count more than once.
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
    """mean: of `n` values. std: their standard deviation, n - 1 in the divisor; None for one value."""

    mean: float
    std: float | None
    n: int

    @classmethod
    def of(cls, values: Sequence[float]) -> "Spread":
        """The spread of one value or more."""
        std = statistics.stdev(values) if len(values) > 1 else None
        return cls(mean=statistics.fmean(values), std=std, n=len(values))


@dataclass(frozen=True, kw_only=True)
class Score:
    """What one run says of the test clips of its fold."""

    fold: str
    seed: int
    metrics: Metrics


@dataclass(frozen=True, kw_only=True)
class Summary:
    """The runs of one setting.

    by_fold: each fold's spread over its seeds. mean_of_folds: over the folds, each fold counting with
    the mean of its seeds. over_seeds: over the seeds, each counting with the mean of its folds.
    pooled: by seed, all folds' clips in one matrix; empty where folds share clips. The last two take
    complete seeds only, those with a run on every fold; without any they are empty.
    """

    num_runs: int
    by_fold: Mapping[str, Row]
    mean_of_folds: Row
    over_seeds: Row
    pooled: Mapping[int, Metrics]

    @property
    def over_seeds_pooled(self) -> Row:
        """The pooled numbers, spread over the seeds."""
        return _spread([_numbers(metrics) for metrics in self.pooled.values()])


def summarise(scores: Sequence[Score], *, disjoint: bool) -> Summary:
    """One row of one run or more. disjoint: no clip is measured in several of the folds.

    Raises ConfigError for a fold and seed given twice, or other classes.
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
    """WAR, UAR and the recall of each class that has clips."""
    recalls = zip(metrics.class_names, metrics.recalls, strict=True)
    present = {f"recall/{name}": recall for name, recall in recalls if recall is not None}
    return {"war": metrics.war, "uar": metrics.uar, **present}


def _spread(rows: Sequence[Mapping[str, float]]) -> Row:
    """The spread of each number over the rows that have it."""
    names = dict.fromkeys(name for row in rows for name in row)
    return {name: Spread.of([row[name] for row in rows if name in row]) for name in names}


def _means(row: Row) -> dict[str, float]:
    return {name: spread.mean for name, spread in row.items()}
