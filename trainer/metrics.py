"""WAR, UAR and their intervals.

The confusion matrix of a whole split is the truth: all numbers come from it, never from averages
over batches.

Letters: C classes; N clips.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from pipeline.types import Ints

_Z_95 = 1.959963984540054
_DRAWS = 10_000


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

    def war_interval(self) -> tuple[float, float]:
        """Wilson's 95% interval of WAR, clips being independent draws."""
        return wilson(int(np.trace(self.confusion)), self.num_clips)

    def uar_interval(self, seed: int = 0) -> tuple[float, float]:
        """The 95% interval of UAR, each class's clips being independent draws.

        Every recall is drawn from Beta(right + 1/2, wrong + 1/2) (Jeffreys), 10,000 times, and
        averaged over the classes. Unlike a bootstrap it has a width where a recall is 0 or 1.
        """
        generator = np.random.default_rng(seed)
        right, support = np.diag(self.confusion), self.confusion.sum(axis=1)
        present = support > 0
        alpha, beta = right[present] + 0.5, (support - right)[present] + 0.5
        draws = generator.beta(alpha, beta, size=(_DRAWS, len(alpha))).mean(axis=1)
        low, high = np.percentile(draws, [2.5, 97.5])
        return min(float(low), self.uar), max(float(high), self.uar)

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain JSON values, class names with every number."""
        return {
            "class_names": list(self.class_names),
            "confusion": self.confusion.tolist(),
            "num_clips": self.num_clips,
            "war": self.war,
            "war_interval_95": list(self.war_interval()),
            "uar": self.uar,
            "uar_interval_95": list(self.uar_interval()),
            "recall": dict(zip(self.class_names, self.recalls, strict=True)),
        }


def confusion_matrix(label_N: Ints, predicted_N: Ints, num_classes: int) -> Ints:
    """Counts [C, C], rows true class, columns predicted."""
    cells = np.bincount(label_N * num_classes + predicted_N, minlength=num_classes**2)
    return cells.reshape(num_classes, num_classes).astype(np.int64)


def wilson(right: int, total: int) -> tuple[float, float]:
    """Wilson's 95% score interval of `right` successes in `total` trials."""
    share, z2 = right / total, _Z_95**2
    centre = (share + z2 / (2 * total)) / (1 + z2 / total)
    half = _Z_95 / (1 + z2 / total) * math.sqrt(share * (1 - share) / total + z2 / (4 * total**2))
    return max(0.0, min(share, centre - half)), min(1.0, max(share, centre + half))
