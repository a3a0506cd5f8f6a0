"""Facts that the authors of a dataset publish: classes, folds, counts, and the orders of its integers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

SEVEN_EMOTIONS = ("happiness", "sadness", "neutral", "anger", "surprise", "disgust", "fear")
"""DFEW's and FERV39k's classes in DFEW's order, in the words of the prompts."""


@dataclass(frozen=True, kw_only=True)
class Published:
    """Published facts of a dataset.

    Attributes:
        title: Its name in the literature.
        class_names: In the order of this project's labels.
        fold_names: One for a dataset without folds.
        num_clips: All clips, labelled or not. The numbers in clips' names may be higher.
        splits: By fold, the numbers of training and of test clips.
        orders: By name, the class names in the order of the integers of lists that circulate. The authors'
            own order is the first. ``alphabetical`` is added.
        source: Where these facts are from.
        access: How to get the clips.
        classes: By fold and split (``train``, ``test``), the number of clips of each of class_names.
    """

    title: str
    class_names: tuple[str, ...]
    fold_names: tuple[str, ...]
    num_clips: int
    splits: Mapping[str, tuple[int, int]]
    orders: Mapping[str, tuple[str, ...]]
    source: str
    access: str
    classes: Mapping[tuple[str, str], Sequence[int]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        orders = {**self.orders, "alphabetical": tuple(sorted(self.class_names))}
        object.__setattr__(self, "orders", orders)
        for name, order in orders.items():
            if sorted(order) != sorted(self.class_names):
                msg = f"{self.title}: order '{name}' does not hold the class names, each once"
                raise ValueError(msg)
        for (fold, split), counts in self.classes.items():
            if fold in self.splits and sum(counts) != self.splits[fold][split == "test"]:
                msg = f"{self.title}: class counts of {split} in fold {fold} sum to {sum(counts)}"
                raise ValueError(msg)
        if len(set(self._fold_totals())) > 1:
            msg = f"{self.title}: train and test of its folds do not have the same classes in all"
            raise ValueError(msg)

    @property
    def class_totals(self) -> tuple[int, ...] | None:
        """Clips per class of train and test together, the same in every fold; None if not known."""
        return next(iter(self._fold_totals()), None)

    def _fold_totals(self) -> list[tuple[int, ...]]:
        both = [
            (self.classes.get((fold, "train")), self.classes.get((fold, "test"))) for fold in self.fold_names
        ]
        return [
            tuple(a + b for a, b in zip(train, test, strict=True))
            for train, test in both
            if train is not None and test is not None
        ]


def class_counts_of_folds(
    totals: Sequence[int], test: Mapping[str, Sequence[int]]
) -> dict[tuple[str, str], tuple[int, ...]]:
    """Return `Published.classes` of a dataset in which every fold holds all clips.

    totals: clips per class of a whole fold. test: by fold, clips per class of its test list.
    """
    counts: dict[tuple[str, str], tuple[int, ...]] = {}
    for fold, tested in test.items():
        counts[fold, "train"] = tuple(all_ - one for all_, one in zip(totals, tested, strict=True))
        counts[fold, "test"] = tuple(tested)
    return counts
