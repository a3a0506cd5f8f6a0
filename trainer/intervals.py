"""95% confidence intervals of WAR, UAR and recalls: a bootstrap over clips, or over groups of clips.

Clips of one source video, subject or film are not independent. If a split has such groups, the bootstrap
draws whole groups (cluster bootstrap: Davison and Hinkley, Bootstrap Methods and their Application, 1997,
section 3.8; Field and Welsh, J. R. Statist. Soc. B 69, 2007). Decision 0016 gives the reasons.

Letters: N clips; C classes; G groups of clips; R replicates of the bootstrap; X groups that differ in
their counts.
"""

import math
from dataclasses import dataclass

import numpy as np

from pipeline.errors import counted
from pipeline.types import Bools, Floats, Ints

Interval = tuple[float, float]

Z_95 = 1.959963984540054
_DRAWS = 10_000
_SEED = 0
_FEWEST_GROUPS = 2
_MOST_COUNTS = 1 << 22
"""Numbers in memory at once while groups are drawn: 32 MiB."""


@dataclass(frozen=True, kw_only=True)
class Intervals:
    """The 95% intervals of a split; None where the data do not show how much a number varies.

    Attributes:
        recalls: Intervals in the order of the classes.
    """

    war: Interval | None
    uar: Interval | None
    recalls: tuple[Interval | None, ...]


@dataclass(frozen=True, kw_only=True, eq=False)
class GroupCounts:
    """Clips of a split, counted by group and class.

    Attributes:
        number_G: Number of each group in the cache, each once.
        right_GC: Clips classified correctly.
        support_GC: All clips.
    """

    number_G: Ints
    right_GC: Ints
    support_GC: Ints

    def __post_init__(self) -> None:
        shape = self.support_GC.shape
        is_counted = len(shape) == 2 and (self.number_G.shape, self.right_GC.shape) == (shape[:1], shape)
        if (
            not is_counted
            or len(np.unique(self.number_G)) < len(self.number_G)
            or (self.right_GC < 0).any()
            or (self.right_GC > self.support_GC).any()
            or (self.support_GC.sum(axis=1) == 0).any()
        ):
            msg = "groups need one number each, and [G, C] counts of right clips among one clip or more"
            raise ValueError(msg)

    @property
    def has_several_clips(self) -> bool:
        """Whether any group has several clips; otherwise clips and groups are the same."""
        return bool((self.support_GC.sum(axis=1) > 1).any())

    def to_rows(self) -> tuple[tuple[int, ...], ...]:
        """Return a row per group: its number, right clips by class, all clips by class."""
        table = np.column_stack([self.number_G, self.right_GC, self.support_GC])
        return tuple(tuple(row) for row in table.tolist())

    @classmethod
    def from_rows(cls, rows: tuple[tuple[int, ...], ...], num_classes: int) -> "GroupCounts":
        """Read the result of `to_rows`. Raises ValueError for other values."""
        table = np.array(rows, dtype=np.int64).reshape(len(rows), 1 + 2 * num_classes)
        number_G, right_GC, support_GC = np.split(table, [1, 1 + num_classes], axis=1)
        return cls(number_G=number_G[:, 0], right_GC=right_GC, support_GC=support_GC)

    @classmethod
    def merged(cls, parts: "list[GroupCounts]") -> "GroupCounts":
        """Return the counts of the clips of all `parts`, in which equal numbers are the same group."""
        number_G, place = np.unique(np.concatenate([part.number_G for part in parts]), return_inverse=True)
        counts = []
        for name in ("right_GC", "support_GC"):
            rows = np.concatenate([getattr(part, name) for part in parts])
            sums = np.zeros((len(number_G), rows.shape[1]), dtype=np.int64)
            np.add.at(sums, place, rows)
            counts.append(sums)
        return cls(number_G=number_G, right_GC=counts[0], support_GC=counts[1])


def group_counts(group_N: Ints, label_N: Ints, predicted_N: Ints, num_classes: int) -> GroupCounts:
    """Count right clips and all clips by group and class.

    Args:
        group_N: Number of each clip's group.
        label_N: True classes, 0 to C - 1.
        predicted_N: Predicted classes, 0 to C - 1.
        num_classes: C.
    """
    number_G, place = np.unique(group_N, return_inverse=True)
    support_GC = np.zeros((len(number_G), num_classes), dtype=np.int64)
    right_GC = np.zeros_like(support_GC)
    np.add.at(support_GC, (place, label_N), 1)
    np.add.at(right_GC, (place, label_N), label_N == predicted_N)
    return GroupCounts(number_G=number_G, right_GC=right_GC, support_GC=support_GC)


def method(groups: GroupCounts | None) -> str:
    """Describe the method of the intervals of a split in words."""
    draws = f"{_DRAWS} draws, seed {_SEED}"
    if groups is None:
        return f"bootstrap over clips, {draws}; Wilson's for a share of 0 or 1, Jeffreys' in UAR"
    many = counted(len(groups.number_G), "group")
    if len(groups.number_G) < _FEWEST_GROUPS:
        return f"none: the clips are of {many}, and {_FEWEST_GROUPS} are needed"
    return (
        f"bootstrap over {many} of clips, {draws}, never narrower than over clips; for a share that is "
        "the same in all groups Wilson's over groups, Jeffreys' in UAR"
    )


def basis(groups: GroupCounts | None) -> str:
    """Return the basis of the intervals of a split in a few words."""
    if groups is None:
        return "95% intervals over clips"
    many = counted(len(groups.number_G), "group")
    enough = len(groups.number_G) >= _FEWEST_GROUPS
    return f"95% intervals over {many} of clips" if enough else f"no 95% intervals: all clips are of {many}"


def intervals_over_clips(right_C: Ints, support_C: Ints) -> Intervals:
    """Compute percentiles of a bootstrap over clips.

    Clips are drawn with replacement, as many as the split has. All numbers use the same draws. A class that
    is not drawn does not count in the UAR of that replicate. If WAR or a recall is 0 or 1, all replicates are
    equal, and a percentile interval would have no width. Wilson's interval is used then, and such a class
    enters UAR with recalls drawn from Beta(right + 1/2, wrong + 1/2) (Jeffreys).
    """
    generator = np.random.default_rng(_SEED)
    war_R, uar_R, recall_RC = bootstrap(right_C, support_C, _DRAWS, generator)
    alike_C = (support_C > 0) & ((right_C == 0) | (right_C == support_C))
    if alike_C.any():
        shape = right_C[alike_C] + 0.5, (support_C - right_C)[alike_C] + 0.5
        uar_R = _with_doubt(recall_RC, alike_C, shape, generator)
    classes = zip(right_C.tolist(), support_C.tolist(), recall_RC.T, strict=True)
    return Intervals(
        war=_share_interval(int(right_C.sum()), int(support_C.sum()), war_R),
        uar=_holding(_percentiles(uar_R), _uar(right_C, support_C)),
        recalls=tuple(_share_interval(r, n, recall_R) if n else None for r, n, recall_R in classes),
    )


def intervals_over_groups(groups: GroupCounts) -> Intervals:
    """Compute percentiles of a bootstrap over groups, each at least as wide as that over clips.

    Groups are drawn with replacement, as many as the split has, each with all its clips. If a recall (or WAR)
    is the same in all groups, all replicates are equal. Wilson's interval with the groups as trials is used
    then, and such a class enters UAR with recalls drawn from Beta(right + 1/2, wrong + 1/2) of its groups.
    Such classes that share groups have one quantile, because their recalls depend on each other. A number of
    fewer than two groups has no interval. An interval is never narrower than that over clips, because
    positive correlation within groups adds to the variance of independent clips, which few groups hardly
    show.
    """
    right_GC, support_GC = groups.right_GC, groups.support_GC
    if len(support_GC) < _FEWEST_GROUPS:
        return Intervals(war=None, uar=None, recalls=(None,) * support_GC.shape[1])
    right_C, support_C = right_GC.sum(axis=0), support_GC.sum(axis=0)
    over_clips = intervals_over_clips(right_C, support_C)
    generator = np.random.default_rng(_SEED)
    war_R, uar_R, recall_RC = bootstrap_groups(right_GC, support_GC, _DRAWS, generator)
    has_GC = support_GC > 0
    groups_C = has_GC.sum(axis=0)
    share_C = right_C / support_C.clip(min=1)
    alike_C = (support_C > 0) & ~((right_GC * support_C != right_C * support_GC) & has_GC).any(axis=0)
    if alike_C.any():
        shape = (share_C * groups_C)[alike_C] + 0.5, ((1 - share_C) * groups_C)[alike_C] + 0.5
        uar_R = _with_shared_doubt(recall_RC, alike_C, shape, has_GC[:, alike_C], generator)
    right_G, support_G = right_GC.sum(axis=1), support_GC.sum(axis=1)
    right, total = int(right_C.sum()), int(support_C.sum())
    war_is_alike = bool((right_G * total == right * support_G).all())
    war = wilson(right / total * len(right_G), len(right_G)) if war_is_alike else _percentiles(war_R)
    recalls: list[Interval | None] = []
    for label, clips in enumerate(over_clips.recalls):
        num = int(groups_C[label])
        if num < _FEWEST_GROUPS:
            recalls.append(None)
            continue
        alike = bool(alike_C[label])
        own = wilson(float(share_C[label]) * num, num) if alike else _percentiles(recall_RC[:, label])
        recalls.append(_wider(own, clips))
    uar = _holding(_percentiles(uar_R), _uar(right_C, support_C))
    return Intervals(war=_wider(war, over_clips.war), uar=_wider(uar, over_clips.uar), recalls=tuple(recalls))


def bootstrap(
    right_C: Ints, support_C: Ints, draws: int, generator: np.random.Generator
) -> tuple[Floats, Floats, Floats]:
    """Draw clips with replacement, as many as there are.

    Only a clip's class and its correctness matter, so that one multinomial draw of 2 C counts replaces a draw
    of N clips.

    Args:
        right_C: Clips classified correctly.
        support_C: All clips.
        draws: R.
        generator: Source of the draws.

    Returns:
        WAR [R], UAR [R] and recalls [R, C]. The recall of a class that is not drawn is NaN.
    """
    kinds, total = np.concatenate([right_C, support_C - right_C]), int(support_C.sum())
    counts_R2C = generator.multinomial(total, kinds / total, size=draws)
    drawn_right_RC, drawn_wrong_RC = np.split(counts_R2C, 2, axis=1)
    drawn_RC = drawn_right_RC + drawn_wrong_RC
    recall_RC = np.where(drawn_RC > 0, drawn_right_RC / drawn_RC.clip(min=1), np.nan)
    return drawn_right_RC.sum(axis=1) / total, np.nanmean(recall_RC, axis=1), recall_RC


def bootstrap_groups(
    right_GC: Ints, support_GC: Ints, draws: int, generator: np.random.Generator
) -> tuple[Floats, Floats, Floats]:
    """Draw groups with replacement, as many as there are.

    Groups with equal counts are drawn together: one multinomial draw of X counts replaces a draw of G groups.

    Args:
        right_GC: Clips classified correctly.
        support_GC: All clips.
        draws: R.
        generator: Source of the draws.

    Returns:
        WAR [R], UAR [R] and recalls [R, C]. The recall of a class that is not drawn is NaN.
    """
    num_classes = right_GC.shape[1]
    counts_X2C, groups_X = np.unique(np.hstack([right_GC, support_GC]), axis=0, return_counts=True)
    step = max(1, _MOST_COUNTS // len(groups_X))
    drawn_R2C = np.concatenate(
        [
            generator.multinomial(len(right_GC), groups_X / len(right_GC), size=min(step, draws - start))
            @ counts_X2C
            for start in range(0, draws, step)
        ]
    )
    drawn_right_RC, drawn_RC = drawn_R2C[:, :num_classes], drawn_R2C[:, num_classes:]
    recall_RC = np.where(drawn_RC > 0, drawn_right_RC / drawn_RC.clip(min=1), np.nan)
    war_R = drawn_right_RC.sum(axis=1) / drawn_RC.sum(axis=1)
    return war_R, np.nanmean(recall_RC, axis=1), recall_RC


def wilson(right: float, total: int) -> Interval:
    """Return Wilson's 95% score interval of `right` successes in `total` trials."""
    share, z2 = right / total, Z_95**2
    centre = (share + z2 / (2 * total)) / (1 + z2 / total)
    half = Z_95 / (1 + z2 / total) * math.sqrt(share * (1 - share) / total + z2 / (4 * total**2))
    return max(0.0, min(share, centre - half)), min(1.0, max(share, centre + half))


def _with_doubt(
    recall_RC: Floats, alike_C: Ints, shape: tuple[Floats, Floats], generator: np.random.Generator
) -> Floats:
    """Return UAR [R], where classes whose replicates are equal have recalls from a Beta distribution."""
    doubtful_RC = recall_RC.copy()
    doubtful_RC[:, alike_C] = generator.beta(*shape, size=(len(recall_RC), int(alike_C.sum())))
    return np.asarray(np.nanmean(doubtful_RC, axis=1))


def _with_shared_doubt(
    recall_RC: Floats,
    alike_C: Ints,
    shape: tuple[Floats, Floats],
    has_GC: Bools,
    generator: np.random.Generator,
) -> Floats:
    """Return UAR [R] as `_with_doubt` does, with one quantile per replicate for classes that share groups.

    `has_GC` is that of the classes whose replicates are equal.
    """
    from scipy.sparse.csgraph import connected_components  # not at the start: trainings do without scipy
    from scipy.special import betaincinv

    joined_CC = has_GC.astype(np.int64).T @ has_GC
    num_parts, part_C = connected_components(joined_CC)
    quantiles = generator.random((len(recall_RC), num_parts))
    doubtful_RC = recall_RC.copy()
    doubtful_RC[:, alike_C] = betaincinv(*shape, quantiles[:, part_C])
    return np.asarray(np.nanmean(doubtful_RC, axis=1))


def _uar(right_C: Ints, support_C: Ints) -> float:
    """Return the mean of the recalls over the classes present."""
    recalls: list[float] = [r / n for r, n in zip(right_C.tolist(), support_C.tolist(), strict=True) if n]
    return sum(recalls) / len(recalls)


def _percentiles(value_R: Floats) -> Interval:
    low, high = np.nanpercentile(value_R, [2.5, 97.5])
    return float(low), float(high)


def _holding(interval: Interval, value: float) -> Interval:
    return min(interval[0], value), max(interval[1], value)


def _wider(one: Interval, other: Interval | None) -> Interval:
    return one if other is None else (min(one[0], other[0]), max(one[1], other[1]))


def _share_interval(right: int, total: int, share_R: Floats) -> Interval:
    return _percentiles(share_R) if 0 < right < total else wilson(right, total)
