"""95% intervals of WAR, UAR and recalls: a bootstrap over clips, or over groups of clips.

Clips of one source video, subject or film are not independent of each other. Where a split has such groups, a
draw takes whole groups (cluster bootstrap: Davison and Hinkley, Bootstrap Methods and their Application,
1997, section 3.8; Field and Welsh, J. R. Statist. Soc. B 69, 2007). Decision 0016 gives the reasons.

Letters: C classes; G groups; K kinds of groups, which have the same counts; U draws of the bootstrap.
"""

import math
from dataclasses import dataclass

import numpy as np
from scipy.sparse.csgraph import connected_components
from scipy.special import betaincinv

from pipeline.errors import counted
from pipeline.types import Bools, Floats, Ints

Interval = tuple[float, float]

_Z_95 = 1.959963984540054
_DRAWS = 10_000
_SEED = 0
_FEWEST_GROUPS = 2
_MOST_COUNTS = 1 << 22
"""Numbers that a part of the draws over groups may hold at once: 32 MiB."""


@dataclass(frozen=True, kw_only=True)
class Intervals:
    """The 95% intervals of a split's numbers; None where nothing shows how much they vary.

    recalls: in the order of the classes.
    """

    war: Interval | None
    uar: Interval | None
    recalls: tuple[Interval | None, ...]


@dataclass(frozen=True, kw_only=True, eq=False)
class GroupCounts:
    """The clips of a split by group. number_G: of each group. right_GC, support_GC: right clips, clips."""

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
        """Return a row for each group: its number, right clips by class, clips by class."""
        table = np.column_stack([self.number_G, self.right_GC, self.support_GC])
        return tuple(tuple(row) for row in table.tolist())

    @classmethod
    def from_rows(cls, rows: tuple[tuple[int, ...], ...], num_classes: int) -> "GroupCounts":
        """Read what `to_rows` returns. Raises ValueError for anything else."""
        table = np.array(rows, dtype=np.int64).reshape(len(rows), 1 + 2 * num_classes)
        number_G, right_GC, support_GC = np.split(table, [1, 1 + num_classes], axis=1)
        return cls(number_G=number_G[:, 0], right_GC=right_GC, support_GC=support_GC)

    @classmethod
    def merged(cls, parts: "list[GroupCounts]") -> "GroupCounts":
        """Return the counts of all clips of `parts`; a number stands for one group in all of them."""
        number_G, place = np.unique(np.concatenate([part.number_G for part in parts]), return_inverse=True)
        counts = []
        for name in ("right_GC", "support_GC"):
            rows = np.concatenate([getattr(part, name) for part in parts])
            sums = np.zeros((len(number_G), rows.shape[1]), dtype=np.int64)
            np.add.at(sums, place, rows)
            counts.append(sums)
        return cls(number_G=number_G, right_GC=counts[0], support_GC=counts[1])


def group_counts(group_N: Ints, label_N: Ints, predicted_N: Ints, num_classes: int) -> GroupCounts:
    """Count the right clips, and all clips, of each class in each group."""
    number_G, place = np.unique(group_N, return_inverse=True)
    support_GC = np.zeros((len(number_G), num_classes), dtype=np.int64)
    right_GC = np.zeros_like(support_GC)
    np.add.at(support_GC, (place, label_N), 1)
    np.add.at(right_GC, (place, label_N), label_N == predicted_N)
    return GroupCounts(number_G=number_G, right_GC=right_GC, support_GC=support_GC)


def method(groups: GroupCounts | None) -> str:
    """Describe in words what the intervals of a split are taken over, and how."""
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
    """Name in short what the intervals of a split are taken over."""
    if groups is None:
        return "95% intervals over clips"
    many = counted(len(groups.number_G), "group")
    enough = len(groups.number_G) >= _FEWEST_GROUPS
    return f"95% intervals over {many} of clips" if enough else f"no 95% intervals: all clips are of {many}"


def intervals_over_clips(right_C: Ints, support_C: Ints) -> Intervals:
    """Percentiles of a bootstrap over clips.

    Clips are drawn with replacement, as many as there are; the same draws give all numbers. A class that is
    not drawn does not count in that draw's UAR. Where WAR or a recall is 0 or 1 every draw is alike and would
    show no doubt at all: there it is Wilson's interval, and such a class enters UAR with recalls drawn from
    Beta(right + 1/2, wrong + 1/2) (Jeffreys).
    """
    generator = np.random.default_rng(_SEED)
    war_U, uar_U, recall_UC = bootstrap(right_C, support_C, _DRAWS, generator)
    alike_C = (support_C > 0) & ((right_C == 0) | (right_C == support_C))
    if alike_C.any():
        shape = right_C[alike_C] + 0.5, (support_C - right_C)[alike_C] + 0.5
        uar_U = _with_doubt(recall_UC, alike_C, shape, generator)
    classes = zip(right_C.tolist(), support_C.tolist(), recall_UC.T, strict=True)
    return Intervals(
        war=_share_interval(int(right_C.sum()), int(support_C.sum()), war_U),
        uar=_holding(_percentiles(uar_U), _uar(right_C, support_C)),
        recalls=tuple(_share_interval(r, n, recall_U) if n else None for r, n, recall_U in classes),
    )


def intervals_over_groups(groups: GroupCounts) -> Intervals:
    """Percentiles of a bootstrap over groups, each made as wide as that over clips.

    Groups are drawn with replacement, as many as there are, and each brings all its clips. Where a share is
    the same in all groups every draw is alike: there it is Wilson's interval with the groups as trials, and
    such a class enters UAR with recalls drawn from Beta(right + 1/2, wrong + 1/2) of its groups, one quantile
    for all such classes that share groups, because their recalls depend on each other. A share of fewer than
    two groups has no interval. The interval over clips is a bound from below because positive correlation
    within groups only adds to the variance of independent clips, while few groups show little of their own.
    """
    right_GC, support_GC = groups.right_GC, groups.support_GC
    if len(support_GC) < _FEWEST_GROUPS:
        return Intervals(war=None, uar=None, recalls=(None,) * support_GC.shape[1])
    right_C, support_C = right_GC.sum(axis=0), support_GC.sum(axis=0)
    over_clips = intervals_over_clips(right_C, support_C)
    generator = np.random.default_rng(_SEED)
    war_U, uar_U, recall_UC = bootstrap_groups(right_GC, support_GC, _DRAWS, generator)
    has_GC = support_GC > 0
    groups_C = has_GC.sum(axis=0)
    share_C = right_C / support_C.clip(min=1)
    alike_C = (support_C > 0) & ~((right_GC * support_C != right_C * support_GC) & has_GC).any(axis=0)
    if alike_C.any():
        shape = (share_C * groups_C)[alike_C] + 0.5, ((1 - share_C) * groups_C)[alike_C] + 0.5
        uar_U = _with_shared_doubt(recall_UC, alike_C, shape, has_GC[:, alike_C], generator)
    right_G, support_G = right_GC.sum(axis=1), support_GC.sum(axis=1)
    right, total = int(right_C.sum()), int(support_C.sum())
    war_is_alike = bool((right_G * total == right * support_G).all())
    war = wilson(right / total * len(right_G), len(right_G)) if war_is_alike else _percentiles(war_U)
    recalls: list[Interval | None] = []
    for label, clips in enumerate(over_clips.recalls):
        num = int(groups_C[label])
        if num < _FEWEST_GROUPS:
            recalls.append(None)
            continue
        alike = bool(alike_C[label])
        own = wilson(float(share_C[label]) * num, num) if alike else _percentiles(recall_UC[:, label])
        recalls.append(_wider(own, clips))
    uar = _holding(_percentiles(uar_U), _uar(right_C, support_C))
    return Intervals(war=_wider(war, over_clips.war), uar=_wider(uar, over_clips.uar), recalls=tuple(recalls))


def bootstrap(
    right_C: Ints, support_C: Ints, draws: int, generator: np.random.Generator
) -> tuple[Floats, Floats, Floats]:
    """WAR [U], UAR [U] and recalls [U, C] of clips drawn with replacement, as many as there are.

    What counts of a clip is its class and whether it is right, so a draw of N clips is a draw of the
    counts of these 2 C kinds. The recall of a class that is not drawn is NaN.
    """
    kinds, total = np.concatenate([right_C, support_C - right_C]), int(support_C.sum())
    counts_U2C = generator.multinomial(total, kinds / total, size=draws)
    drawn_right_UC, drawn_wrong_UC = np.split(counts_U2C, 2, axis=1)
    drawn_UC = drawn_right_UC + drawn_wrong_UC
    recall_UC = np.where(drawn_UC > 0, drawn_right_UC / drawn_UC.clip(min=1), np.nan)
    return drawn_right_UC.sum(axis=1) / total, np.nanmean(recall_UC, axis=1), recall_UC


def bootstrap_groups(
    right_GC: Ints, support_GC: Ints, draws: int, generator: np.random.Generator
) -> tuple[Floats, Floats, Floats]:
    """WAR [U], UAR [U] and recalls [U, C] of groups drawn with replacement, as many as there are.

    Groups with the same counts are of one kind, and a draw is one of the counts of these K kinds. The recall
    of a class that is not drawn is NaN.
    """
    num_classes = right_GC.shape[1]
    counts_K2C, groups_K = np.unique(np.hstack([right_GC, support_GC]), axis=0, return_counts=True)
    step = max(1, _MOST_COUNTS // len(groups_K))
    drawn_U2C = np.concatenate(
        [
            generator.multinomial(len(right_GC), groups_K / len(right_GC), size=min(step, draws - start))
            @ counts_K2C
            for start in range(0, draws, step)
        ]
    )
    drawn_right_UC, drawn_UC = drawn_U2C[:, :num_classes], drawn_U2C[:, num_classes:]
    recall_UC = np.where(drawn_UC > 0, drawn_right_UC / drawn_UC.clip(min=1), np.nan)
    war_U = drawn_right_UC.sum(axis=1) / drawn_UC.sum(axis=1)
    return war_U, np.nanmean(recall_UC, axis=1), recall_UC


def wilson(right: float, total: int) -> Interval:
    """Wilson's 95% score interval of `right` successes in `total` trials."""
    share, z2 = right / total, _Z_95**2
    centre = (share + z2 / (2 * total)) / (1 + z2 / total)
    half = _Z_95 / (1 + z2 / total) * math.sqrt(share * (1 - share) / total + z2 / (4 * total**2))
    return max(0.0, min(share, centre - half)), min(1.0, max(share, centre + half))


def _with_doubt(
    recall_UC: Floats, alike_C: Ints, shape: tuple[Floats, Floats], generator: np.random.Generator
) -> Floats:
    """UAR [U] with the recalls of the classes whose draws are alike drawn from a Beta distribution."""
    doubtful_UC = recall_UC.copy()
    doubtful_UC[:, alike_C] = generator.beta(*shape, size=(len(recall_UC), int(alike_C.sum())))
    return np.asarray(np.nanmean(doubtful_UC, axis=1))


def _with_shared_doubt(
    recall_UC: Floats,
    alike_C: Ints,
    shape: tuple[Floats, Floats],
    has_GC: Bools,
    generator: np.random.Generator,
) -> Floats:
    """UAR [U] as by `_with_doubt`, with one quantile a draw for classes that groups join.

    has_GC: of the classes whose draws are alike.
    """
    joined_CC = has_GC.astype(np.int64).T @ has_GC
    num_parts, part_C = connected_components(joined_CC)
    quantile_UP = generator.random((len(recall_UC), num_parts))
    doubtful_UC = recall_UC.copy()
    doubtful_UC[:, alike_C] = betaincinv(*shape, quantile_UP[:, part_C])
    return np.asarray(np.nanmean(doubtful_UC, axis=1))


def _uar(right_C: Ints, support_C: Ints) -> float:
    """The mean of the recalls over the classes present."""
    recalls: list[float] = [r / n for r, n in zip(right_C.tolist(), support_C.tolist(), strict=True) if n]
    return sum(recalls) / len(recalls)


def _percentiles(value_U: Floats) -> Interval:
    low, high = np.nanpercentile(value_U, [2.5, 97.5])
    return float(low), float(high)


def _holding(interval: Interval, value: float) -> Interval:
    return min(interval[0], value), max(interval[1], value)


def _wider(one: Interval, other: Interval | None) -> Interval:
    return one if other is None else (min(one[0], other[0]), max(one[1], other[1]))


def _share_interval(right: int, total: int, share_U: Floats) -> Interval:
    return _percentiles(share_U) if 0 < right < total else wilson(right, total)
