"""WAR, UAR and their intervals.

The confusion matrix of a whole split is the truth: all numbers come from it, never from averages
over batches. Matrices of disjoint clips add up (`merged`), and so do their numbers, exactly.

Letters: C classes; N clips; U draws of the bootstrap.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from pipeline.errors import ConfigError
from pipeline.types import Floats, Ints

Interval = tuple[float, float]

_Z_95 = 1.959963984540054
_DRAWS = 10_000
_SEED = 0
INTERVAL_METHOD = (
    f"bootstrap over clips, {_DRAWS} draws, seed {_SEED}; Wilson's for a share of 0 or 1, Jeffreys' in UAR"
)


@dataclass(frozen=True, kw_only=True)
class Intervals:
    """The 95% intervals of a split's numbers. recalls: in the order of the classes; None without clips."""

    war: Interval
    uar: Interval
    recalls: tuple[Interval | None, ...]


@dataclass(frozen=True, kw_only=True)
class Metrics:
    """What a split's confusion matrix says. confusion: [C, C], rows true class, columns predicted."""

    class_names: tuple[str, ...]
    confusion: Ints

    def __post_init__(self) -> None:
        size = len(self.class_names)
        if self.confusion.shape != (size, size) or self.confusion.min() < 0 or not self.confusion.sum():
            msg = f"a confusion matrix of {size} classes needs [{size}, {size}] counts and one clip or more"
            raise ValueError(msg)

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

    @cached_property
    def intervals(self) -> Intervals:
        """The 95% intervals of WAR, UAR and the recalls: percentiles of a bootstrap over clips.

        Clips are drawn anew, with replacement, as many as there are; the same draws give all numbers. A
        class that is not drawn does not count in that draw's UAR. Where WAR or a recall is 0 or 1 every
        draw is alike and would show no doubt at all: there it is Wilson's interval, and such a class
        enters UAR with recalls drawn from Beta(right + 1/2, wrong + 1/2) (Jeffreys).
        """
        generator = np.random.default_rng(_SEED)
        right, support = np.diag(self.confusion), self.confusion.sum(axis=1)
        war_U, uar_U, recall_UC = bootstrap(right, support, _DRAWS, generator)
        alike_C = (support > 0) & ((right == 0) | (right == support))
        if alike_C.any():
            shape = right[alike_C] + 0.5, (support - right)[alike_C] + 0.5
            doubtful_UC = recall_UC.copy()
            doubtful_UC[:, alike_C] = generator.beta(*shape, size=(_DRAWS, int(alike_C.sum())))
            uar_U = np.nanmean(doubtful_UC, axis=1)
        low, high = _percentiles(uar_U)
        classes = zip(right.tolist(), support.tolist(), recall_UC.T, strict=True)
        return Intervals(
            war=_share_interval(int(right.sum()), self.num_clips, war_U),
            uar=(min(low, self.uar), max(high, self.uar)),
            recalls=tuple(_share_interval(r, n, recall_U) if n else None for r, n, recall_U in classes),
        )

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain JSON values, class names with every number."""
        return {
            "class_names": list(self.class_names),
            "confusion": self.confusion.tolist(),
            "num_clips": self.num_clips,
            "war": self.war,
            "war_interval_95": list(self.intervals.war),
            "uar": self.uar,
            "uar_interval_95": list(self.intervals.uar),
            "recall": dict(zip(self.class_names, self.recalls, strict=True)),
            "recall_interval_95": {
                name: None if interval is None else list(interval)
                for name, interval in zip(self.class_names, self.intervals.recalls, strict=True)
            },
            "interval_method": INTERVAL_METHOD,
        }


def confusion_matrix(label_N: Ints, predicted_N: Ints, num_classes: int) -> Ints:
    """Counts [C, C], rows true class, columns predicted."""
    cells = np.bincount(label_N * num_classes + predicted_N, minlength=num_classes**2)
    return cells.reshape(num_classes, num_classes).astype(np.int64)


def merged(parts: Sequence[Metrics]) -> Metrics:
    """The metrics of all clips of `parts` together. Raises ConfigError unless all have the same classes."""
    names = parts[0].class_names
    for part in parts:
        if part.class_names != names:
            msg = (
                f"Classes {', '.join(part.class_names)} cannot be counted together with {', '.join(names)}; "
                "take runs of caches with the same classes in the same order."
            )
            raise ConfigError(msg)
    return Metrics(class_names=names, confusion=np.sum([part.confusion for part in parts], axis=0))


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


def _percentiles(value_U: Floats) -> Interval:
    low, high = np.nanpercentile(value_U, [2.5, 97.5])
    return float(low), float(high)


def _share_interval(right: int, total: int, share_U: Floats) -> Interval:
    return _percentiles(share_U) if 0 < right < total else wilson(right, total)


def wilson(right: int, total: int) -> Interval:
    """Wilson's 95% score interval of `right` successes in `total` trials."""
    share, z2 = right / total, _Z_95**2
    centre = (share + z2 / (2 * total)) / (1 + z2 / total)
    half = _Z_95 / (1 + z2 / total) * math.sqrt(share * (1 - share) / total + z2 / (4 * total**2))
    return max(0.0, min(share, centre - half)), min(1.0, max(share, centre + half))
