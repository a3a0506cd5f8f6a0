"""Rows of a sweep against its base row, on the same folds, seeds and clips.

Letters: N clips.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from pipeline.errors import counted
from trainer.ablate.outcome import Outcome
from trainer.ablate.spec import METRICS, TRAIN
from trainer.ablate.sweep_request import SweepRequest
from trainer.baselines.settings import WITHOUT_SEED
from trainer.clip_predictions import ClipPredictions
from trainer.intervals import Interval
from trainer.paired_statistics import LEVEL, PairedClips, PairedRuns, holm, pair_clips, runs_needed

Pairs = Mapping[tuple[str, int], tuple[Outcome, Outcome]]
"""Outcome of the base row and of another one, by fold and seed."""

Predictions = Callable[[Outcome], ClipPredictions | None]
"""Returns the predictions of a finished run; None if it stored none."""


@dataclass(frozen=True, kw_only=True)
class RowDifference:
    """Difference of a metric between a row and the base row, from -1 to 1.

    Attributes:
        row: Name of the row.
        over_folds: Over folds, each with the mean of its seeds; None for one fold.
        over_seeds: Over the seeds with a pair on every fold, each with the mean of its folds; None if no seed
            has them.
        is_judged: Whether the spec asks for a verdict.
        adjusted_p: p value of the sign-flip test of `main`, corrected by Holm over the judged rows; None for
            rows that are not judged.
        equivalence_p: The same of the test of equivalence; None without a margin, too.
        verdict: Result in words; empty for rows that are not judged.
    """

    row: str
    over_folds: PairedRuns | None
    over_seeds: PairedRuns | None
    is_judged: bool
    adjusted_p: float | None = None
    equivalence_p: float | None = None
    verdict: str = ""

    @property
    def main(self) -> PairedRuns:
        """The statistics that intervals and verdict are of: over seeds, or over the folds of a single seed.

        Folds share training clips, so that differences over them depend on each other, and only those over
        seeds can give a verdict.
        """
        seeds, folds = self.over_seeds, self.over_folds
        if seeds is None or (seeds.num == 1 and folds is not None):
            assert folds is not None  # a row without a pair has no difference
            return folds
        return seeds

    @property
    def unit(self) -> str:
        """What `main` is over."""
        return "folds" if self.main is self.over_folds else "seeds"


@dataclass(frozen=True, kw_only=True)
class Comparisons:
    """All rows of a sweep against its base row.

    Attributes:
        base: Name of the base row.
        metric: Number that verdicts are about.
        margin: Largest difference that counts as none, 0 to 1; 0 for none.
        num_judged: Number of judged rows that have a pair.
        differences: By metric, the rows that have a pair of runs.
        clips: The same rows clip by clip; those whose runs stored their predictions.
        notes: Facts about pairs that could not be formed.
    """

    base: str
    metric: str
    margin: float
    num_judged: int
    differences: Mapping[str, tuple[RowDifference, ...]]
    clips: Mapping[str, PairedClips]
    notes: tuple[str, ...]


def compare_rows(
    request: SweepRequest, outcomes: Sequence[Outcome], predictions: Predictions
) -> Comparisons | None:
    """Compare the rows of a sweep with its base row.

    Args:
        request: Request of the sweep.
        outcomes: Outcomes so far.
        predictions: Predictions of a run.

    Returns:
        The comparisons; None if no row has a pair of runs.
    """
    spec = request.spec
    finished = {(o.row, o.fold, o.seed): o for o in outcomes if o.state == "finished"}
    notes: list[str] = []
    pairs_of: dict[str, Pairs] = {}
    for row in spec.rows:
        if row.name != spec.base_row.name:
            pairs, num_apart = _pairs(finished, spec.base_row.name, row.name, request)
            if num_apart:
                notes.append(
                    f"{row.name}: {counted(num_apart, 'pair')} left out, trained on other clips or in "
                    "another precision."
                )
            missing = len(request.folds) * len(request.seeds) - len(pairs) - num_apart
            if pairs and missing:
                notes.append(f"{row.name}: {counted(missing, 'pair')} missing, without two finished runs.")
            if pairs:
                pairs_of[row.name] = pairs
    if not pairs_of:
        return None
    judged = spec.verdicts or tuple(pairs_of)
    clips: dict[str, PairedClips] = {}
    for name, pairs in pairs_of.items():
        one, reason = _clips(pairs, request, predictions)
        if one is not None:
            clips[name] = one
        elif reason not in notes:
            notes.append(reason)
    differences = {}
    for metric in METRICS:
        found = [
            _difference(name, pairs, metric, request, is_judged=name in judged)
            for name, pairs in pairs_of.items()
        ]
        is_about = metric == spec.metric
        differences[metric] = _judged(found, spec.margin / 100, clips, metric) if is_about else tuple(found)
    return Comparisons(
        base=spec.base_row.name,
        metric=spec.metric,
        margin=spec.margin / 100,
        num_judged=sum(one.is_judged for one in differences[spec.metric]),
        differences=differences,
        clips=clips,
        notes=tuple(notes),
    )


def _pairs(
    finished: Mapping[tuple[str, str, int], Outcome], base: str, row: str, request: SweepRequest
) -> tuple[Pairs, int]:
    """Return the pairs of two rows, and the number of those that differ in training clips or precision."""
    methods = _methods(request)
    are_trained = methods[base] == methods[row] == TRAIN
    pairs: dict[tuple[str, int], tuple[Outcome, Outcome]] = {}
    num_apart = 0
    for fold in request.folds:
        for seed in request.seeds:
            both = finished.get((base, fold, seed)), finished.get((row, fold, seed))
            if both[0] is None or both[1] is None:
                continue
            if _are_comparable(both[0], both[1], are_trained=are_trained):
                pairs[fold, seed] = both[0], both[1]
            else:
                num_apart += 1
    return pairs, num_apart


def _are_comparable(one: Outcome, other: Outcome, *, are_trained: bool) -> bool:
    """Return whether two runs had the same clips and, if both rows `are_trained`, the same precision."""
    return one.usable_sha256 == other.usable_sha256 and (not are_trained or one.precision == other.precision)


def _difference(
    row: str, pairs: Pairs, metric: str, request: SweepRequest, *, is_judged: bool
) -> RowDifference:
    methods = _methods(request)
    if {methods[request.spec.base_row.name], methods[row]} <= WITHOUT_SEED:
        first = min(seed for _, seed in pairs)  # further seeds repeat the same number
        pairs = {key: pair for key, pair in pairs.items() if key[1] == first}
    gain = {key: _value(other, metric) - _value(base, metric) for key, (base, other) in pairs.items()}
    folds = list(dict.fromkeys(fold for fold, _ in gain))
    step = 1 / min(base.metrics().num_clips for base, _ in pairs.values())
    by_fold = [_mean(value for (fold, _), value in gain.items() if fold == name) for name in folds]
    by_seed = [_mean(gain[fold, seed] for fold in folds) for seed in _complete_seeds(pairs)]
    return RowDifference(
        row=row,
        over_folds=PairedRuns.of(by_fold, step) if len(folds) > 1 else None,
        over_seeds=PairedRuns.of(by_seed, step) if by_seed else None,
        is_judged=is_judged,
    )


def _judged(
    found: Sequence[RowDifference], margin: float, clips: Mapping[str, PairedClips], metric: str
) -> tuple[RowDifference, ...]:
    """Return the differences with corrected p values and verdicts."""
    judged = [one for one in found if one.is_judged]
    differ = holm([one.main.p_value for one in judged])
    equal = holm([one.main.equivalence_p(margin) for one in judged]) if margin else (None,) * len(judged)
    with_verdict = {
        one.row: replace(
            one,
            adjusted_p=p_value,
            equivalence_p=equivalence_p,
            verdict=_verdict(
                one, p_value, equivalence_p, margin, len(judged), interval_of(clips.get(one.row), metric)
            ),
        )
        for one, p_value, equivalence_p in zip(judged, differ, equal, strict=True)
    }
    return tuple(with_verdict.get(one.row, one) for one in found)


def interval_of(clips: PairedClips | None, metric: str) -> Interval | None:
    """Return the interval over clips of a metric; None without one."""
    if clips is None:
        return None
    return clips.war_interval if metric == "war" else clips.uar_interval


def _verdict(
    one: RowDifference,
    p_value: float,
    equivalence_p: float | None,
    margin: float,
    num_judged: int,
    over_clips: Interval | None,
) -> str:
    needed, num_seeds = runs_needed(num_judged), 0 if one.over_seeds is None else one.over_seeds.num
    if num_seeds < needed:
        return f"open: {counted(num_seeds, 'seed')}, a verdict needs {needed}"
    equal = f"within {100 * margin:g} points" if equivalence_p is not None and equivalence_p <= LEVEL else ""
    if p_value > LEVEL:
        return f"equal {equal}" if equal else "not shown"
    word = "higher" if one.main.mean > 0 else "lower"
    if over_clips is not None and over_clips[0] <= 0 <= over_clips[1]:
        word += " on these clips"
    return f"{word}, {equal}" if equal else word


def _clips(pairs: Pairs, request: SweepRequest, predictions: Predictions) -> tuple[PairedClips | None, str]:
    """Return the comparison clip by clip, or the reason why there is none."""
    folds = list(dict.fromkeys(fold for fold, _ in pairs))
    seeds = _complete_seeds(pairs)
    if len(folds) > 1 and request.num_shared_clips:
        return None, "Clips are not compared one by one, because folds share test clips."
    if not seeds:
        return None, "Clips are not compared one by one: no seed has a pair of runs on every fold."
    read = {key: tuple(map(predictions, pairs[key])) for key in pairs if key[1] in seeds}
    if any(one is None for both in read.values() for one in both):
        return (
            None,
            "Clips are not compared one by one: not every run has stored predictions that agree with its "
            "outcome.",
        )
    columns: list[list[np.ndarray]] = [[], []]
    first = [one for fold in folds if (one := read[fold, seeds[0]][0]) is not None]
    for seed in seeds:
        for place, column in enumerate(columns):
            parts = [one for fold in folds if (one := read[fold, seed][place]) is not None]
            if any(not _same_clips(one, other) for one, other in zip(parts, first, strict=True)):
                return (
                    None,
                    "Clips are not compared one by one, because runs were measured on different clips.",
                )
            column.append(np.concatenate([one.is_right_N for one in parts]))
    groups = [one.group_ids for one in first]
    group_N = None
    if all(one is not None for one in groups):
        names = np.array([name for one in groups if one is not None for name in one], dtype=object)
        group_N = np.unique(names, return_inverse=True)[1]
    label_N = np.concatenate([one.label_N for one in first])
    return pair_clips(columns[0], columns[1], label_N, group_N, len(first[0].class_names)), ""


def _same_clips(one: ClipPredictions, other: ClipPredictions) -> bool:
    return (one.clip_ids, one.class_names) == (other.clip_ids, other.class_names) and bool(
        np.array_equal(one.label_N, other.label_N)
    )


def _complete_seeds(pairs: Pairs) -> list[int]:
    """Return the seeds with a pair on every fold."""
    folds = {fold for fold, _ in pairs}
    return [
        seed for seed in dict.fromkeys(s for _, s in pairs) if all((fold, seed) in pairs for fold in folds)
    ]


def _methods(request: SweepRequest) -> dict[str, str]:
    return {one.name: one.method for one in request.spec.rows}


def _value(outcome: Outcome, metric: str) -> float:
    metrics = outcome.metrics()
    return metrics.war if metric == "war" else metrics.uar


def _mean(values: Iterator[float]) -> float:
    return float(np.mean(list(values)))
