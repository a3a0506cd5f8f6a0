"""WAR, UAR and recalls of a split, with the confidence intervals of `trainer.intervals`.

All numbers are computed from the confusion matrix of a whole split, never as averages over batches. Matrices
of disjoint clips can be added (`merged`).

Letters: C classes; N clips; G groups of clips.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from pipeline.errors import ConfigError
from pipeline.types import Bools, Ints
from trainer.intervals import (
    GroupCounts,
    Intervals,
    basis,
    group_counts,
    intervals_over_clips,
    intervals_over_groups,
    method,
)


@dataclass(frozen=True, kw_only=True)
class Metrics:
    """The numbers of a split.

    Attributes:
        confusion: [C, C], rows true class, columns predicted.
        groups: The same clips by group; None if the cache has no groups.
    """

    class_names: tuple[str, ...]
    confusion: Ints
    groups: GroupCounts | None = None

    def __post_init__(self) -> None:
        size = len(self.class_names)
        if self.confusion.shape != (size, size) or self.confusion.min() < 0 or not self.confusion.sum():
            msg = f"a confusion matrix of {size} classes needs [{size}, {size}] counts and one clip or more"
            raise ValueError(msg)
        if self.groups is not None and not (
            np.array_equal(self.groups.right_GC.sum(axis=0), np.diag(self.confusion))
            and np.array_equal(self.groups.support_GC.sum(axis=0), self.confusion.sum(axis=1))
        ):
            msg = "the counts by group are not of the clips of the confusion matrix"
            raise ValueError(msg)

    @classmethod
    def of_clips(
        cls, class_names: tuple[str, ...], label_N: Ints, predicted_N: Ints, group_N: Ints | None = None
    ) -> "Metrics":
        """Return the metrics of N clips.

        Args:
            class_names: Classes, in the order of the labels.
            label_N: True classes, 0 to C - 1.
            predicted_N: Predicted classes, 0 to C - 1.
            group_N: Number of each clip's group; None without groups.
        """
        size = len(class_names)
        return cls(
            class_names=class_names,
            confusion=confusion_matrix(label_N, predicted_N, size),
            groups=None if group_N is None else group_counts(group_N, label_N, predicted_N, size),
        )

    @classmethod
    def of_some(
        cls,
        kept_N: Bools,
        class_names: tuple[str, ...],
        label_N: Ints,
        predicted_N: Ints,
        group_N: Ints | None = None,
    ) -> "Metrics | None":
        """Return the metrics of the clips that are kept; None if no clip is. Other arguments: `of_clips`."""
        if not kept_N.any():
            return None
        group_N = None if group_N is None else group_N[kept_N]
        return cls.of_clips(class_names, label_N[kept_N], predicted_N[kept_N], group_N)

    @property
    def num_clips(self) -> int:
        """Clips of the split."""
        return int(self.confusion.sum())

    @property
    def war(self) -> float:
        """Weighted average recall: accuracy, 0 to 1."""
        return int(np.trace(self.confusion)) / self.num_clips

    @property
    def recalls(self) -> tuple[float | None, ...]:
        """Recall of each class, 0 to 1; None for a class without clips."""
        right, support = np.diag(self.confusion), self.confusion.sum(axis=1)
        return tuple(int(r) / int(n) if n else None for r, n in zip(right, support, strict=True))

    @property
    def uar(self) -> float:
        """Unweighted average recall: the mean of the recalls over the classes present, 0 to 1."""
        present = [recall for recall in self.recalls if recall is not None]
        return sum(present) / len(present)

    @property
    def counted_groups(self) -> GroupCounts | None:
        """The groups that intervals are taken over; None if each has one clip."""
        return self.groups if self.groups is not None and self.groups.has_several_clips else None

    @cached_property
    def intervals(self) -> Intervals:
        """The 95% intervals: over groups if any has several clips, else over clips."""
        if self.counted_groups is not None:
            return intervals_over_groups(self.counted_groups)
        return intervals_over_clips(np.diag(self.confusion), self.confusion.sum(axis=1))

    @property
    def interval_method(self) -> str:
        """The method of the intervals, in words."""
        return method(self.counted_groups)

    @property
    def interval_basis(self) -> str:
        """The basis of the intervals (clips or groups), in a few words."""
        return basis(self.counted_groups)


def confusion_matrix(label_N: Ints, predicted_N: Ints, num_classes: int) -> Ints:
    """Count clips by true and predicted class.

    Args:
        label_N: True classes, 0 to C - 1.
        predicted_N: Predicted classes, 0 to C - 1.
        num_classes: C.

    Returns:
        Counts [C, C], rows true class, columns predicted, int64.
    """
    cells = np.bincount(label_N * num_classes + predicted_N, minlength=num_classes**2)
    return cells.reshape(num_classes, num_classes).astype(np.int64)


def merged(parts: Sequence[Metrics]) -> Metrics:
    """Return the metrics of the clips of all `parts`, which are of one cache.

    Raises ConfigError unless all parts have the same classes.
    """
    names = parts[0].class_names
    for part in parts:
        if part.class_names != names:
            msg = (
                f"Classes {', '.join(part.class_names)} cannot be counted together with {', '.join(names)}; "
                "take runs of caches with the same classes in the same order."
            )
            raise ConfigError(msg)
    groups = [part.groups for part in parts if part.groups is not None]
    return Metrics(
        class_names=names,
        confusion=np.sum([part.confusion for part in parts], axis=0),
        groups=GroupCounts.merged(groups) if len(groups) == len(parts) else None,
    )
