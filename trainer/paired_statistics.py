"""Statistics of paired differences: intervals and tests over runs, and over clips.

Two methods are compared on the same folds, seeds and clips. Values of runs differ because training and
holdout are random. Values of clips differ because other clips could have been drawn. Each kind of interval
covers its own variation only, so that both are shown (decision 0035).

Letters: N clips; C classes; G groups of clips; S seeds.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import stats

from pipeline.types import Doubles, Ints
from trainer.intervals import Interval, bootstrap_groups, wilson
from trainer.sign_test import MCNEMAR, SIGN_FLIP, mcnemar, sign_flip

LEVEL = 0.05
"""Level of tests and verdicts; intervals are of 95%."""

MOST_UNITS_EXACT = 13
"""Largest number of pairs for which the sign-flip test counts all signs; with more, it draws them."""

_RESAMPLES, _DRAWS, _SEED = 9_999, 10_000, 0
_ROUNDING = 12
"""A number that is rounded to a step has the variance step^2 / 12."""


@dataclass(frozen=True, kw_only=True)
class PairedRuns:
    """Differences between two methods, one for each pair of runs or each fold.

    Attributes:
        mean: Mean difference.
        std: Standard deviation (divisor n - 1); None for one difference.
        num: Number of differences.
        resolution: Step of the differences, such as 1 / N for the WAR of N clips; 0 if they are continuous.
        t_interval: 95% interval of Student's t; None for one difference.
        bca_interval: 95% interval of the bias-corrected and accelerated bootstrap (Efron 1987); None for one
            difference, and if all are equal.
        p_value: Two-sided p of the sign-flip test.
        least_p: Smallest p that this number of differences other than 0 can give.
    """

    mean: float
    std: float | None
    num: int
    resolution: float
    t_interval: Interval | None
    bca_interval: Interval | None
    p_value: float
    least_p: float

    @classmethod
    def of(cls, differences: Sequence[float], resolution: float = 0.0) -> "PairedRuns":
        """Return the statistics of one difference or more; `resolution` is that of the attribute."""
        values = np.asarray(differences, dtype=np.float64)
        return cls(
            mean=float(values.mean()),
            std=float(values.std(ddof=1)) if len(values) > 1 else None,
            num=len(values),
            resolution=resolution,
            t_interval=t_interval(values),
            bca_interval=bca_interval(values),
            p_value=sign_flip_of_means(values),
            least_p=least_p(int(np.count_nonzero(values))),
        )

    def equivalence_p(self, margin: float) -> float:
        """Return the p value of two one-sided t tests (TOST) against differences of `margin` and beyond.

        Source: Schuirmann, J. Pharmacokin. Biopharm. 15, 1987. It is 1 for one difference. The variance of
        rounding to `resolution` is added, because equal differences of few clips are no certainty.

        Args:
            margin: Largest difference that counts as none, above 0, in the unit of the differences.
        """
        if self.std is None:
            return 1.0
        variance = self.std**2 + self.resolution**2 / _ROUNDING
        if variance == 0:
            return 0.0 if abs(self.mean) < margin else 1.0
        error = math.sqrt(variance / self.num)
        return float(stats.t.sf((margin - abs(self.mean)) / error, self.num - 1))


@dataclass(frozen=True, kw_only=True)
class PairedClips:
    """The same models on the clips of all folds, clip by clip.

    Attributes:
        num_clips: Number of different clips.
        num_groups: Number of groups; None if the clips have none.
        num_rarest: Clips of the rarest class that has any.
        won, lost: Predictions that only the second or only the first model has right, over all seeds.
        war, uar: Differences of WAR and UAR, of the clips of all folds together.
        war_interval, uar_interval: 95% percentile intervals of them, of a bootstrap over clips or groups;
            None for a single one. If no prediction differs, Wilson's interval of a share of 0, in both
            directions.
        p_value: Two-sided p of `test`, of WAR.
        test: Name of the test.
    """

    num_clips: int
    num_groups: int | None
    num_rarest: int
    won: int
    lost: int
    war: float
    uar: float
    war_interval: Interval | None
    uar_interval: Interval | None
    p_value: float
    test: str


def t_interval(values: Doubles) -> Interval | None:
    """Return the 95% interval of the mean by Student's t; None for fewer than two values."""
    if len(values) < 2:
        return None
    half = float(stats.t.ppf(1 - LEVEL / 2, len(values) - 1) * values.std(ddof=1) / math.sqrt(len(values)))
    return float(values.mean()) - half, float(values.mean()) + half


def bca_interval(values: Doubles) -> Interval | None:
    """Return the 95% BCa bootstrap interval of the mean; None for fewer than two different values."""
    if len(np.unique(values)) < 2:
        return None
    found = stats.bootstrap(
        (values,), np.mean, n_resamples=_RESAMPLES, method="BCa", rng=np.random.default_rng(_SEED)
    ).confidence_interval
    return None if math.isnan(found.low) or math.isnan(found.high) else (float(found.low), float(found.high))


def sign_flip_of_means(values: Doubles) -> float:
    """Return the two-sided p value of the mean under the hypothesis that all signs are equally likely."""
    if len(values) == 1 or not values.any():
        return 1.0
    found: Any = stats.permutation_test(
        (values,), np.mean, permutation_type="samples", n_resamples=_RESAMPLES,
        rng=np.random.default_rng(_SEED),
    )  # fmt: skip
    return float(found.pvalue)


def least_p(num: int) -> float:
    """Return the smallest two-sided p value of the sign-flip test of `num` differences."""
    return float(min(1.0, 2.0 ** (1 - num))) if num <= MOST_UNITS_EXACT else 2 / (_RESAMPLES + 1)


def runs_needed(num_comparisons: int) -> int:
    """Return the number of differences from which the sign-flip test, corrected, can reach `LEVEL`."""
    return 1 + math.ceil(math.log2(max(1, num_comparisons) / LEVEL))


def holm(p_values: Sequence[float]) -> tuple[float, ...]:
    """Return p values that are corrected for their number, in the same order.

    Source: Holm, Scand. J. Statist. 6, 1979: the chance of one false alarm or more is at most the level,
    however the tests depend on each other.
    """
    adjusted = [0.0] * len(p_values)
    largest = 0.0
    for rank, place in enumerate(sorted(range(len(p_values)), key=lambda place: p_values[place])):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[place]))
        adjusted[place] = largest
    return tuple(adjusted)


def pair_clips(
    right_first: Sequence[Ints],
    right_second: Sequence[Ints],
    label_N: Ints,
    group_N: Ints | None,
    num_classes: int,
) -> PairedClips:
    """Compare two methods clip by clip, over their seeds.

    Args:
        right_first: For each seed, 1 for the clips that the first method classifies correctly, else 0 [N].
        right_second: The same of the second method.
        label_N: True classes, 0 to C - 1.
        group_N: Groups of the clips; None without groups.
        num_classes: C.
    """
    first_SN, second_SN = np.stack(right_first), np.stack(right_second)
    net_N = second_SN.sum(axis=0) - first_SN.sum(axis=0)
    unit_N = np.arange(len(label_N)) if group_N is None else group_N
    net_GC, support_GC = _by_group(net_N, label_N, unit_N, num_classes)
    nets = net_GC.sum(axis=1).tolist()
    num_seeds = len(first_SN)
    is_single = num_seeds == 1 and group_N is None
    won, lost = int((second_SN > first_SN).sum()), int((second_SN < first_SN).sum())
    of_groups = "" if group_N is None else " of groups"
    war, uar = _intervals(net_GC, support_GC, num_seeds)
    support_C = support_GC.sum(axis=0)
    gain_C = net_GC.sum(axis=0)[support_C > 0] / (num_seeds * support_C[support_C > 0])
    return PairedClips(
        num_clips=len(label_N),
        num_groups=None if group_N is None else len(net_GC),
        num_rarest=int(np.unique(label_N, return_counts=True)[1].min()),
        won=won,
        lost=lost,
        war=float(net_N.sum() / (num_seeds * len(net_N))),
        uar=float(gain_C.mean()),
        war_interval=war,
        uar_interval=uar,
        p_value=mcnemar(won, lost) if is_single else sign_flip(nets),
        test=MCNEMAR if is_single else f"{SIGN_FLIP}{of_groups}",
    )


def _by_group(net_N: Ints, label_N: Ints, unit_N: Ints, num_classes: int) -> tuple[Ints, Ints]:
    """Return the sums of nets and the numbers of clips by group and class, each [G, C]."""
    units, place_N = np.unique(unit_N, return_inverse=True)
    net_GC = np.zeros((len(units), num_classes), dtype=np.int64)
    support_GC = np.zeros_like(net_GC)
    np.add.at(net_GC, (place_N, label_N), net_N)
    np.add.at(support_GC, (place_N, label_N), 1)
    return net_GC, support_GC


def _intervals(net_GC: Ints, support_GC: Ints, num_seeds: int) -> tuple[Interval | None, Interval | None]:
    if len(net_GC) < 2:
        return None, None
    if not net_GC.any():
        high = wilson(0, len(net_GC))[1]
        return (-high, high), (-high, high)
    war_R, uar_R, _ = bootstrap_groups(net_GC, support_GC, _DRAWS, np.random.default_rng(_SEED))
    war, uar = (
        tuple(float(end) for end in np.nanpercentile(value_R / num_seeds, [2.5, 97.5]))
        for value_R in (war_R, uar_R)
    )
    return (war[0], war[1]), (uar[0], uar[1])


BCA_COVERAGE: Mapping[int, float] = {
    3: 0.729, 4: 0.8155, 5: 0.8495, 6: 0.8545, 8: 0.89, 10: 0.919, 15: 0.9235, 20: 0.9265, 30: 0.9365,
}  # fmt: skip
"""Share of 95% BCa intervals of n normal values that hold their mean (`benchmarks.paired_statistics`)."""

UAR_COVERAGE: Mapping[int, float] = {6: 0.9095, 28: 0.937}
"""Share of 95% intervals of UAR over clips that hold the difference, by clips of the rarest class."""


def bca_coverage(num: int) -> float | None:
    """Return the measured coverage of BCa intervals of `num` values; None if they are more than measured."""
    if num > max(BCA_COVERAGE):
        return None
    return BCA_COVERAGE[max((n for n in BCA_COVERAGE if n <= num), default=min(BCA_COVERAGE))]
